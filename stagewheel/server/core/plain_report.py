"""The ways of nearly every report: an action was delivered, and nothing of its item waits for that.

Law: the generic way (`delivery.py`) says what is right. What is decided here is what that would have decided,
its records byte for byte; what these ways do not know they leave to it, untouched. Tests compare them
(`tests/core/test_plain_report.py`, `test_front.py`).

Two of them: of an item that lists its actions in front nothing is decoded (`listed_delivered`); of any other
its steps are, and a few values (`plain_delivered`). All else stays encoded, with no sheet, no Struct for a
fact and no effect.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.msgpack import Decoder, Encoder

from stagewheel.protocol.journal import StepEnded
from stagewheel.server.core.acting import DONE
from stagewheel.server.core.effects import ERASED, ONCE
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.front import (
    ALONE,
    BEHIND_AT,
    HEAD_AT,
    LEAD,
    NONE_LISTED,
    NUMBER_AT,
    U32,
    U64,
    head_of,
    without,
)
from stagewheel.server.core.inbox import DeliveryReported
from stagewheel.server.core.item import HAS_KEY, ITEM_LEAD, SENDING, Step, unfolded
from stagewheel.server.core.plan import Version
from stagewheel.server.core.trying import TRIAL

NIL: Final = 0xC0  # MessagePack's `nil`: the last byte of an item without `more`
RARE: Final = frozenset((ERASED, TRIAL))  # roots of what is not the delivery of an entry's action
CAUSE: Final = DeliveryReported.__name__
STEP_ENDED: Final = StepEnded.__struct_config__.tag


class Place(Struct, array_like=True, gc=False):
    """The front of an item's row: where it is."""

    head: int
    updated_ms: int
    actions: list[int] | None
    key: str
    pipeline: str
    stage: str
    entry: int
    entered_ms: int
    version: int


class Outline(Place, array_like=True, gc=False):
    """An item as far as a report that writes its steps reads it."""

    title: str
    responsible: int
    fields: Raw
    client: Raw
    source: str
    steps: list[Step]
    step_no: int
    entered_at: int
    created_ms: int
    reach: int
    more: Any


class Front(Struct, array_like=True, gc=False):
    """The front of an outbox row, which nothing changes as long as the row is there."""

    key: str
    entry: int
    step: int
    rule: str
    action: int
    version: int


class Sent(Front, array_like=True, gc=False):
    """A row of the outbox as far as a report reads it. What stands behind `number` is skipped."""

    at_ms: int
    first_step: int
    attempt: int
    expires_ms: int
    item: Raw
    roots: dict[str, Any]
    number: int


RECORD: Final = b"\x97"  # the head of an array of seven: key, previous record, and what `_piece` says
ONE_FACT: Final = b"\x91"  # that of an array of one
ENDED: Final = b"".join(map(Encoder().encode, (DONE, "", ())))

Entry = tuple[bytes, bytes, Sent | None]  # the row that a report ends, its item; None: only the generic way

_encode = Encoder().encode
_decode_outline = Decoder(Outline).decode
_decode_sent = Decoder(Sent).decode
_decode_place = Decoder(Place).decode
decode_front = Decoder(Front).decode


def plain_sent(rows: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes, Sent | None]]:
    """Rows of the outbox by their numbers; where a report ends none that is plain, only the generic way knows
    what it comes to.
    """
    decode = _decode_sent
    for number, row in rows:
        if row[-1] == ONCE:
            yield number, row, None
            continue
        sent = decode(row)
        yield number, row, None if _is_rare(sent, number) else sent


def _is_rare(sent: Sent, number: int) -> bool:
    """Is it another attempt, a dead letter that was retried, or no action of an entry at all?"""
    roots = sent.roots
    return sent.number != number or sent.step != sent.first_step or bool(roots and not RARE.isdisjoint(roots))


def plain_delivered(
    entries: Sequence[Entry | None],
    first: int,
    stored: Mapping[bytes, bytes],
    rows: dict[bytes, bytes],
    waiting: Container[bytes],
    facts: Facts,
    now_ms: int,
    records: list[bytes],
) -> int:
    """Decide the delivered actions from `first` on, up to one that only the generic way knows: that one's
    place. What they come to is put into `rows`, which are newer than those `stored`, and behind `records`.
    `waiting`: items with a mailbox, which keeps the order.
    """
    versions, position, quiet = facts.versions, facts.position, -1
    for at in range(first, len(entries)):
        entry = entries[at]
        if entry is None or (sent := entry[2]) is None:
            return at
        key = entry[1]
        row = rows.get(key) or stored.get(key)
        if row is None or row[0] != ITEM_LEAD or row[-1] != NIL or key in waiting:
            return at
        item = _decode_outline(row)
        if item.actions is not None:
            unfolded(item, item.actions)
        if item.reach & HAS_KEY or item.more is not None or (kept := versions.get(item.version)) is None:
            return at
        if sent.version != quiet:
            version = versions.get(sent.version)
            if version is None or version.tells_contact:
                return at
            quiet = sent.version
        no = sent.step
        if sent.entry == item.entry:
            for place, step in enumerate(item.steps):
                if step.no == no and step.state == SENDING:
                    if _may_go_on(kept, item.pipeline, item.stage, step.rule):
                        return at
                    del item.steps[place]
                    break
        did = ((STEP_ENDED, sent.rule, no, DONE, "", ()),)
        records.append(_encode((item.key, item.head, now_ms, item.pipeline, item.version, CAUSE, did)))
        item.head, item.updated_ms = position, now_ms
        rows[key] = _encode(item)
        position += 1
    return len(entries)


def listed_delivered(
    numbers: Sequence[int],
    kept: Sequence[bytes],
    fronts: Sequence[Front],
    keys: Sequence[bytes],
    stored: Mapping[bytes, bytes],
    rows: dict[bytes, bytes],
    waiting: Container[bytes],
    facts: Facts,
    now_ms: int,
    records: list[tuple[bytes, bytes]],
) -> list[int]:
    """Decide the delivered actions of items that list theirs (`front.py`), whose rows are not decoded. Given
    of each: its number, its row, the front of that, its item. Returns the places of those that the other
    ways know; the rest as `plain_delivered`, each record behind its position, packed.

    What an item lists is the first attempt of an action. Of what it lists no longer, its row says that.
    The records of what it does list differ in three values, so they are joined of pieces.
    """
    versions, position, known, pipelines = facts.versions, facts.position, -1, dict[int, str]()
    others, updated, none_left = list[int](), _encode(now_ms), _encode(now_ms) + NONE_LISTED
    pieces, join = dict[int, bytes](), b"".join
    for at, (sent, key, number) in enumerate(zip(fronts, keys, map(_encode, numbers), strict=True)):
        row = rows.get(key) or stored.get(key)
        if row is None or row[0] != ITEM_LEAD or key in waiting:
            others.append(at)
            continue
        if (ruleset := sent.version) != known:
            version = versions.get(ruleset)
            if version is None or version.tells_contact:
                others.append(at)
                continue
            known, pipelines, pieces = ruleset, version.pipeline_of, {}
        packed = position.to_bytes(8)
        if row[3] == U32 and row[8] == U64 and row[17] == ALONE and row[NUMBER_AT] == number:
            if (piece := pieces.get(sent.action)) is None:
                pipeline = pipelines[sent.action]
                piece = pieces[sent.action] = _piece(now_ms, pipeline, ruleset, sent.rule)
            record = join((RECORD, _encode(sent.key), row[HEAD_AT], piece, _encode(sent.step), ENDED))
            rows[key] = join((LEAD, _encode(position), none_left, row[BEHIND_AT]))
        else:
            place, (head, end) = _decode_place(row), head_of(row)
            listed, rest = place.actions, row[end:]
            if listed is None:
                others.append(at)
                continue
            if place.entry == sent.entry:
                if (left := without(listed, numbers[at])) is None:
                    others.append(at)
                    continue
                rest = _encode(left) + rest[len(_encode(listed)) :]
            elif place.version not in versions or _is_rare(_decode_sent(kept[at]), numbers[at]):
                others.append(at)
                continue
            did = ((STEP_ENDED, sent.rule, sent.step, DONE, "", ()),)
            record = _encode((sent.key, head, now_ms, place.pipeline, place.version, CAUSE, did))
            rows[key] = join((LEAD, _encode(position), updated, rest))
        records.append((packed, record))
        position += 1
    return others


def _piece(now_ms: int, pipeline: str, version: int, rule: str) -> bytes:
    """A record of a delivered action from its moment on, up to the number of its step."""
    fact = _encode((STEP_ENDED, rule, 0, DONE, "", ()))[: -len(ENDED) - 1]
    return b"".join(map(_encode, (now_ms, pipeline, version, CAUSE))) + ONE_FACT + fact


def _may_go_on(version: Version, pipeline: str, stage: str, index: int) -> bool:
    """Does a rule behind this one wait for its delivery, as far as is known here?"""
    plan = version.pipelines.get(pipeline)
    found = plan.stages.get(stage) if plan is not None else None
    if found is None:
        return True
    rule = found.rules[index]
    return rule.chained and rule.wait_delivery
