"""A simulation's report as one HTML page with charts: no script, nothing from the network, to be mailed.

Laws: the page is made from the report alone, so equal reports are equal pages, byte for byte; every text goes
through the template's escaping. Charts are boxes whose width is a share, and bars of an SVG: a browser draws
them, and whoever has none reads the numbers beside them.
"""

from datetime import date, timedelta
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, StrictUndefined
from msgspec import Struct

from stagewheel import __version__
from stagewheel.cli.output import span
from stagewheel.cli.simulate_tables import content, moment, reasons, tests, told, why
from stagewheel.server.backtest import report as r
from stagewheel.server.backtest.compare import Comparison, ItemDifference

TEMPLATE: Final = "simulate.html.j2"
BARS_MAX: Final = 120  # of the chart over time; more days are told several a bar
ITEMS_SHOWN_MAX: Final = 200
CHART_HEIGHT: Final = 120
OUTCOMES: Final = ("done", "skipped", "cancelled", "failed", "waiting")
ENDS: Final = ("success", "open", "failure", "deleted")


class Part(Struct):
    """A piece of a stacked bar: its share of the whole in percent."""

    name: str
    count: int
    percent: float


class Bar(Struct):
    """A bar of the chart over time, from its foot upwards in pixels."""

    day: str
    x: float
    width: float
    commands: float
    timers: float
    sent: float
    title: str


def page(report: r.Report, comparison: Comparison | None) -> str:
    """The whole page."""
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {
        "span": span,
        "reasons": reasons,
        "tests": tests,
        "content": content,
        "n": grouped,
        "signed": signed,
    }
    text = files("stagewheel.cli").joinpath(TEMPLATE).read_text(encoding="utf-8")
    return made.from_string(text).render(
        report=report,
        made=comparison,
        version=__version__,
        moment=lambda at_ms: moment(at_ms, report.zone),
        told=lambda change: told(change, report.zone),
        path=lambda stops: " → ".join(stop.stage or "deleted" for stop in stops),
        why=why,
        days=bars(report.days),
        height=CHART_HEIGHT,
        ends={one.pipeline: parts({name: getattr(one, name) for name in ENDS}) for one in report.pipelines},
        rules={one.rule: parts(_of_rule(one)) for one in report.rules},
        workflows={one.workflow: parts(_of_workflow(one)) for one in report.workflows},
        outcomes=OUTCOMES,
        stays=_shares({(one.pipeline, one.stage): one.p90_ms for one in report.stages}),
        medians=_medians(report.stages),
        entries=_shares({(one.pipeline, one.stage): one.entries for one in report.stages}),
        examples=_examples(report),
        items=items_shown(comparison),
        left_out=max(0, len(comparison.items) - ITEMS_SHOWN_MAX) if comparison is not None else 0,
    )


def grouped(count: int) -> str:
    """`12,345`."""
    return f"{count:,}"


def signed(count: int) -> str:
    """`+12,345`."""
    return f"{count:+,}"


def parts(counts: r.Counts) -> list[Part]:
    """A stacked bar; what is 0 has no piece."""
    total = sum(counts.values())
    return [Part(name, count, round(100 * count / total, 3)) for name, count in counts.items() if count]


def bars(days: list[r.Day]) -> list[Bar]:
    """The chart over time: as many days a bar as it takes to have no more than `BARS_MAX`."""
    days = every_day(days)
    each = -(-len(days) // BARS_MAX) if days else 1
    groups = [days[at : at + each] for at in range(0, len(days), each)]
    sums = [[sum(getattr(day, what) for day in group) for what in COUNTED] for group in groups]
    highest = max((sum(one) for one in sums), default=0) or 1
    width = round(100 / max(1, len(groups)), 4)
    made = []
    for at, (group, counts) in enumerate(zip(groups, sums, strict=True)):
        commands, timers, sent = (round(CHART_HEIGHT * count / highest, 2) for count in counts)
        said = ", ".join(f"{count:,} {what}" for count, what in zip(counts, COUNTED, strict=True))
        until = f" to {group[-1].day}" if len(group) > 1 else ""
        title = f"{group[0].day}{until}: {said}"
        made.append(Bar(group[0].day, round(at * width, 4), width, commands, timers, sent, title))
    return made


def every_day(days: list[r.Day]) -> list[r.Day]:
    """Also those on which nothing happened, so that a bar's place is its time."""
    if not days:
        return []
    known = {one.day: one for one in days}
    first, last = date.fromisoformat(days[0].day), date.fromisoformat(days[-1].day)
    names = [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]
    return [known.get(name) or r.Day(name) for name in names]


COUNTED: Final = ("commands", "timers", "sent")


def items_shown(comparison: Comparison | None) -> list[ItemDifference]:
    """The first items that differ."""
    return comparison.items[:ITEMS_SHOWN_MAX] if comparison is not None else []


def _of_rule(one: r.RuleReport) -> r.Counts:
    return {name: one.count(name) for name in OUTCOMES[:-1]} | {"waiting": sum(one.waiting.values())}


def _of_workflow(one: r.WorkflowReport) -> r.Counts:
    return {
        "done": one.count("done"),
        "skipped": one.count("stopped"),
        "cancelled": one.count("cancelled"),
        "failed": one.count("failed"),
        "waiting": one.running,
    }


def _shares(values: dict[Any, int]) -> dict[Any, float]:
    """Each in percent of the highest."""
    highest = max(values.values(), default=0) or 1
    return {key: round(100 * value / highest, 3) for key, value in values.items()}


def _medians(stages: list[r.StageReport]) -> dict[Any, float]:
    highest = max((one.p90_ms for one in stages), default=0) or 1
    return {(one.pipeline, one.stage): round(100 * one.median_ms / highest, 3) for one in stages}


def _examples(report: r.Report) -> list[tuple[str, r.Example]]:
    return [(name, example) for name, sent in report.senders() for example in sent.examples]
