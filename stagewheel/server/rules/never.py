"""Conditions that can never hold, found without running them.

Laws: only what is certain is told: a condition is called impossible when tests that must all hold contradict
each other, whatever the values are. Everything else is taken as possible; so there are no false alarms, and
some impossible conditions are not found.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from stagewheel.server.rules.compare import number

# A test that holds says that the field has a value (4.4): a missing value is never equal, greater or smaller.
NEEDS_VALUE = frozenset(
    {"is", "in", "gt", "gte", "lt", "lte", "between", "contains", "starts_with", "ends_with"}
)


class Known(Struct):
    """What must be true of one path when all tests of it hold."""

    allowed: list[Any] | None = None  # None: anything
    refused: list[Any] = []
    low: tuple[float, bool] | None = None  # bound, and whether the bound itself is in
    high: tuple[float, bool] | None = None
    empty: bool | None = None

    def copy(self) -> "Known":
        """One that may be narrowed further."""
        return Known(self.allowed, list(self.refused), self.low, self.high, self.empty)

    def contradiction(self) -> str:
        """ "" while some value is left, else why none is."""
        if self.empty and (self.allowed is not None or self.low is not None or self.high is not None):
            return "it would have to be empty and to have a value"
        if self.allowed is not None and not [one for one in self.allowed if self._fits(one)]:
            return "no value passes all of its tests"
        if self.low is not None and self.high is not None:
            (low, low_in), (high, high_in) = self.low, self.high
            if low > high or (low == high and not (low_in and high_in)):
                return f"it would have to be above {low:g} and below {high:g}"
        return ""

    def _fits(self, value: Any) -> bool:
        if value in self.refused:
            return False
        amount = number(value)
        if amount is None:
            return True
        if self.low is not None and (amount < self.low[0] or (amount == self.low[0] and not self.low[1])):
            return False
        return not (
            self.high is not None and (amount > self.high[0] or (amount == self.high[0] and not self.high[1]))
        )


Facts = dict[str, Known]
Kinds = Mapping[str, str]  # path -> type, of what has one value


def constant(**values: str) -> Facts:
    """Paths whose value is known beforehand, such as the stage in which a rule stands."""
    return {path: Known(allowed=[value.casefold()]) for path, value in values.items()}


def never_holds(raw: Any, facts: Facts, kinds: Kinds) -> str:
    """Why a condition can never hold; "" if it may. Only paths of `kinds` are looked at."""
    if not isinstance(raw, dict):
        return ""
    here = {path: known.copy() for path, known in facts.items()}
    later: list[tuple[str, Any]] = []
    for key, value in _conjuncts(raw):
        path = key.removeprefix("item.")
        if key in ("any", "not"):
            later.append((key, value))
        elif path in kinds and isinstance(value, dict) and "case" not in value:
            known = here.setdefault(path, Known())
            for operator, expected in value.items():
                _narrow(known, operator, expected, kinds[path])
            reason = known.contradiction()
            if reason:
                return f"'{key}': {reason}"
    for key, value in later:
        if key == "any" and isinstance(value, list) and value:
            reasons = [never_holds(one, here, kinds) for one in value]
            if all(reasons):
                return reasons[0]
    return ""


def _conjuncts(raw: dict[str, Any]) -> list[tuple[str, Any]]:
    """Everything that must hold together, `all` laid open."""
    found: list[tuple[str, Any]] = []
    for key, value in raw.items():
        if key == "all" and isinstance(value, list):
            for one in value:
                found += _conjuncts(one) if isinstance(one, dict) else []
        else:
            found.append((key, value))
    return found


def _narrow(known: Known, operator: str, expected: Any, kind: str) -> None:
    if operator in NEEDS_VALUE:
        if known.empty:
            known.allowed = []
        known.empty = known.empty or False
    if operator in ("is", "in", "is_not", "not_in"):
        values = [_plain(one, kind) for one in (expected if isinstance(expected, list) else [expected])]
        if None in values:
            return  # one value is written in many ways: a date, money of a currency
        if operator in ("is_not", "not_in"):
            known.refused += values
        else:
            known.allowed = values if known.allowed is None else [v for v in known.allowed if v in values]
    elif operator in ("gt", "gte", "lt", "lte"):
        _bound(known, operator, expected)
    elif operator == "between" and isinstance(expected, list) and len(expected) == 2:
        _bound(known, "gte", expected[0])
        _bound(known, "lte", expected[1])
    elif operator in ("empty", "filled") and isinstance(expected, bool):
        empty = expected == (operator == "empty")
        if known.empty is not None and known.empty != empty:
            known.allowed = []
        known.empty = empty


def _bound(known: Known, operator: str, expected: Any) -> None:
    amount = number(expected)
    if amount is None:
        return
    bound = (float(amount), operator.endswith("e"))
    if operator.startswith("g"):
        if known.low is None or bound[0] > known.low[0] or (bound[0] == known.low[0] and not bound[1]):
            known.low = bound
    elif known.high is None or bound[0] < known.high[0] or (bound[0] == known.high[0] and not bound[1]):
        known.high = bound


def _plain(value: Any, kind: str) -> Any:
    """A value as it compares with others of its type; None where that is not certain."""
    if kind in ("number", "money"):
        return number(value)
    if kind == "text":
        return str(value).casefold()
    return value if kind == "boolean" else None
