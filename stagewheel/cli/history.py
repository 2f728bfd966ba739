"""`stagewheel history`: what is stored for people over all items, to look through and to count (E1–E4)."""

from datetime import datetime, timedelta
from itertools import islice
from typing import Final

import click
from rich.markup import escape

from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.output import console, counted, emit, json_option, moment, table
from stagewheel.protocol.messages import RecordFilter, RecordView

NAMES: Final = {"history": "entry", "notification": "notification", "stream": "message"}
MANY: Final = {"history": "entries"}
COLUMNS: Final = ("number", "at", "item", "stage", "rule", "author", "responsible", "text")


class Moment(click.ParamType):  # type: ignore[type-arg]  # at run time it takes none
    """A date, or a moment; without an offset in the zone of this machine."""

    name = "moment"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """2026-03-02, 2026-03-02T09:00, 2026-03-02T09:00+01:00."""
        try:
            return datetime.fromisoformat(value).astimezone()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no date such as 2026-03-02, and no moment such as 2026-03-02T09:00")


@click.command()
@click.option("--kind", type=click.Choice(list(NAMES)), default="history", show_default=True)
@click.option("--item", default="", metavar="KEY", help="Only of this item.")
@click.option("--text", default="", help="Only with these words in the text.")
@click.option("--rule", default="", help="Only of this rule or workflow.")
@click.option("--author", default="", help="Only by this author (of a history entry: what it says).")
@click.option("--responsible", type=click.IntRange(1), default=None, help="Of this employee's items then.")
@click.option("--pipeline", default="")
@click.option("--stage", default="", help="Only of items that were in this stage then.")
@click.option("--from", "from_", type=Moment(), default=None, help="From this date or moment on.")
@click.option("--to", type=Moment(), default=None, help="Until the end of this date, or before this moment.")
@click.option("-n", "--limit", type=click.IntRange(1), default=50, show_default=True, help="Newest ones.")
@click.option("--count", is_flag=True, help="Say how many there are.")
@click.option("--by", type=click.Choice(["rule", "author", "responsible", "stage", "item"]), help="Count by.")
@server_options
@json_option
def command(
    kind: str,
    item: str,
    text: str,
    rule: str,
    author: str,
    responsible: int | None,
    pipeline: str,
    stage: str,
    from_: datetime | None,
    to: datetime | None,
    limit: int,
    count: bool,
    by: str | None,
    server: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """List what rules wrote for people, newest first; or count it.

    Entries of the history; with --kind notifications, or messages of the activity stream and their answers.
    """
    where = RecordFilter(
        item, text, rule, author, responsible or 0, pipeline, stage, _ms(from_), _ms(_after(to))
    )
    with connected(server, timeout_s, role="read") as client:
        if count or by:
            _show_counts(client.record_counts(kind, where, by or ""), kind, by or "", as_json)
            return
        found = list(islice(client.records(kind, where), limit))
    if as_json:
        emit(found)
        return
    if found:
        console().print(table(COLUMNS, [_row(one) for one in found], right="number"))
    console().print(counted(len(found), NAMES[kind], MANY.get(kind, "")))


def _show_counts(counts: dict[str, int], kind: str, by: str, as_json: bool) -> None:
    if as_json:
        emit(counts if by else {"count": counts.get("", 0)})
        return
    if by and counts:
        console().print(
            table((by, "count"), [(escape(name) or "–", n) for name, n in counts.items()], right="count")
        )
    console().print(counted(sum(counts.values()), NAMES[kind], MANY.get(kind, "")))


def _row(one: RecordView) -> tuple[str, ...]:
    text = escape(one.text)
    if one.reply_to:
        text = f"(to {one.reply_to}) {text}"
    if one.to:
        text = f"{text} [dim]→ {', '.join(map(str, one.to))}[/dim]"
    place = f"{one.pipeline}/{one.stage}"
    who = str(one.responsible or "–")
    return (
        str(one.number),
        moment(one.at_ms),
        escape(one.item),
        place,
        one.rule,
        escape(one.author),
        who,
        text,
    )


def _ms(at: datetime | None) -> int:
    return int(at.timestamp() * 1000) if at is not None else 0


def _after(to: datetime | None) -> datetime | None:
    """A date ends with its last moment."""
    if to is None or (to.hour, to.minute, to.second, to.microsecond) != (0, 0, 0, 0):
        return to
    return (to.replace(tzinfo=None) + timedelta(days=1)).astimezone()
