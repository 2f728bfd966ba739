"""A simulation's report as tables for a terminal."""

from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.markup import escape

from stagewheel.cli.output import counted, span, table
from stagewheel.server.backtest import report as r
from stagewheel.server.backtest.compare import Change, Comparison
from stagewheel.server.backtest.trails import Mark
from stagewheel.server.core.calendar import format_ms, parse_zone

SHOWN_MAX: Final = 40  # lines of a table whose length depends on the history
REASONS_SHOWN_MAX: Final = 4
OUTCOMES: Final = ("done", "skipped", "cancelled", "failed")


def show(out: Console, report: r.Report, comparison: Comparison | None) -> None:
    """The whole report, or two and what is different."""
    out.print(f"[bold]{escape(report.ruleset)}[/bold] ({escape(report.files)}) over {_history(report)}")
    for pipeline in report.pipelines:
        ends = f"{pipeline.success:,} success, {pipeline.failure:,} failure, {pipeline.open:,} open"
        more = f", {pipeline.deleted:,} deleted" if pipeline.deleted else ""
        out.print(f"{escape(pipeline.pipeline)}: {ends}{more}")
    for note in [*report.warnings, *report.notes]:
        out.print(f"[yellow]note[/yellow]: {escape(note)}", soft_wrap=True)
    _refused(out, report)
    _stages(out, report)
    _rules(out, report)
    _workflows(out, report)
    _triggers(out, report)
    _messages(out, report)
    if comparison is not None:
        show_comparison(out, comparison)


def _history(report: r.Report) -> str:
    if not report.first_ms:
        return "nothing"
    sample = f", a sample of {report.sample:,}" if report.sample else ""
    return (
        f"{escape(report.source)}: {counted(report.events, 'event')} of "
        f"{counted(report.items, 'item')}{sample}, "
        f"{moment(report.first_ms, report.zone)} to {moment(report.until_ms, report.zone)}, "
        f"{counted(report.timers_fired, 'timer')} fired"
    )


def moment(at_ms: int, zone: str) -> str:
    """To the second, in the ruleset's zone: `2026-03-02 09:00:00`."""
    return format_ms(at_ms, parse_zone(zone))[:19].replace("T", " ") if at_ms else NOTHING


def reasons(counts: r.Counts, limit: int = REASONS_SHOWN_MAX) -> str:
    """The most frequent reasons: `left stage (12), condition (3)`."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    told = [f"{name or 'done'} ({count:,})" for name, count in ordered[:limit]]
    return ", ".join(told) + (", …" if len(ordered) > limit else "")


def tests(found: Iterable[r.TestCount]) -> str:
    """`offer is none: no (12), seeing sent (12)`."""
    return "; ".join(
        f"{one.path} {one.operator} {one.expected}: no ({one.count:,}), seeing {reasons(one.values)}"
        for one in found
    )


def why(one: r.RuleReport | r.WorkflowReport) -> str:
    """Why steps or instances did not come to `done`."""
    parts = [
        f"{outcome}: {reasons(counts)}"
        for outcome, counts in one.outcomes.items()
        if outcome != "done" and any(counts)
    ]
    said = tests(one.tests) if isinstance(one, r.RuleReport) else ""
    return "; ".join([*parts, said] if said else parts)


def _refused(out: Console, report: r.Report) -> None:
    if report.poison:
        said = "a bug of stagewheel; please report it"
        out.print(f"[red]{counted(report.poison, 'decision')} failed with a bug[/red]: {said}")
    if not report.refused:
        return
    rows = [(f"{one.count:,}", one.code, escape(one.message), escape(one.item)) for one in report.refused]
    out.print()
    out.print(table(["commands refused", "code", "why", "first"], rows[:SHOWN_MAX], right="commands refused"))


def _stages(out: Console, report: r.Report) -> None:
    rows = []
    for one in report.stages:
        stayed = (span(one.median_ms), span(one.p90_ms)) if one.left else (NOTHING, NOTHING)
        name = f"{escape(one.stage)}{f' ({one.final})' if one.final else ''}"
        rows.append((name, f"{one.entries:,}", f"{one.here:,}", *stayed, escape(reasons(one.by))))
    columns = ["stage", "entries", "at the end", "median stay", "p90 stay", "by"]
    out.print()
    out.print(table(columns, rows, right="entries,at the end,median stay,p90 stay"))


def _rules(out: Console, report: r.Report) -> None:
    rows = []
    for one in report.rules:
        counts = [f"{one.count(outcome):,}" for outcome in OUTCOMES]
        waiting = f"{sum(one.waiting.values()):,}"
        rows.append(
            (escape(one.rule), *counts, waiting, escape(reasons(one.sent.channels)), escape(why(one)))
        )
    columns = ["rule", *OUTCOMES, "waiting", "would send", "why not"]
    out.print()
    out.print(table(columns, rows, right=",".join((*OUTCOMES, "waiting"))))


def _workflows(out: Console, report: r.Report) -> None:
    if not report.workflows:
        return
    names = ["started", "done", "stopped", "failed", "cancelled", "running"]
    rows = []
    for one in report.workflows:
        counts = [sum(one.started.values()), *(one.count(name) for name in names[1:-1]), one.running]
        sent = escape(reasons(one.sent.channels))
        rows.append((escape(one.workflow), *(f"{count:,}" for count in counts), sent, escape(why(one))))
    out.print()
    out.print(table(["workflow", *names, "would send", "why"], rows, right=",".join(names)))


def _triggers(out: Console, report: r.Report) -> None:
    if not report.triggers:
        return
    rows = []
    for one in report.triggers:
        refused = f"{sum(one.refused.values()):,}"
        said = "; ".join(part for part in (reasons(one.refused), tests(one.tests)) if part)
        rows.append((escape(one.trigger), escape(one.stage), f"{one.moves:,}", refused, escape(said)))
    out.print()
    columns = ["trigger", "moves to", "moves", "refused", "why not"]
    out.print(table(columns, rows, right="moves,refused"))


def _messages(out: Console, report: r.Report) -> None:
    rows = []
    for name, sent in report.senders():
        for example in sent.examples[:1]:
            said = content(example.values)
            rows.append((escape(name), example.channel, escape(example.item), escape(said)))
    if rows:
        out.print()
        out.print(table(["first message of", "channel", "item", "content"], rows[:SHOWN_MAX]))


def content(values: dict[str, object]) -> str:
    """A message in a line."""
    return " · ".join(" ".join(f"{name} {value}".split()) for name, value in values.items() if value)


# ---------------------------------------------------------------- the difference


def show_comparison(out: Console, made: Comparison) -> None:
    """What is different, then the first items of each kind."""
    out.print()
    against = f"{escape(made.then.files)} → {escape(made.now.files)}"
    if not made.items_different:
        out.print(f"[green]no difference[/green] in {counted(made.items_compared, 'item')}: {against}")
    else:
        items = f"{made.items_different:,} of {counted(made.items_compared, 'item')}"
        kinds = ", ".join(counted(n, f"{kind} change") for kind, n in made.changes.items() if n)
        out.print(f"[bold]{items} come out otherwise[/bold]: {against} ({kinds})")
        rows = []
        for group in made.groups[:SHOWN_MAX]:
            item, change = group.examples[0]
            example = told(change, made.now.zone)
            rows.append(
                (group.kind, escape(group.name), escape(group.label), f"{group.count:,}", f"{group.items:,}",
                 escape(item), escape(example))
            )  # fmt: skip
        columns = ["what", "of", "then → now", "changes", "items", "for example", ""]
        out.print(table(columns, rows, right="changes,items"))
        if len(made.groups) > SHOWN_MAX:
            out.print(f"… and {len(made.groups) - SHOWN_MAX} more kinds of change")
    if made.deltas:
        counts = [
            (one.kind, escape(one.name), escape(what), f"{then:,}", f"{now:,}", f"{now - then:+,}")
            for one in made.deltas
            for what, (then, now) in one.counts.items()
        ]
        out.print()
        out.print(table(["what", "of", "count", "then", "now", ""], counts[:SHOWN_MAX], right="then,now,"))


def told(change: Change, zone: str) -> str:
    """`done 2026-03-05 09:00 → cancelled: left stage 2026-03-04 10:00`; what is the same stands once."""
    then, now = change.then, change.now
    if then is not None and now is not None and said(then) == said(now):
        if then.at_ms == now.at_ms:
            return f"{said(then)}, at the same moment"
        return f"{said(then)}: {moment(then.at_ms, zone)} → {moment(now.at_ms, zone)}"
    return f"{mark(then, zone)} → {mark(now, zone)}"


def mark(one: Mark | None, zone: str) -> str:
    """What there was on one side."""
    if one is None:
        return NOTHING
    return f"{said(one)} {moment(one.at_ms, zone)}" if one.at_ms else said(one)


def said(one: Mark) -> str:
    """An outcome with its reason, or a message's channel and content."""
    return f"{one.outcome}: {one.reason}" if one.reason else one.outcome


NOTHING: Final = "–"
