"""Holds of rules and pipelines (9.3): their rows, what is still to be told to items, and the timers they
keep.

Laws: a hold is one row, and holds from the decision after it, for a million items as for one. What each item
has to be told (its waiting steps end, or a new entry begins) is told in slices, each a part of a turn, with
the place in the stage lists stored in the same commit; so a crash neither skips nor repeats anybody. Until
its turn comes an item's timers find the hold themselves. Kept timers go back to the timers in slices too, the
earliest first, under their old moments: they fire in due order whoever else is due (3.10).
"""

from typing import TYPE_CHECKING, Any, Final

import msgspec

from stagewheel.protocol.messages import Applied, Failed, Hold, HoldView, Result
from stagewheel.server.actors.stage_lists import Entry, listed
from stagewheel.server.core.effects import KeepStep
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.held import (
    PAUSED,
    PIPELINE,
    RULE,
    STOPPED,
    TELL_RESTART,
    TELL_STOP,
    HoldRow,
    hold_key,
)
from stagewheel.server.core.holds import MODES, concerns
from stagewheel.server.core.inbox import HoldTold
from stagewheel.server.core.item import Item
from stagewheel.server.limits import HOLD_SLICE_ROWS, HOLDS_MAX, PAGE_ROWS_MAX
from stagewheel.server.store.base import Batch, Reads
from stagewheel.server.store.keys import kept_prefix, pipeline_prefix, prefix_end, timer_key
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(HoldRow).decode
_replace: Final = msgspec.structs.replace
NOBODY: Final = (b"", 0, 0)


class Holds:
    """The holds of a shard. `rows` is what decisions see as `Facts.holds`."""

    def __init__(self) -> None:
        self.rows: dict[str, HoldRow] = {}

    def load(self, reads: Reads, facts: Facts) -> None:
        """As they are stored."""
        found = reads.range(Table.HOLDS, b"", None, 2 * HOLDS_MAX)
        self.rows = facts.holds = {key.decode(): _decode(value) for key, value in found}

    def has_work(self) -> bool:
        """Is anybody to be told, or a timer to be given back?"""
        return bool(self.rows) and any(row.telling or row.releasing for row in self.rows.values())

    # ---------------------------------------------------------------- the command

    def command(self, turn: "Turn", m: Hold) -> Result:
        """Stop, pause or resume a rule or a pipeline."""
        mode, target = MODES.get(m.mode), self._target(turn, m)
        if mode is None:
            return Failed("bad_value", f"mode {m.mode!r}: use pause, resume or stop")
        if isinstance(target, Failed):
            return target
        key = hold_key(m.kind, target)
        old = self.rows.get(key)
        if old is None and (not mode and not m.restart):
            return Applied()  # nothing held it
        if old is None and len(self.rows) >= HOLDS_MAX:
            return Failed("bad_value", f"at most {HOLDS_MAX} rules and pipelines can be held")
        if old is not None and old.mode == mode and not m.restart:
            return Applied()
        self._put(turn.batch, key, _after(old, m, target, mode, turn.counters.position, turn.now_ms))
        return Applied()

    def _target(self, turn: "Turn", m: Hold) -> str | Failed:
        active = turn.facts.active
        if m.kind == PIPELINE:
            if m.target in active or hold_key(PIPELINE, m.target) in self.rows:
                return m.target
            return Failed("unknown_pipeline", f"no active ruleset has pipeline {m.target!r}")
        if m.kind != RULE:
            return Failed("bad_value", f"kind {m.kind!r}: use {PIPELINE} or {RULE}; an item has HoldItem")
        rulesets = {
            version.ruleset: None
            for version in active.values()
            for pipeline in version.pipelines.values()
            for stage in pipeline.stages.values()
            if m.ruleset in ("", version.ruleset) and any(rule.id == m.target for rule in stage.rules)
        }
        for row in self.rows.values():  # one that is held is known, also where a new version has it no more
            ruleset, _, id_ = row.target.rpartition("/")
            if row.kind == RULE and id_ == m.target and m.ruleset in ("", ruleset):
                rulesets[ruleset] = None
        if not rulesets:
            return Failed("unknown_rule", f"no active ruleset has a rule {m.target!r}")
        if len(rulesets) > 1:
            return Failed("bad_value", f"name the ruleset of rule {m.target}: {', '.join(sorted(rulesets))}")
        return f"{next(iter(rulesets))}/{m.target}"

    def _put(self, batch: Batch, key: str, row: HoldRow) -> None:
        """Store it; one that holds nothing and has nothing left to do goes."""
        if row.mode or row.telling or row.releasing:
            self.rows[key] = row
            batch.put(Table.HOLDS, key.encode(), _encode(row))
        else:
            self.rows.pop(key, None)
            batch.delete(Table.HOLDS, key.encode())

    # ---------------------------------------------------------------- slices

    def slice(self, turn: "Turn") -> None:
        """Tell some items more, or give some timers back."""
        turn.flush()
        key, row = next((k, r) for k, r in self.rows.items() if r.telling or r.releasing)
        if row.releasing:  # first: a step that ends with a stop has no timer then, and finds nobody
            self._release(turn, key, row)
        else:
            self._tell(turn, key, row)
        turn.flush()  # a batch deletes before it puts: the hold's row may be put and deleted in one turn

    def _release(self, turn: "Turn", key: str, row: HoldRow) -> None:
        prefix = kept_prefix(key)
        kept = turn.transaction.range(Table.KEPT_STEPS, prefix, prefix_end(prefix), HOLD_SLICE_ROWS)
        for row_key, _ in kept:
            timer = row_key[len(prefix) :]
            turn.batch.delete(Table.KEPT_STEPS, row_key)
            turn.put_timer(timer)
        if len(kept) < HOLD_SLICE_ROWS:
            self._put(turn.batch, key, _replace(row, releasing=False))

    def _tell(self, turn: "Turn", key: str, row: HoldRow) -> None:
        entries = self._listed(turn, row)
        turn.load({entry.item for entry in entries})
        versions = turn.facts.versions
        for entry in entries:
            item = turn.items.get(entry.item)
            is_here = isinstance(item, Item) and item.entered_at == entry.position
            if is_here and isinstance(item, Item) and concerns(item, row, versions):
                message = HoldTold(row.kind, row.target, row.telling, item.entry, row.by, row.at_ms)
                turn.deliver(entry.item, message, NOBODY)
        if len(entries) < HOLD_SLICE_ROWS:
            row = _replace(row, telling="", cursor=b"")
        else:
            row = _replace(row, cursor=entries[-1].at)
        self._put(turn.batch, key, row)

    def _listed(self, turn: "Turn", row: HoldRow) -> list[Entry]:
        """The next entries of the stage lists of the pipelines that are concerned."""
        ruleset = row.target.rpartition("/")[0]
        pipelines = (
            [row.target]
            if row.kind == PIPELINE
            else [name for name, version in turn.facts.active.items() if version.ruleset == ruleset]
        )
        entries: list[Entry] = []
        for prefix in sorted(pipeline_prefix(name) for name in pipelines):
            start = max(prefix, row.cursor + b"\x00") if row.cursor else prefix
            end = prefix_end(prefix)
            if len(entries) < HOLD_SLICE_ROWS and (end is None or start < end):
                entries += listed(turn.transaction, prefix, start, HOLD_SLICE_ROWS - len(entries))
        return entries

    # ---------------------------------------------------------------- reading

    def views(self, reads: Reads) -> list[HoldView]:
        """What is held, by kind and name."""
        views = []
        for key, row in sorted(self.rows.items()):
            prefix = kept_prefix(key)
            kept = reads.range(Table.KEPT_STEPS, prefix, prefix_end(prefix), PAGE_ROWS_MAX)
            ruleset, _, name = row.target.rpartition("/")
            views.append(
                HoldView(
                    row.kind, name, ruleset, row.mode or "resumed", row.by, row.at_ms, len(kept), row.telling
                )
            )
        return views


def _after(old: HoldRow | None, m: Hold, target: str, mode: str, position: int, now_ms: int) -> HoldRow:
    """The hold after a command. Only one that was paused has kept anything."""
    row = old or HoldRow(m.kind, target, "", m.by, now_ms)
    releasing = (row.mode == PAUSED or row.releasing) and mode != PAUSED
    row = _replace(row, mode=mode, by=m.by, at_ms=now_ms, releasing=releasing)
    if mode == STOPPED:
        return _replace(row, before=position, telling=TELL_STOP, cursor=b"")
    if not mode and m.restart:
        return _replace(row, before=position, telling=TELL_RESTART, cursor=b"")
    return row


def keep_step(turn: "Turn", key: bytes, effect: KeepStep) -> None:
    """A timer fired that a hold keeps: its row goes to the rows of the hold."""
    timer = timer_key(effect.due_ms, key, effect.step)
    turn.batch.put(Table.KEPT_STEPS, kept_prefix(effect.hold) + timer, b"")


def do_hold(turn: "Turn", command: Hold, owed: Any) -> Result:
    """The command `Hold`."""
    return turn.engine.background.holds.command(turn, command)
