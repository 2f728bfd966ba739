"""Does what was seen fit what was expected, and if not, how do they differ?

Laws: a mapping fits when each value it names fits, so an expectation says only what matters; a list fits
value by value; one value fits a list of one. A mapping with `contains`, `lacks`, `starts_with` or `ends_with`
looks into a text or list. Moments fit when they are the same instant, whatever their offset. A difference is
told as lines that begin with `-` (expected), `+` (seen) or a blank (both).
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from difflib import SequenceMatcher
from types import MappingProxyType
from typing import Any, Final

QUIET: Final = frozenset(
    {"body", "headers", "attempt", "outcome", "reason", "json"}
)  # of what nobody expected
NOTHING: Final = "(nothing)"
LINE_CHARS_MAX: Final = 160


def _contains(wanted: Any, seen: Any) -> bool:
    parts = wanted if isinstance(wanted, list) else [wanted]
    if isinstance(seen, str):
        return all(str(part) in seen for part in parts)
    return isinstance(seen, list) and all(any(fits(part, one) for one in seen) for part in parts)


LOOKS: Final[Mapping[str, Callable[[Any, Any], bool]]] = MappingProxyType(
    {
        "contains": _contains,
        "lacks": lambda wanted, seen: (
            not any(_contains(part, seen) for part in (wanted if isinstance(wanted, list) else [wanted]))
        ),
        "starts_with": lambda wanted, seen: isinstance(seen, str) and seen.startswith(str(wanted)),
        "ends_with": lambda wanted, seen: isinstance(seen, str) and seen.endswith(str(wanted)),
    }
)


def fits(expected: Any, seen: Any) -> bool:
    """Is what was seen what was expected?"""
    if isinstance(expected, dict):
        if isinstance(seen, dict):
            return all(fits(value, seen.get(name)) for name, value in expected.items())
        return bool(expected) and all(n in LOOKS and LOOKS[n](v, seen) for n, v in expected.items())
    if isinstance(expected, list):
        return isinstance(seen, list) and len(expected) == len(seen) and all(map(fits, expected, seen))
    if isinstance(seen, list):
        return len(seen) == 1 and fits(expected, seen[0])
    if expected is None or expected == "":
        return seen is None or seen == ""
    if isinstance(expected, bool) or isinstance(seen, bool):
        return expected is seen
    return bool(expected == seen) or _same_moment(expected, seen)


def _same_moment(expected: Any, seen: Any) -> bool:
    if not (isinstance(expected, str) and isinstance(seen, str) and "-" in expected):
        return False
    try:
        one, other = datetime.fromisoformat(expected), datetime.fromisoformat(seen)
    except ValueError:
        return False
    if one.tzinfo is None or other.tzinfo is None:
        return one.replace(tzinfo=None) == other.replace(tzinfo=None)
    return one == other


def difference(expected: list[Any], seen: list[Any]) -> list[str]:
    """How two lists differ, as lines; none when each fits the one at its place."""
    if len(expected) == len(seen) and all(map(fits, expected, seen)):
        return []
    pairs = _paired(expected, seen)
    shown = [
        quiet(one) if at not in pairs else _as_expected(expected[pairs[at]], one)
        for at, one in enumerate(seen)
    ]
    return _diff(dump(expected), dump(shown) if shown else [NOTHING])


def missing(expected: list[Any], seen: list[Any], *, ordered: bool) -> list[str]:
    """Lines for each expected value that was not seen (in order, if `ordered`); none when all were."""
    left = list(seen)
    lines: list[str] = []
    for one in expected:
        at = next((at for at, other in enumerate(left) if fits(one, other)), None)
        if at is None:
            nearest = max(seen, key=lambda other: _nearness(one, other), default=None)
            close = nearest is not None and _nearness(one, nearest) > 0
            lines += _diff(dump([one]), dump([_as_expected(one, nearest)]) if close else [])
        elif ordered:
            del left[: at + 1]
        else:
            del left[at]
    return lines


def unwanted(wanted_not: list[Any], seen: list[Any]) -> list[str]:
    """Lines for what was seen and should not have been."""
    return [
        f"+ {line}" for one in seen if any(fits(no, one) for no in wanted_not) for line in dump([quiet(one)])
    ]


def dump(value: Any, indent: str = "") -> list[str]:
    """A value as lines, much as YAML writes it."""
    if isinstance(value, dict) and value:
        lines = []
        for name, one in value.items():
            lines += _entry(f"{indent}{name}:", one, indent)
        return lines
    if isinstance(value, list) and value:
        lines = []
        for one in value:
            below = dump(one, f"{indent}  ")
            lines += [f"{indent}- {below[0].strip()}", *below[1:]]
        return lines
    return [f"{indent}{_scalar(value)}"]


def quiet(value: Any) -> Any:
    """An effect without what only says how it went."""
    if not isinstance(value, dict):
        return value
    return {
        name: {n: v for n, v in one.items() if n not in QUIET} if isinstance(one, dict) else one
        for name, one in value.items()
    }


def _entry(name: str, value: Any, indent: str) -> list[str]:
    if isinstance(value, dict | list) and value:
        return [name, *dump(value, f"{indent}  ")]
    if isinstance(value, str) and "\n" in value:
        return [f"{name} |", *(f"{indent}  {line}"[:LINE_CHARS_MAX] for line in value.splitlines())]
    return [f"{name} {_scalar(value)}"]


def _scalar(value: Any) -> str:
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return text if len(text) <= LINE_CHARS_MAX else f"{text[: LINE_CHARS_MAX - 1]}…"


def _paired(expected: list[Any], seen: list[Any]) -> dict[int, int]:
    """Which seen value stands against which expected one: first those that fit, then those of a kind."""
    pairs: dict[int, int] = {}
    for same in (fits, _same_kind):
        matrix = SequenceMatcher(
            None,
            [
                f"e{at}" if at in pairs.values() else _label(one, expected, same)
                for at, one in enumerate(expected)
            ],
            [f"s{at}" if at in pairs else _label(one, expected, same) for at, one in enumerate(seen)],
            autojunk=False,
        )
        for block in matrix.get_matching_blocks():
            pairs.update({block.b + at: block.a + at for at in range(block.size)})
    return pairs


def _label(one: Any, expected: list[Any], same: Callable[[Any, Any], bool]) -> str:
    """A name for what a value is like: the first expected value it fits."""
    found = next((at for at, other in enumerate(expected) if other is one or same(other, one)), None)
    return f"like {found}" if found is not None else f"none {id(one)}"


def _same_kind(expected: Any, seen: Any) -> bool:
    both = isinstance(expected, dict) and isinstance(seen, dict)
    return both and bool(expected) and next(iter(expected)) in seen


def _as_expected(expected: Any, seen: Any) -> Any:
    """What was seen, with only what the expectation names, and in its words where it fits."""
    if fits(expected, seen):
        return expected
    if isinstance(expected, dict) and isinstance(seen, dict):
        return {name: _as_expected(value, seen.get(name)) for name, value in expected.items()}
    if isinstance(expected, list) and isinstance(seen, list):
        head = [_as_expected(one, other) for one, other in zip(expected, seen, strict=False)]
        return [*head, *map(quiet, seen[len(expected) :])]
    return seen


def _nearness(expected: Any, seen: Any) -> int:
    """How many values of a mapping fit."""
    if not (isinstance(expected, dict) and isinstance(seen, dict)):
        return int(fits(expected, seen))
    count = 0
    for name, value in expected.items():
        count += _nearness(value, seen.get(name)) if isinstance(value, dict) else fits(value, seen.get(name))
    return count


def _diff(expected: list[str], seen: list[str]) -> list[str]:
    lines: list[str] = []
    for tag, a1, a2, b1, b2 in SequenceMatcher(None, expected, seen, autojunk=False).get_opcodes():
        if tag == "equal":
            lines += _marked("  ", expected[a1:a2])
        else:
            lines += _marked("- ", expected[a1:a2]) + _marked("+ ", seen[b1:b2])
    return lines


def _marked(mark: str, lines: Iterable[str]) -> list[str]:
    return [mark + line for line in lines]
