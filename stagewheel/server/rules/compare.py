"""Tests of values: what each operator means for each type of field (semantics 4.1 to 4.4).

Laws: what was written is checked and brought into its form once, at compile time; a missing value (None,
"", [], {}) is empty and never equal, greater or smaller than anything; a negative operator is the exact
opposite of its positive one and is made by negating it, so here stand only the positive ones.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from stagewheel.server.core.calendar import DAY_MS, parse_date, parse_datetime, parse_time_of_day, wall_of
from stagewheel.server.core.plan_actions import Zoned
from stagewheel.server.rules.names import Kind

Check = Callable[[Any, Zoned], bool]
Form = Callable[[Any, Zoned], Any]  # a value as it is compared; None if it is none of that type

NEGATIVE: Final = {"is_not": "is", "not_in": "in", "not_contains": "contains", "filled": "empty"}
ORDER: Final = ("gt", "gte", "lt", "lte", "between")
EQUAL: Final = ("is", "in", "empty")
TEXTUAL: Final = ("contains", "starts_with", "ends_with")
FITS: Final[dict[str, tuple[str, ...]]] = {
    "text": (*EQUAL, *TEXTUAL),
    "number": (*EQUAL, *ORDER),
    "money": (*EQUAL, *ORDER),
    "boolean": EQUAL,
    "date": (*EQUAL, *ORDER),
    "datetime": (*EQUAL, *ORDER),
    "file": ("empty",),
    "record": ("empty",),
    "any": (*EQUAL, *ORDER, *TEXTUAL),
    "now": (*ORDER, "weekday"),
}
FITS_MULTIPLE: Final = ("is", "in", "contains", "empty")
CHANGES: Final = ("changed", "changed_from", "changed_to")
OPERATORS: Final = (*EQUAL, *ORDER, *TEXTUAL, *NEGATIVE, "weekday", *CHANGES)
SINGLE_TYPES: Final = ("file", "record")  # that can only be there or not, also where there are several
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NUMBER_CHARS_MAX: Final = 40
EMPTY_VALUES: Final[tuple[Any, ...]] = (None, "", [], {})
WEEKDAY_OF_1970: Final = 3  # the first of January was a Thursday


def fitting(kind: Kind) -> tuple[str, ...]:
    """All operators that fit a type, but for `changed…`, which fit what can change, whatever its type."""
    positive = FITS_MULTIPLE if kind.multiple and kind.type not in SINGLE_TYPES else FITS[kind.type]
    return (*positive, *(negative for negative, of in NEGATIVE.items() if of in positive))


def check(kind: Kind, operator: str, expected: Any, case: bool = False) -> Check:
    """The test of a positive operator. ValueError says what is wrong with `expected`."""
    if operator == "empty":
        return lambda value, scope: value in EMPTY_VALUES
    if kind.type == "now":
        return _check_now(operator, expected)
    if kind.multiple:
        return _check_multiple(kind.type, operator, expected, case)
    if kind.type == "any" and operator == "is" and isinstance(expected, list):
        return _check_multiple("any", operator, expected, case)
    single = _check_single(kind.type, operator, expected, case)
    if kind.type != "any" or operator in ORDER:
        return single
    several = _check_multiple("any", operator, expected, case) if operator in FITS_MULTIPLE else None
    if several is None:
        return single
    return lambda value, scope: several(value, scope) if isinstance(value, list) else single(value, scope)


def _check_single(type_: str, operator: str, expected: Any, case: bool) -> Check:
    form, forms = _forms(type_, operator, expected, case)
    if operator == "in":
        if not isinstance(expected, list) or not expected:
            raise ValueError("'in' needs a list of values")
        wanted = [forms(one) for one in expected]
        if type_ in ("money", "date", "datetime"):
            return lambda value, scope: _any_equal(form(value, scope), wanted, scope)
        chosen = frozenset(one(None) for one in wanted)
        return lambda value, scope: (found := form(value, scope)) is not None and found in chosen
    if operator == "between":
        low, high = (forms(one) for one in _two(expected))
        return lambda value, scope: (
            (found := form(value, scope)) is not None and _le(low(scope), found) and _le(found, high(scope))
        )
    wanted_one = forms(expected)
    compare = COMPARE[operator]
    return lambda value, scope: (
        (found := form(value, scope)) is not None and compare(found, wanted_one(scope))
    )


def _any_equal(found: Any, wanted: list[Callable[[Any], Any]], scope: Zoned) -> bool:
    return found is not None and any(equal(found, one(scope)) for one in wanted)


def _check_multiple(type_: str, operator: str, expected: Any, case: bool) -> Check:
    form, forms = _forms(type_, operator, expected, case)
    if operator == "contains":
        one = forms(expected)
        compare = COMPARE["contains" if _is_text(type_, expected) else "is"]
        return lambda value, scope: any(compare(found, one(scope)) for found in _values(value, form, scope))
    wanted = [forms(each) for each in (expected if isinstance(expected, list) else [expected])]
    if operator == "in":
        if not isinstance(expected, list) or not expected:
            raise ValueError("'in' needs a list of values")
        return lambda value, scope: any(_any_equal(f, wanted, scope) for f in _values(value, form, scope))
    return lambda value, scope: _same(_values(value, form, scope), [one(scope) for one in wanted])


def _same(found: list[Any], wanted: list[Any]) -> bool:
    """Equal as sets; nothing equals an empty value."""
    return (
        bool(found)
        and all(any(equal(a, b) for b in wanted) for a in found)
        and all(any(equal(a, b) for a in found) for b in wanted)
    )


def _values(value: Any, form: Form, scope: Zoned) -> list[Any]:
    values = value if isinstance(value, list) else [value]
    return [found for one in values if (found := form(one, scope)) is not None]


def _two(expected: Any) -> list[Any]:
    if not isinstance(expected, list) or len(expected) != 2:
        raise ValueError("'between' needs a list of two values: [from, to]")
    return expected


# ---------------------------------------------------------------- forms: how values and literals are compared


def _is_text(type_: str, expected: Any) -> bool:
    return type_ == "text" or (type_ == "any" and isinstance(expected, str))


def _forms(
    type_: str, operator: str, expected: Any, case: bool
) -> tuple[Form, Callable[[Any], Callable[[Any], Any]]]:
    """How the item's value is brought into its form, and how a literal becomes a function of the scope."""
    if type_ == "any":
        type_ = _type_of_literal(operator, expected)
    if type_ == "text":
        if case:
            return _exact, lambda one: _constant(_text(one))
        return _folded, lambda one: _constant(_text(one).casefold())
    if type_ == "number":
        return lambda value, scope: number(value), lambda one: _constant(_number(one))
    if type_ == "money":
        return lambda value, scope: money(value), lambda one: _constant(_money(one))
    if type_ == "boolean":
        return _truth, lambda one: _constant(_bool(one))
    day = type_ == "date"
    return lambda value, scope: instant(value, scope.zone, day), lambda one: _moment(one, day)


def _type_of_literal(operator: str, expected: Any) -> str:
    one = expected[0] if isinstance(expected, list) and expected else expected
    if isinstance(one, bool):
        return "boolean"
    if isinstance(one, int | float):
        return "number"
    if isinstance(one, dict):
        return "money"
    return "datetime" if operator in ORDER else "text"


def _constant(value: Any) -> Callable[[Any], Any]:
    return lambda scope: value


def _exact(value: Any, scope: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _folded(value: Any, scope: Any) -> str | None:
    return value.casefold() if isinstance(value, str) and value else None


def _truth(value: Any, scope: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def number(value: Any) -> float | int | None:
    """A number, or text that is one; None otherwise."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        if len(value) > NUMBER_CHARS_MAX or "_" in value:  # Python's own way of writing a million
            return None
        try:
            return int(value) if value.strip().lstrip("+-").isdecimal() else _finite(float(value))
        except ValueError:
            return None
    return _finite(value)


def _finite(value: Any) -> float | None:
    return value if isinstance(value, float) and math.isfinite(value) else None


def money(value: Any) -> tuple[float | int, str] | None:
    """(amount, currency) of a number or of {amount, currency}; the currency of a plain number is ""."""
    if type(value) is int:
        return value, ""
    currency = ""
    if isinstance(value, dict):
        currency = value.get("currency") or ""
        value = value.get("amount")
    amount = number(value)
    return (amount, str(currency).upper()) if amount is not None else None


@lru_cache(maxsize=4096)
def _instant(value: str | int, zone: ZoneInfo, day: bool) -> int | None:
    try:
        return parse_date(value, zone) if day else parse_datetime(value, zone)
    except ValueError:
        return None


def instant(value: Any, zone: ZoneInfo, day: bool = False) -> int | None:
    """The moment that a date or date and time means in a zone; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    return _instant(value, zone, day)


def _text(literal: Any) -> str:
    if not isinstance(literal, str):
        raise ValueError(f'text is expected here; put it in quotes: "{literal}"')
    if literal == "":
        raise ValueError("an empty text equals nothing; write {empty: true}")
    if "{{" in literal:
        raise ValueError("a condition compares with fixed values; templates are not filled in here")
    return literal


def _number(literal: Any) -> float | int:
    found = number(literal)
    if found is None:
        raise ValueError("a number is expected here")
    return found


def _money(literal: Any) -> tuple[float | int, str]:
    if isinstance(literal, dict) and not {"amount", "currency"} >= literal.keys() >= {"amount"}:
        raise ValueError("an amount of money is a number or {amount: 100, currency: EUR}")
    found = money(literal)
    if found is None:
        raise ValueError("an amount of money is expected here: a number or {amount: 100, currency: EUR}")
    return found


def _bool(literal: Any) -> bool:
    if not isinstance(literal, bool):
        raise ValueError("true or false is expected here")
    return literal


def check_moment(literal: str) -> None:
    """ValueError if a text is no date, nor a date and time."""
    parse_datetime(literal, ZoneInfo("UTC"))


def _moment(literal: Any, day: bool) -> Callable[[Any], Any]:
    if not isinstance(literal, str):
        raise ValueError("a date is expected here, such as 2026-03-29 or 2026-03-29T09:00")
    check_moment(literal)
    return lambda scope: _instant(literal, scope.zone, day)


# ---------------------------------------------------------------- comparisons of forms


def equal(found: Any, wanted: Any) -> bool:
    """Are two values in one form equal? Money needs equal currencies, unless one side is a plain number."""
    if isinstance(found, tuple) and isinstance(wanted, tuple):  # money
        return found[0] == wanted[0] and _same_currency(found, wanted)
    return bool(found == wanted)


def _same_currency(a: tuple[Any, str], b: tuple[Any, str]) -> bool:
    return not a[1] or not b[1] or a[1] == b[1]


def less(a: Any, b: Any) -> bool:
    """Is the first of two values in one form the smaller?"""
    if isinstance(a, tuple):
        return _same_currency(a, b) and bool(a[0] < b[0])
    return bool(a < b)


def _le(a: Any, b: Any) -> bool:
    return less(a, b) or equal(a, b)


COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "is": equal,
    "lt": less,
    "lte": _le,
    "gt": lambda found, wanted: less(wanted, found),
    "gte": lambda found, wanted: _le(wanted, found),
    "contains": lambda found, wanted: wanted in found,
    "starts_with": lambda found, wanted: found.startswith(wanted),
    "ends_with": lambda found, wanted: found.endswith(wanted),
}


# ---------------------------------------------------------------- `now`


def _check_now(operator: str, expected: Any) -> Check:
    if operator == "weekday":
        days = expected if isinstance(expected, list) else [expected]
        for day in days:
            if day not in WEEKDAYS:
                raise ValueError(f"a weekday is one of {', '.join(WEEKDAYS)}, not {day!r}")
        wanted = frozenset(WEEKDAYS.index(day) for day in days)
        return lambda value, scope: _weekday(value, scope) in wanted
    if operator == "between":
        begin, end = _two(expected)
        if isinstance(begin, str) and len(begin) <= 8:
            return _check_window(parse_time_of_day(begin), parse_time_of_day(end))
        first, last = _moment(begin, day=False), _moment(end, day=False)
        return lambda value, scope: bool(first(scope) <= value < last(scope))
    return _check_single("datetime", operator, expected, case=False)


def _check_window(begin_ms: int, end_ms: int) -> Check:
    """From `begin`, included, to `end`, excluded; over midnight if it ends before it begins (4.6)."""
    if begin_ms == end_ms:
        raise ValueError("a window that ends when it begins holds no moment")
    if begin_ms < end_ms:
        return lambda value, scope: begin_ms <= _clock_ms(value, scope) < end_ms
    return lambda value, scope: not end_ms <= _clock_ms(value, scope) < begin_ms


def _clock_ms(now_ms: int, at: Zoned) -> int:
    """Since midnight, on the clock on the wall."""
    return wall_of(now_ms, at.zone) % DAY_MS


def _weekday(now_ms: int, at: Zoned) -> int:
    """0 is Monday."""
    return (wall_of(now_ms, at.zone) // DAY_MS + WEEKDAY_OF_1970) % 7
