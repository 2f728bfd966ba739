"""Values of application actions as their types (H8): what a rule gives, and what a worker answers.

Laws: a value comes out as one that JSON has, the same for a worker in any language: numbers as numbers, also
where they were text; money as {amount, currency}; dates and moments as text in ISO form; an employee as a
number. What does not fit is told, and never bent.
"""

from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from stagewheel.server.core.calendar import parse_date, parse_datetime
from stagewheel.server.core.plan_app import Read
from stagewheel.server.rules.compare import money, number
from stagewheel.server.rules.fields import ACCEPTS
from stagewheel.server.rules.reader import shown

_UTC: Final = ZoneInfo("UTC")


def _text(value: Any) -> tuple[Any, str]:
    if isinstance(value, bool | list | dict):
        return value, f"text is expected, not {shown(value)}"
    text = str(value)
    return text, ACCEPTS["text"](text)


def _number(value: Any) -> tuple[Any, str]:
    return number(value), ACCEPTS["number"](value)


def _boolean(value: Any) -> tuple[Any, str]:
    if value in ("true", "false"):
        value = value == "true"
    return value, ACCEPTS["boolean"](value)


def _money(value: Any) -> tuple[Any, str]:
    wrong = ACCEPTS["money"](value)
    found = money(value)
    return ({"amount": found[0], "currency": found[1]} if found is not None else None), wrong


def _date(value: Any) -> tuple[Any, str]:
    wrong = ACCEPTS["date"](value)
    return (value if wrong else _iso(parse_date(value, _UTC))[:10]), wrong


def _datetime(value: Any) -> tuple[Any, str]:
    """A moment as it was written, with its zone; one that the engine counts in ms is told in UTC."""
    wrong = ACCEPTS["datetime"](value)
    if wrong or isinstance(value, str):
        return value, wrong
    return _iso(parse_datetime(value, _UTC)), ""


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")


def _list(value: Any) -> tuple[Any, str]:
    return value, "" if isinstance(value, list) else f"a list is expected, not {shown(value)}"


def _employee(value: Any) -> tuple[Any, str]:
    found = number(value)
    if not isinstance(found, int) or found < 1:
        return value, f"an employee's number is expected, not {shown(value)}"
    return found, ""


READS: Final[dict[str, Read]] = {
    "text": _text,
    "number": _number,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
    "money": _money,
    "list": _list,
    "employee": _employee,
}
