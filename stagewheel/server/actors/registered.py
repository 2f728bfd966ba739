"""Registered application actions (H8): a row each, and a copy in the facts.

Laws: what is registered is durable before anybody is told; an action is replaced whole, and jobs that wait
follow what is registered now. Who registers may be a person, the command line or a worker's session.
"""

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from stagewheel.protocol.actions import ACTION_NAME, ACTION_NAME_IS, HANDLERS, VALUE_TYPES
from stagewheel.protocol.messages import (
    ActionSpec,
    ActionsQuery,
    ActionView,
    Applied,
    DropAction,
    Failed,
    RegisterAction,
    Result,
    ValueSpec,
)
from stagewheel.server.core.lanes import lane_of
from stagewheel.server.limits import (
    ACTION_BYTES_MAX,
    ACTION_TIMEOUT_MS_MAX,
    ACTION_VALUES_MAX,
    ACTIONS_MAX,
    PAGE_ROWS_MAX,
)
from stagewheel.server.store.base import Reads
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.engine import Engine
    from stagewheel.server.actors.relay import Place
    from stagewheel.server.actors.turn import Turn

APP: Final = "app"
NAME_CHARS_MAX: Final = 100
ATTEMPTS_MAX: Final = 10
CONCURRENCY_MAX: Final = 10_000


class ActionRow(Struct, array_like=True):
    """A row of ACTIONS."""

    action: ActionSpec
    at_ms: int
    by: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ActionRow).decode


def load(reads: Reads) -> dict[str, ActionSpec]:
    """All that are registered."""
    rows = reads.range(Table.ACTIONS, b"", None, ACTIONS_MAX)
    return {key.decode(): _decode(row).action for key, row in rows}


def hand_out_by(engine: "Engine") -> None:
    """Who gets the jobs of each action, and how many at once."""
    actions = engine.reference.facts.app_actions.values()
    handout = engine.handout
    handout.to_channel = {lane_of(APP, spec.name) for spec in actions if spec.handler == "http"}
    handout.at_once = {
        lane_of(APP, spec.name): share_of(spec.concurrency, engine.place)
        for spec in actions
        if spec.concurrency
    }


def share_of(concurrency: int, place: "Place") -> int:
    """What a shard may hand out of what is under way at once over all of them; at least one."""
    count = len(place.lanes)
    return max(1, concurrency // count + (place.shard < concurrency % count))


def wrong_with(spec: ActionSpec) -> str:
    """Why an action can't be registered, or ""."""
    name = spec.name
    if not ACTION_NAME.fullmatch(name):
        return f"{name[:NAME_CHARS_MAX]!r} is no name of an action: {ACTION_NAME_IS}"
    if spec.handler not in HANDLERS:
        return f"{name}: handler is one of {', '.join(HANDLERS)}"
    if (spec.handler == "http") != spec.url.startswith(("http://", "https://")):
        return f"{name}: a url belongs to the handler http, and only to it"
    if not 1_000 <= spec.timeout_ms <= ACTION_TIMEOUT_MS_MAX:
        return f"{name}: timeout_ms is from 1,000 to {ACTION_TIMEOUT_MS_MAX:,}"
    if not 1 <= spec.attempts_max <= ATTEMPTS_MAX or not 0 <= spec.concurrency <= CONCURRENCY_MAX:
        return f"{name}: attempts_max is from 1 to {ATTEMPTS_MAX}, concurrency from 0 to {CONCURRENCY_MAX:,}"
    for what, values in (("parameter", spec.parameters), ("result", spec.results)):
        if wrong := _wrong_values(what, values):
            return f"{name}: {wrong}"
    if len(_encode(spec)) > ACTION_BYTES_MAX:
        return f"{name}: its registration has more than {ACTION_BYTES_MAX} bytes"
    return ""


def _wrong_values(what: str, values: list[ValueSpec]) -> str:
    names = [one.name for one in values]
    if len(values) > ACTION_VALUES_MAX or len(set(names)) < len(names):
        return f"at most {ACTION_VALUES_MAX} {what}s, each with a name of its own"
    for one in values:
        if not one.name.isidentifier() or len(one.name) > NAME_CHARS_MAX:
            return f"{one.name!r} is no name of a {what}"
        if one.type not in VALUE_TYPES:
            return f"{what} {one.name}: its type is one of {', '.join(VALUE_TYPES)}"
    return ""


def put(turn: "Turn", spec: ActionSpec, by: int) -> str:
    """Register an action; why not, or ""."""
    known = turn.facts.app_actions
    if known.get(spec.name) == spec:
        return ""
    wrong = wrong_with(spec)
    if wrong:
        return wrong
    if spec.name not in known and len(known) >= ACTIONS_MAX:
        return f"{ACTIONS_MAX} actions are registered; drop one that nobody needs"
    turn.batch.put(Table.ACTIONS, spec.name.encode(), _encode(ActionRow(spec, turn.now_ms, by)))
    known[spec.name] = spec
    hand_out_by(turn.engine)
    return ""


def register_action(turn: "Turn", command: RegisterAction, owed: object) -> Result:
    """By command."""
    wrong = put(turn, command.action, command.by)
    return Failed("bad_value", wrong) if wrong else Applied()


def drop_action(turn: "Turn", command: DropAction, owed: object) -> Result:
    """Jobs that wait stay, and end when they expire."""
    if turn.facts.app_actions.pop(command.name, None) is None:
        return Failed("unknown_action", f"no action {command.name!r} is registered")
    turn.flush()
    turn.batch.delete(Table.ACTIONS, command.name.encode())
    hand_out_by(turn.engine)
    return Applied()


def views(engine: "Engine", reads: Reads, query: ActionsQuery) -> tuple[list[ActionView], bytes]:
    """A page of them."""
    if query.name:
        row = reads.get(Table.ACTIONS, query.name.encode())
        return ([_view(engine, _decode(row))] if row is not None else []), b""
    start = query.cursor + b"\x00" if query.cursor else b""
    rows = reads.range(Table.ACTIONS, start, None, PAGE_ROWS_MAX)
    cursor = rows[-1][0] if len(rows) == PAGE_ROWS_MAX else b""
    return [_view(engine, _decode(row)) for _, row in rows], cursor


def _view(engine: "Engine", row: ActionRow) -> ActionView:
    lane = lane_of(APP, row.action.name)
    taken = engine.handout.lanes[lane].taken if lane in engine.handout.lanes else {}
    return ActionView(row.action, row.at_ms, row.by, engine.workers.offering(lane), len(taken))
