"""What commands print: one JSON value for programs, tables and sentences for people.

Laws: with `--json` standard output holds exactly one JSON value (or one a line, where a command says so) and
nothing else; progress and remarks go to standard error. Times are shown in this machine's zone. Bars and
tables are imported when one is drawn: most commands, `serve` first, start without.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from stagewheel.protocol.plain import plain

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table

WIDTH_WITHOUT_TERMINAL = 160

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def emit(value: Any) -> None:
    """One JSON value on a line of standard output."""
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def console(*, stderr: bool = False) -> Console:
    """Where people read. Without a terminal lines are wide, so that tools that read them see whole rows."""
    made = Console(stderr=stderr, highlight=False, soft_wrap=False)
    if not made.is_terminal:
        made = Console(stderr=stderr, highlight=False, width=WIDTH_WITHOUT_TERMINAL)
    return made


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "", right: str = "") -> "Table":
    """Rows of text. `right` names the columns, by comma, that hold numbers."""
    from rich.table import Table

    made = Table(title=title or None, title_justify="left", show_edge=False, pad_edge=False, box=None)
    numbers = right.split(",") if right else []
    for name in columns:
        made.add_column(name, justify="right" if name in numbers else "left", header_style="bold")
    for row in rows:
        made.add_row(*[one if isinstance(one, str) else str(one) for one in row])
    return made


def progress(described: str = "{task.description}") -> "Progress":
    """A progress bar on standard error, shown on a terminal only."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    return Progress(
        TextColumn(described),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True, highlight=False),
        transient=False,
        disable=not sys.stderr.isatty(),
    )


def beside(bar: "Progress", out: Console) -> Console:
    """Where to print while a bar is shown: through the bar, if both would go to the same screen."""
    return bar.console if out.is_terminal and not bar.disable else out


def moment(at_ms: int) -> str:
    """A moment for people: `2026-03-02 09:00:00`."""
    if not at_ms:
        return "–"
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def span(ms: int) -> str:
    """A length of time for people: `6d 23h`, `1.5 s`."""
    seconds = ms // 1000
    if seconds < 60:
        return f"{ms / 1000:.1f} s"
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def counted(count: int, one: str, many: str = "") -> str:
    """`1 rule`, `2 rules`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
