"""Holds as data: what is stopped or paused, for one item or for all of a rule or pipeline (9.3, T10).

Laws: a hold of one item, or of one stage of it, stands in the item's row (`More.hold`, `More.holds`); a hold
of a rule or a pipeline is reference data, one row, which every decision sees in `Facts.holds`. Nothing is
ever written to the items of a pipeline to hold them: they are a million, and it must hold from the next
decision on.

`before` is the journal position at which a stop was said: what had begun before it ends, also where the stop
is taken back before everybody was told; what begins after it is not concerned.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from stagewheel.server.core.item import NOTHING_MORE, Item

PAUSED: Final = "paused"
STOPPED: Final = "stopped"
PIPELINE: Final = "pipeline"
RULE: Final = "rule"
TELL_STOP: Final = "stop"
TELL_RESTART: Final = "restart"


class HoldRow(Struct, array_like=True, gc=False, frozen=True):
    """A rule or pipeline that is held, or was and still has something to be done.

    `target` is the pipeline, or "ruleset/rule" since a rule's id is one of its ruleset. `telling`: the items
    are told, one after the other, that what waits ends (stop) or that a new entry begins (restart); `cursor`
    is the row of the stage lists to go on from. `releasing`: steps that were kept while it was paused go back
    to the timers.
    """

    kind: str
    target: str
    mode: str  # paused | stopped | "" (it is resumed, and something is still to be done)
    by: int
    at_ms: int
    before: int = 0
    telling: str = ""
    cursor: bytes = b""
    releasing: bool = False

    @property
    def name(self) -> str:
        """For people: `rule remind`, `pipeline deals`."""
        return f"{self.kind} {self.target.rpartition('/')[2]}"

    @property
    def stopped_by(self) -> str:
        """The reason with which steps end."""
        return f"stopped by {who(self.by)} ({self.name})"

    def stops(self, item: Item) -> bool:
        """Does it stop what this item does now?"""
        return self.mode == STOPPED or (self.telling == TELL_STOP and item.entered_at < self.before)


Holds = Mapping[str, HoldRow]


def hold_key(kind: str, target: str) -> str:
    """The key of a hold in `Facts.holds`."""
    return f"{kind}:{target}"


def stage_key(pipeline: str, stage: str) -> str:
    """The key of a stage in `More.holds`."""
    return f"{pipeline}/{stage}"


def who(by: int) -> str:
    """Who said it."""
    return f"employee {by}" if by else "command"


def holds_of(item: Item, holds: Holds) -> dict[str, str]:
    """What is held besides the item as a whole: `{"stage new": "paused", "pipeline deals": "stopped"}`."""
    more = item.more or NOTHING_MORE
    found = {f"stage {key.rpartition('/')[2]}": mode for key, mode in more.holds.items()}
    hold = holds.get(hold_key(PIPELINE, item.pipeline))
    if hold is not None and hold.mode:
        found[hold.name] = hold.mode
    return found


def stops(item: Item, holds: Holds) -> str:
    """What stops the automation of the item where it is; "" if nothing does."""
    more = item.more or NOTHING_MORE
    if more.hold == STOPPED:
        return "item"
    if more.holds.get(stage_key(item.pipeline, item.stage)) == STOPPED:
        return f"stage {item.stage}"
    hold = holds.get(hold_key(PIPELINE, item.pipeline))
    return hold.name if hold is not None and hold.stops(item) else ""


class Paused(Struct, gc=False, frozen=True):
    """What pauses a step: its name for people, and under which key its timer is kept ("": its item knows)."""

    name: str
    key: str


def pause_of(item: Item, holds: Holds, ruleset: str, rule: str) -> Paused | None:
    """What pauses a step of this rule, or ("") of a workflow."""
    for key in (hold_key(RULE, f"{ruleset}/{rule}"), hold_key(PIPELINE, item.pipeline)) if holds else ():
        hold = holds.get(key)
        if hold is not None and hold.mode == PAUSED:
            return Paused(hold.name, key)
    more = item.more or NOTHING_MORE
    if rule and more.holds.get(stage_key(item.pipeline, item.stage)) == PAUSED:
        return Paused(f"stage {item.stage}", "")
    return None
