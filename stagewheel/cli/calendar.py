"""`stagewheel calendar`: what stands in the calendar of an employee, also as an iCalendar file (E9)."""

from datetime import datetime
from pathlib import Path

import click
from rich.markup import escape

from stagewheel.cli.connection import connected, server_options
from stagewheel.cli.history import Moment
from stagewheel.cli.output import console, counted, emit, json_option, moment, table
from stagewheel.errors import CallerError
from stagewheel.protocol.messages import CalendarEntry
from stagewheel.server.rules.ics import Event, calendar_of, place_of, summary_of


@click.command()
@click.argument("employee", type=click.IntRange(1))
@click.option("--from", "from_", type=Moment(), default=None, help="From this date or moment on.")
@click.option("--to", type=Moment(), default=None, help="What begins before this date or moment.")
@click.option("--ics", type=click.Path(dir_okay=False, path_type=Path), help="Write an iCalendar file.")
@server_options
@json_option
def command(
    employee: int,
    from_: datetime | None,
    to: datetime | None,
    ics: Path | None,
    server: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Show the calendar of EMPLOYEE: activities in which they take part and that stand in calendars."""
    with connected(server, timeout_s, role="read") as client:
        found = list(client.calendar(employee, _ms(from_), _ms(to)))
    if ics is not None:
        try:
            ics.write_bytes(calendar_of(map(event_of, found)))
        except OSError as error:
            raise CallerError(f"{ics} can't be written: {error.strerror}") from None
    if as_json:
        emit(found)
        return
    if found and ics is None:
        console().print(table(("from", "to", "item", "kind", "status", "text"), map(_row, found)))
    console().print(counted(len(found), "entry", "entries") + (f" in {ics}" if ics is not None else ""))


def event_of(one: CalendarEntry) -> Event:
    """An entry as an event of iCalendar."""
    return Event(
        uid=one.uid,
        sequence=one.sequence,
        stamp_ms=one.changed_ms,
        start_ms=one.start_ms,
        end_ms=one.end_ms,
        summary=summary_of(one.text),
        description=one.text,
        location=place_of(one.room, one.address),
        url=one.link,
        colour=one.colour,
    )


def _row(one: CalendarEntry) -> tuple[str, ...]:
    where = place_of(one.room, one.address)
    text = f"{one.text} ({where})" if where else one.text
    return moment(one.start_ms), moment(one.end_ms), escape(one.item), one.kind, one.status, escape(text)


def _ms(at: datetime | None) -> int:
    return int(at.timestamp() * 1000) if at is not None else 0
