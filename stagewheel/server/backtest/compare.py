"""Two runs over one history, laid side by side, item by item.

Laws: *then* is the ruleset that is compared against, *now* the one that is tried. Things are the same by
their name and occurrence (`trails.py`); what stands on one side only did not come on the other. Items,
changes and groups come in an order that depends on nothing but what is compared; equal trails differ in
nothing.
"""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from stagewheel.server.backtest.report import Counts, Report, RuleReport, WorkflowReport
from stagewheel.server.backtest.run import Outcome
from stagewheel.server.backtest.trails import Mark, Stop, Trail, decode_trail
from stagewheel.server.backtest.watch import reason_of

EXAMPLES_MAX: Final = 5
KINDS: Final = ("path", "rule", "workflow", "message")
NONE: Final = "–"


class Change(Struct):
    """One difference of an item. `label` says it without names and moments, so that equal ones are counted.

    `name` is the rule or workflow (for a path the stage before the ways part); `visit` the how-manieth of the
    item to the rule's stage, `occurrence` the how-manieth in it.
    """

    kind: str
    name: str
    label: str
    visit: int = 0
    occurrence: int = 0
    then: Mark | None = None
    now: Mark | None = None


class ItemDifference(Struct):
    """An item that came out otherwise; both paths where they differ."""

    item: str
    changes: list[Change]
    path_then: list[Stop] = []
    path_now: list[Stop] = []


class Group(Struct):
    """Changes of the same kind, name and label, and the first of them."""

    kind: str
    name: str
    label: str
    count: int = 0
    items: int = 0
    examples: list[tuple[str, Change]] = []


class Delta(Struct):
    """A rule, workflow, stage or pipeline whose counts differ: count -> (then, now)."""

    kind: str
    name: str
    counts: dict[str, tuple[int, int]]


class Comparison(Struct):
    """What is different. `items` are all that differ, in the order of their keys."""

    then: Report
    now: Report
    items_compared: int
    items_different: int
    changes: Counts  # kind -> changes
    groups: list[Group]
    deltas: list[Delta]
    items: list[ItemDifference]


def compare(then: Outcome, now: Outcome) -> Comparison:
    """Both runs told their trails, over the same history."""
    keys = sorted(then.trails.keys() | now.trails.keys())
    found = [one for key in keys if (one := _item(key, then.trails.get(key), now.trails.get(key)))]
    changes = dict.fromkeys(KINDS, 0)
    groups: dict[tuple[str, str, str], Group] = {}
    for one in found:
        seen: set[int] = set()
        for change in one.changes:
            changes[change.kind] += 1
            key = (change.kind, change.name, change.label)
            group = groups.get(key)
            if group is None:
                group = groups[key] = Group(*key)
            group.count += 1
            if id(group) not in seen:
                seen.add(id(group))
                group.items += 1
            if len(group.examples) < EXAMPLES_MAX:
                group.examples.append((one.item, change))
    ordered = sorted(groups.values(), key=lambda g: (KINDS.index(g.kind), -g.count, g.name, g.label))
    deltas = list(_deltas(then.report, now.report))
    return Comparison(then.report, now.report, len(keys), len(found), changes, ordered, deltas, found)


# ---------------------------------------------------------------- an item


def _item(key: str, then: bytes | None, now: bytes | None) -> ItemDifference | None:
    if then == now:
        return None
    a = decode_trail(then) if then is not None else Trail()
    b = decode_trail(now) if now is not None else Trail()
    changes = [*_path(a.path, b.path), *_marks("rule", a.rules, b.rules)]
    changes += _marks("workflow", a.workflows, b.workflows)
    changes += _marks("message", a.messages, b.messages)
    if not changes:
        return None
    paths_differ = changes[0].kind == "path"
    return ItemDifference(key, changes, *((a.path, b.path) if paths_differ else ([], [])))


def _path(then: list[Stop], now: list[Stop]) -> Iterator[Change]:
    """The first place where two paths part; what follows from it is not told again."""
    for at in range(max(len(then), len(now))):
        one = then[at] if at < len(then) else None
        other = now[at] if at < len(now) else None
        if one == other:
            continue
        before = then[at - 1].stage if at else ""
        marks = [Mark(_stop(stop), "", stop.at_ms) if stop is not None else None for stop in (one, other)]
        if one is not None and other is not None and one.stage == other.stage and one.how != other.how:
            label = f"{one.stage or 'deleted'} by {one.how} → by {other.how}"
        else:
            label = _label(*marks)
        yield Change("path", before, label, 0, at + 1, *marks)
        return


def _stop(stop: Stop) -> str:
    return stop.stage or "deleted"


def _marks(kind: str, then: dict[str, Mark], now: dict[str, Mark]) -> Iterator[Change]:
    for key in [*then, *(key for key in now if key not in then)]:
        one, other = then.get(key), now.get(key)
        if one == other:
            continue
        name, visit, occurrence = key.partition("~")[0].split("|")
        yield Change(kind, name, _label(one, other), int(visit), int(occurrence), one, other)


def _label(then: Mark | None, now: Mark | None) -> str:
    one, other = _said(then), _said(now)
    if then is None or now is None or one != other:
        return f"{one} → {other}"
    if then.at_ms != now.at_ms:
        return f"{one}, {'later' if now.at_ms > then.at_ms else 'earlier'}"
    return f"{one}, other {'content' if then.digest else 'reason'}"


def _said(mark: Mark | None) -> str:
    if mark is None:
        return NONE
    reason = reason_of(mark.reason)
    return f"{mark.outcome}: {reason}" if reason and not mark.digest else mark.outcome


# ---------------------------------------------------------------- counts


def _deltas(then: Report, now: Report) -> Iterator[Delta]:
    """Pipelines, stages, rules, … whose counts differ; in the order of `now`, then what it lost."""
    for kind, old, new in (
        ("pipeline", _of_pipelines(then), _of_pipelines(now)),
        ("stage", _of_stages(then), _of_stages(now)),
        ("rule", _of_steps(then.rules), _of_steps(now.rules)),
        ("workflow", _of_steps(then.workflows), _of_steps(now.workflows)),
        ("trigger", _of_triggers(then), _of_triggers(now)),
    ):
        for name in [*new, *(name for name in old if name not in new)]:
            before, after = old.get(name, {}), new.get(name, {})
            counts = {
                what: (before.get(what, 0), after.get(what, 0))
                for what in [*after, *(what for what in before if what not in after)]
                if before.get(what, 0) != after.get(what, 0)
            }
            if counts:
                yield Delta(kind, name, counts)


def _of_pipelines(report: Report) -> dict[str, Counts]:
    return {
        one.pipeline: {
            "success": one.success, "failure": one.failure, "open": one.open, "deleted": one.deleted
        }
        for one in report.pipelines
    }  # fmt: skip


def _of_stages(report: Report) -> dict[str, Counts]:
    return {
        f"{one.pipeline}/{one.stage}": {"entries": one.entries, "at the end": one.here}
        for one in report.stages
    }


def _of_steps(reports: list[RuleReport] | list[WorkflowReport]) -> dict[str, Counts]:
    counted: dict[str, Counts] = {}
    for one in reports:
        counts = {outcome: one.count(outcome) for outcome in one.outcomes}
        if isinstance(one, RuleReport):
            counts["waiting"] = sum(one.waiting.values())
        else:
            counts["started"], counts["running"] = sum(one.started.values()), one.running
        counts |= {f"sent: {channel}": count for channel, count in one.sent.channels.items()}
        counted[one.rule if isinstance(one, RuleReport) else one.workflow] = counts
    return counted


def _of_triggers(report: Report) -> dict[str, Counts]:
    return {
        one.trigger: {"moves": one.moves, **{f"not: {reason}": n for reason, n in one.refused.items()}}
        for one in report.triggers
    }
