"""What sentences about the journal are made of: a line, values as they are shown, tests and what they saw."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from stagewheel.protocol.messages import Test

VALUE_CHARS_MAX: Final = 60


WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "is_not": "is not",
        "not_in": "is not one of",
        "in": "is one of",
        "gt": "above",
        "gte": "at least",
        "lt": "below",
        "lte": "at most",
        "not_contains": "does not contain",
        "starts_with": "starts with",
        "ends_with": "ends with",
        "changed_from": "changed from",
        "changed_to": "changed to",
    }
)


class Line(Struct, frozen=True):
    """One fact: what kind it is (for colours), the sentence, and what the decision saw."""

    outcome: str  # done | skipped | failed | cancelled | waits | sending | entered | changed | event | ""
    text: str
    why: str = ""


def what_saw(tests: Sequence[Test]) -> str:
    """`status was 'new' (asked: is 'auto')`: the tests that were made, the last of which decided."""
    parts = []
    for test in tests:
        word = WORDS.get(test.operator, test.operator)
        saw = shown_seen(test.operator, test.seen)
        parts.append(f"{test.path} was {saw} (asked: {word} {shown_value(test.expected)})")
    return "; ".join(parts)


def shown_value(value: Any) -> str:
    """A value in a sentence, cut where it is long."""
    if value is None or value == "":
        return "empty"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= VALUE_CHARS_MAX else f"{text[: VALUE_CHARS_MAX - 1]}…"


def shown_seen(operator: str, seen: Any) -> str:
    """What a test saw: one value, what a value was and became, or all values that an expression read."""
    if not isinstance(seen, dict):
        return shown_value(seen)
    if operator == "holds":
        return ", ".join(f"{name} {shown_value(value)}" for name, value in seen.items()) or "constant"
    if operator in ("changed", "changed_from", "changed_to"):
        if "from" not in seen:
            return f"unchanged {shown_value(seen.get('unchanged'))}"
        return f"{shown_value(seen['from'])}, then {shown_value(seen.get('to'))}"
    return shown_value(seen)


def by_rule(rule: str) -> str:
    return f" by {rule}" if rule else ""


def employees(numbers: list[int]) -> str:
    return f"employee{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
