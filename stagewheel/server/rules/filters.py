"""The filters of the template language: all there are, each bounded in what it can make.

Laws: a filter of nothing is nothing (only `default` gives another value); a value that a filter can't use
raises, and the template fails with its name; none reads a clock, a locale or a file, so the same value
gives the same text everywhere. Times are shown in the zone of the item.

Why not Jinja's own: `center`, `format`, `replace`, `join` and others can make gigabytes of a short
template.
"""

import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from jinja2 import Undefined, pass_context
from jinja2.runtime import Context
from markupsafe import escape as markup_of

from stagewheel.server.core.calendar import parse_date, parse_datetime
from stagewheel.server.core.scope import LinksMissing
from stagewheel.server.limits import SENDER_TEXT_CHARS_MAX
from stagewheel.server.rules.compare import EMPTY_VALUES, money as money_of, number

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DATE: Final = "%Y-%m-%d"
TIME: Final = "%H:%M"
FORMAT_CHARS_MAX: Final = 100

LINKS: Final = "_links"  # what makes links, as the context has it; no template can name it
SENDER_FILTERS: Final = frozenset({"tracked"})  # of messages that a sender renders


def _nothing(value: Any) -> bool:
    return value is None or value == "" or isinstance(value, Undefined)


def empty(value: Any) -> bool:
    """As conditions mean it: an empty list or mapping as well."""
    return _nothing(value) or value in EMPTY_VALUES


def _text(value: Any) -> str:
    return "" if _nothing(value) else str(value)


def money(value: Any, currency: str = "") -> str:
    """`1,234.50 EUR` of a number or {amount, currency}."""
    if _nothing(value):
        return ""
    found = money_of(value)
    if found is None:
        raise ValueError(f"money: {value!r} is no amount")
    amount, own = found
    shown = Decimal(str(amount)).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return f"{shown:,} {own or currency}".rstrip()


def _shown(context: Context, value: Any, form: str, day: bool) -> str:
    if _nothing(value):
        return ""
    if len(form) > FORMAT_CHARS_MAX:
        raise ValueError("the format is too long")
    zone = ZoneInfo(context["timezone"])
    moment_ms = parse_date(value, zone) if day else parse_datetime(value, zone)
    return (EPOCH + timedelta(milliseconds=moment_ms)).astimezone(zone).strftime(form)


@pass_context
def date(context: Context, value: Any, form: str = DATE) -> str:
    """`2026-03-29`, or by a format such as "%d.%m.%Y"."""
    return _shown(context, value, form, day=True)


@pass_context
def datetime_(context: Context, value: Any, form: str = f"{DATE} {TIME}") -> str:
    """`2026-03-29 09:00`, or by a format."""
    return _shown(context, value, form, day=False)


@pass_context
def time(context: Context, value: Any, form: str = TIME) -> str:
    """`09:00`, or by a format."""
    return _shown(context, value, form, day=False)


def default(value: Any, other: Any = "") -> Any:
    """The value, or another one if it is empty."""
    return other if _nothing(value) else value


def round_(value: Any, digits: int = 0) -> Any:
    """Rounded half up: `2.5 | round` is 3."""
    found = _number(value)
    if found is None:
        return None
    if not -12 <= digits <= 12:
        raise ValueError("round: between -12 and 12 digits")
    rounded = Decimal(str(found)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return int(rounded) if digits <= 0 else float(rounded)


def int_(value: Any, other: int = 0) -> int:
    """A whole number; text that is none gives the other value."""
    found = number(value)
    return other if found is None else int(found)


def float_(value: Any, other: float = 0.0) -> float:
    """A number; text that is none gives the other value."""
    found = number(value)
    return other if found is None else float(found)


def abs_(value: Any) -> Any:
    """Without its sign."""
    found = _number(value)
    return None if found is None else abs(found)


def _number(value: Any) -> Any:
    if _nothing(value):
        return None
    found = number(value)
    if found is None or not math.isfinite(found):
        raise ValueError(f"{value!r} is no number")
    return found


def upper(value: Any) -> str:
    """IN CAPITALS."""
    return _text(value).upper()


def lower(value: Any) -> str:
    """in small letters."""
    return _text(value).lower()


def capitalize(value: Any) -> str:
    """First letter large, the others small."""
    return _text(value).capitalize()


def title(value: Any) -> str:
    """Each Word Begins Large."""
    return _text(value).title()


def trim(value: Any) -> str:
    """Without white space at both ends."""
    return _text(value).strip()


def truncate(value: Any, length: int = 100, end: str = "…") -> str:
    """At most `length` characters; what is cut ends with `end`."""
    text = _text(value)
    return text if len(text) <= length else text[: max(0, length - len(end))] + end


def replace(value: Any, old: str, new: str) -> str:
    """One piece of text by another, everywhere."""
    text, old, new = _text(value), str(old), str(new)
    if not old:
        raise ValueError("replace: the text to replace is empty")
    _bound(len(text) + text.count(old) * (len(new) - len(old)))
    return text.replace(old, new)


def join(value: Any, between: str = ", ") -> str:
    """The values of a list in one text."""
    if _nothing(value):
        return ""
    parts: list[str] = []
    length = 0
    for one in _list(value):
        parts.append(_text(one))
        length += len(parts[-1]) + len(between)
        _bound(length)
    return between.join(parts)


def length(value: Any) -> int:
    """How many characters or values."""
    return 0 if _nothing(value) else len(value)


def first(value: Any) -> Any:
    """The first value of a list, or nothing."""
    return next(iter(_list(value)), None)


def last(value: Any) -> Any:
    """The last value of a list, or nothing."""
    values = list(_list(value))
    return values[-1] if values else None


def urlencode(value: Any) -> str:
    """Safe as one part of a web address."""
    return quote(_text(value), safe="")


def escape(value: Any) -> str:
    """Safe as text of an HTML page."""
    return "" if _nothing(value) else markup_of(value)


@pass_context
def tracked(context: Context, value: Any) -> str:
    """An address that tells of the click and leads on to this one."""
    if _nothing(value):
        return ""
    links = context[LINKS]
    if links is None:
        raise LinksMissing
    url = _text(value).strip()
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"tracked: {url!r} is no web address")
    return str(links.click(url))


def _list(value: Any) -> Iterable[Any]:
    if _nothing(value):
        return []
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list | tuple | range):
        raise ValueError(f"{type(value).__name__} is no list")
    return value


def _bound(chars: int) -> None:
    if chars > SENDER_TEXT_CHARS_MAX:
        raise ValueError(f"a text of more than {SENDER_TEXT_CHARS_MAX} characters")


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "money": money,
    "date": date,
    "datetime": datetime_,
    "time": time,
    "default": default,
    "round": round_,
    "int": int_,
    "float": float_,
    "abs": abs_,
    "upper": upper,
    "lower": lower,
    "capitalize": capitalize,
    "title": title,
    "trim": trim,
    "truncate": truncate,
    "replace": replace,
    "join": join,
    "length": length,
    "first": first,
    "last": last,
    "urlencode": urlencode,
    "escape": escape,
    "tracked": tracked,
}
TESTS: Final[dict[str, Callable[..., bool]]] = {
    "defined": lambda value: not _nothing(value),
    "none": _nothing,
    "empty": empty,
    "filled": lambda value: not empty(value),
    "odd": lambda value: int(value) % 2 == 1,
    "even": lambda value: int(value) % 2 == 0,
}
