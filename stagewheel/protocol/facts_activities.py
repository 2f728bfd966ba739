"""Facts of activities, calls and meetings (E7–E9, 1.2, 7.7). Laws: those of `journal.py`, from where
everybody imports these names.
"""

from typing import Any

from stagewheel.protocol.facts import Fact


class ActivityPlanned(Fact, tag=55):
    """An activity was planned: all that it is (`activity` has the names of `ActivityView`, and no empty
    value).
    """

    rule: str  # or workflow; empty: a command
    number: int
    activity: dict[str, Any]
    by: int = 0


class ActivityChanged(Fact, tag=56):
    """New values of an activity, by the names of `ActivityView`. `before` is its status before, where that
    changed.

    `why`: "" a command, or left stage | deadline | item deleted. `rule` is the one that planned it.
    """

    number: int
    changes: dict[str, Any]
    before: str = ""
    by: int = 0
    why: str = ""
    rule: str = ""


class CalendarPut(Fact, tag=57):
    """An activity stands in the calendars of these employees, with these values; it replaces what stood there
    of it.
    """

    number: int
    employees: list[int]
    start_ms: int
    end_ms: int
    text: str
    colour: str = ""
    address: str = ""
    room: str = ""
    rule: str = ""


class CalendarTaken(Fact, tag=58):
    """An activity was taken out of the calendars of these employees."""

    number: int
    employees: list[int]
    rule: str = ""
