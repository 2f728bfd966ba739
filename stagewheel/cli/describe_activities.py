"""Sentences about activities, calls, meetings and calendars."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from stagewheel.cli.abouts import About
from stagewheel.cli.output import moment
from stagewheel.cli.telling import Line, by_rule, employees, shown_value
from stagewheel.protocol import journal as j

WHY: Final[Mapping[str, str]] = MappingProxyType(
    {
        "left stage": ", since the item left the stage",
        "deadline": ", its deadline has passed",
        "item deleted": ", since the item is deleted",
    }
)


def _planned(about: About, fact: j.ActivityPlanned) -> Line:
    one = fact.activity
    by = by_rule(fact.rule) or (f" by employee {fact.by}" if fact.by else "")
    when = f", {moment(one['deadline_ms'])}" if one.get("deadline_ms") else ""
    room = f", room {one['room']}" if one.get("room") else ""
    what = "activity" if one["kind"] == "other" else one["kind"]
    whom = f"for employee {one.get('responsible', 0)}"
    return Line("done", f"{what} {fact.number} planned{by} {whom}: {one['text']}{when}{room}")


def _changed(about: About, fact: j.ActivityChanged) -> Line:
    told = dict(fact.changes)
    parts = []
    if "status" in told:
        parts.append(f"{told.pop('status')} (was {fact.before})")
    if "deadline_ms" in told:
        at_ms = told.pop("deadline_ms")
        parts.append(f"put off to {moment(at_ms)}" if at_ms else "it has no deadline")
    parts += [f"{name} = {shown_value(value)}" for name, value in told.items()]
    by = f" by employee {fact.by}" if fact.by else ""
    return Line("changed", f"activity {fact.number}{by}: {', '.join(parts)}{WHY.get(fact.why, '')}")


def _entered(about: About, fact: j.CalendarPut) -> Line:
    span = f"{moment(fact.start_ms)} to {moment(fact.end_ms)}"
    return Line("", f"activity {fact.number} stands in the calendar of {employees(fact.employees)}: {span}")


def _taken(about: About, fact: j.CalendarTaken) -> Line:
    return Line("", f"activity {fact.number} is taken out of the calendar of {employees(fact.employees)}")


SENTENCES: Final[Mapping[type, Callable[[About, Any], Line]]] = MappingProxyType(
    {
        j.ActivityPlanned: _planned,
        j.ActivityChanged: _changed,
        j.CalendarPut: _entered,
        j.CalendarTaken: _taken,
    }
)
