"""One report of all results that are kept: a Markdown page, and a picture where people would rather look.

`python -m bench report` reads `bench/results/*.json` and writes `REPORT.md` and PNG files beside them.
Nothing is measured and no figure is typed: what the page says stands in the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from bench import budgets, compare, figures

RESULTS: Final = Path(__file__).parent / "results"
SIZE: Final = (8.0, 4.5)
DPI: Final = 110


def write(folder: Path = RESULTS) -> Path:
    """Draw and write all of it; the page."""
    page = folder / "REPORT.md"
    results = figures.kept(folder)
    text = ["# What was measured", "", *_budgets(results), ""]
    for name, result in results.items():
        text += [f"## {name}", ""]
        picture = _picture(name, result, folder)
        if picture is not None:
            text += [f"![{name}]({picture.name})", ""]
        table = TABLES.get(result["benchmark"], _table)
        text += [*table(result), "", _made_on(result.get("machine", {})), ""]
    page.write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")
    return page


def _budgets(results: Mapping[str, Any]) -> Iterator[str]:
    """What was promised, what was measured, and whether it is held."""
    yield "## Budgets"
    yield ""
    yield "| what | wanted | measured | held |"
    yield "|---|---:|---:|---|"
    for budget, value in budgets.held_against(results):
        measured = "not measured" if value is None else budgets.shown(value)
        yield f"| {budget.what} | {budget.wanted()} | {measured} | {budget.verdict(value)} |"


def _peers(result: Mapping[str, Any]) -> Iterator[str]:
    """The same work, done by each; our own row first."""
    yield "| peer | version | how it is durable | events/s | timers/s | we, by events | we, by timers |"
    yield "|---|---|---|---:|---:|---:|---:|"
    for row in result["peers"].values():
        by = [
            f"{row[key]:g}×" if key in row else "" for key in ("stagewheel_by_events", "stagewheel_by_timers")
        ]
        yield (
            f"| {row['name']} | {row['version']} | {row['durability']} | {row['events_per_s']:,} | "
            f"{row['timers_per_s']:,} | {by[0]} | {by[1]} |"
        )
    yield ""
    for name, row in result["peers"].items():
        yield f"- `{name}`: {row['how']}."
    for name, why in result["not_run"].items():
        yield f"- `{name}` was not run: {why}."


def _table(result: Mapping[str, Any]) -> Iterator[str]:
    yield "| figure | value |"
    yield "|---|---:|"
    for name, value in compare.figures(result):
        yield f"| {name} | {value:,.6g} |"


def _made_on(told: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in told.get("versions", {}).items())
    return (
        f"Measured on {told.get('processor', '?')}, {told.get('cores', '?')} cores, a flush of 4 KiB in "
        f"{told.get('fdatasync_4k_us', '?')} µs; {versions}."
    )


# ---------------------------------------------------------------- pictures


def _picture(name: str, result: Mapping[str, Any], folder: Path) -> Path | None:
    draw = PICTURES.get(result["benchmark"])
    if draw is None:
        return None
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    draw(figure.add_subplot(), result)
    path = folder / f"{name}.png"
    figure.savefig(path, metadata={"Software": "stagewheel bench"})
    return path


def _latency(axes: Any, result: Mapping[str, Any]) -> None:
    for rate, told in result["at_events_per_s"].items():
        points = [(100 / (100 - rank), ms) for rank, ms in told["curve"] if rank < 100]
        held = "" if told["held"] else " (not held)"
        axes.plot(*zip(*points, strict=True), label=f"{float(rate):,.0f} events/s{held}")
    axes.set(xscale="log", yscale="log", xlabel="percentile", ylabel="ms", title="From due to answered")
    axes.set_xticks([1, 10, 100, 1000, 10000], ["0", "90", "99", "99.9", "99.99"])
    axes.grid(True, which="major", alpha=0.3)
    axes.legend()


def _storm(axes: Any, result: Mapping[str, Any]) -> None:
    for key, label in (
        ("new_events_before_ms", "new events before"),
        ("new_events_meanwhile_ms", "new events meanwhile"),
        ("late_ms", "lateness of timers"),
    ):
        points = [(100 / (100 - rank), ms) for rank, ms in result[key]["curve"] if rank < 100]
        axes.plot(*zip(*points, strict=True), label=label)
    axes.set(xscale="log", yscale="log", xlabel="percentile", ylabel="ms", title="A storm of timers")
    axes.set_xticks([1, 10, 100, 1000, 10000], ["0", "90", "99", "99.9", "99.99"])
    axes.grid(True, which="major", alpha=0.3)
    axes.legend()


def _growth(axes: Any, result: Mapping[str, Any]) -> None:
    counts = [case["items"] for case in result["cases"]]
    axes.plot(counts, [case["us_per_event"] for case in result["cases"]], "o-", label="stagewheel")
    axes.plot(counts, [case["ceiling_us_per_event"] for case in result["cases"]], "o-", label="null pipeline")
    axes.set(xscale="log", ylim=(0, None), xlabel="items stored", ylabel="µs", title="Time an event")
    axes.grid(True, alpha=0.3)
    axes.legend()


def _memory(axes: Any, result: Mapping[str, Any]) -> None:
    axes.plot(result["anonymous_mb_over_time"], "o-")
    axes.set(
        ylim=(0, None), xlabel="look", ylabel="MB", title="Anonymous memory of all processes, under load"
    )
    axes.grid(True, alpha=0.3)


def _client(axes: Any, result: Mapping[str, Any]) -> None:
    for shell, sizes in result["events_per_s"].items():
        axes.plot([int(size) for size in sizes], list(sizes.values()), "o-", label=shell)
    axes.set(
        xscale="log", ylim=(0, None), xlabel="commands a batch", ylabel="events/s", title="Client library"
    )
    axes.grid(True, alpha=0.3)
    axes.legend()


TABLES: Final[Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]]] = {"peers": _peers}

PICTURES: Final[Mapping[str, Callable[[Any, Mapping[str, Any]], None]]] = {
    "latency": _latency,
    "timer_storm": _storm,
    "growth": _growth,
    "memory": _memory,
    "client": _client,
}
