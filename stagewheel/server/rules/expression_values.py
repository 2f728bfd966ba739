"""What the operators of an `expr` do with the values they meet.

Laws: a missing value (None) is never equal, greater or smaller than anything, and arithmetic with it gives
nothing (semantics 4.4); money is its amount in arithmetic, and compares with money of the same currency or
with plain numbers; every number that goes into arithmetic has at most 30 digits, and every text that comes
out of it a bounded length. What can't be done raises ValueError, TypeError or ArithmeticError.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from stagewheel.server.limits import TURN_TEXT_CHARS_MAX
from stagewheel.server.rules import compare
from stagewheel.server.rules.sandbox import DIGITS_MAX

Number = int | float
PLAIN: Final = (int, str, float)  # two of one of these types need no look at what they are
BY_SIGN: Final[dict[str, Callable[[Any, Any], Number]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}


def moment(value: Any, zone: ZoneInfo) -> int | None:
    """A date and time, or a date at 00:00, as milliseconds; None where it is none."""
    return value if type(value) is int else compare.instant(value, zone)


def day(value: Any, zone: ZoneInfo) -> int | None:
    """The day of a date, as the milliseconds at which it begins in the zone."""
    return compare.instant(value, zone, day=True)


def counted(sign: str, left: Any, right: Any) -> Number | None:
    """Arithmetic of two values, one of which may be missing."""
    if left is None or right is None:
        return None
    return _bounded(BY_SIGN[sign](_number(left, sign), _number(right, sign)))


def added(left: Any, right: Any) -> Number | str | None:
    """`+`, which joins texts as well."""
    if isinstance(left, str) and isinstance(right, str):
        return glued(left, right)
    return counted("+", left, right)


def negated(value: Any) -> Number | None:
    """`-x`"""
    return None if value is None else -_number(value, "-")


def positive(value: Any) -> Number | None:
    """`+x`"""
    return None if value is None else _number(value, "+")


def glued(*parts: Any) -> str:
    """`a ~ b`"""
    text = "".join("" if part is None else str(part) for part in parts)
    if len(text) > TURN_TEXT_CHARS_MAX:
        raise ValueError(f"a text of more than {TURN_TEXT_CHARS_MAX} characters")
    return text


def equal(left: Any, right: Any) -> bool:
    """`==`; numbers equal text that is a number, since forms send nothing else."""
    if type(left) is type(right) and type(left) in PLAIN:
        return bool(left == right)
    if left is None or right is None:
        return False
    left, right = _alike(left, right)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return compare.equal(left, right)


def less(left: Any, right: Any) -> bool:
    """`<`"""
    if type(left) is type(right) and type(left) in PLAIN:
        return bool(left < right)
    if left is None or right is None:
        return False
    left, right = _alike(left, right)
    if type(left) is not type(right) and not (isinstance(left, Number) and isinstance(right, Number)):
        raise TypeError(f"{_named(left)} and {_named(right)} have no order")
    if isinstance(left, bool | list | Mapping):
        raise TypeError(f"{_named(left)} has no order")
    return compare.less(left, right)


def less_or_equal(left: Any, right: Any) -> bool:
    """`<=`"""
    return less(left, right) or equal(left, right)


def contained(value: Any, among: Any) -> bool:
    """`in`: one of a list's values, or a part of a text."""
    if value is None or among is None:
        return False
    if isinstance(among, list | tuple):
        return any(equal(value, one) for one in among)
    if isinstance(among, str) and isinstance(value, str):
        return value in among
    if isinstance(among, Mapping):
        return value in among
    raise TypeError(f"{_named(value)} can't be in {_named(among)}")


def placed(value: Any, index: Any) -> Any:
    """`x[0]`, `x["name"]`; nothing where there is none."""
    if isinstance(value, Mapping):
        return value.get(index) if isinstance(index, str) else None
    if isinstance(value, list | tuple | str) and type(index) is int and -len(value) <= index < len(value):
        return value[index]
    return None


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    """Two values as they can be compared: money with a number, a number with text that is one."""
    if isinstance(left, tuple) is not isinstance(right, tuple):
        return (left, (right, "")) if isinstance(left, tuple) else ((left, ""), right)
    if isinstance(left, str) and isinstance(right, Number) and type(right) is not bool:
        found = compare.number(left)
        return (left if found is None else found), right
    if isinstance(right, str) and isinstance(left, Number) and type(left) is not bool:
        found = compare.number(right)
        return left, (right if found is None else found)
    return left, right


def _number(value: Any, sign: str) -> Number:
    if isinstance(value, tuple):
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, Number):
        raise TypeError(f"'{sign}' needs numbers, not {_named(value)}")
    return _bounded(value)


def _bounded(value: Number) -> Number:
    if not abs(value) <= DIGITS_MAX:
        raise ValueError("a number is too large")
    return value


def _named(value: Any) -> str:
    names = {str: "text", bool: "true or false", list: "a list", dict: "a mapping", tuple: "money"}
    return names.get(type(value), "a number")
