"""Generated conditions against a reference: an interpreter that walks the tree and knows nothing of the
compiler, of forms and of constants. It is written for being read beside semantics 4, not for speed.
"""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from hypothesis import given, settings, strategies as st

from stagewheel.protocol.messages import Client
from tests.rules.making import MONDAY_NINE_MS, condition, holds, scope

HOUR_MS = 3_600_000
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TYPES = {
    "name": "text",
    "size": "number",
    "amount": "money",
    "paid": "boolean",
    "due": "date",
    "tags": "text",
}
OPPOSITES = {"is_not": "is", "not_in": "in", "not_contains": "contains", "filled": "empty"}


class World(NamedTuple):
    """What a condition is asked about."""

    fields: dict[str, Any]
    was: dict[str, Any]
    hours: int  # since Monday 00:00
    client: str | None


# ---------------------------------------------------------------- the reference


def truth(raw: dict[str, Any], world: World) -> bool:
    """Does the condition hold?"""
    ((key, value),) = raw.items()
    if key == "all":
        return all(truth(one, world) for one in value)
    if key == "any":
        return any(truth(one, world) for one in value)
    if key == "not":
        return not truth(value, world)
    if key == "expr":
        return computed(value, world)
    ((operator, expected),) = value.items()
    if key == "now":
        return in_window(operator, expected, world)
    if key == "client.name":
        return says("text", world.client, operator, expected)
    if operator.startswith("changed"):
        return changed(key, operator, expected, world)
    return says(TYPES[key], world.fields.get(key), operator, expected)


def says(type_: str, value: Any, operator: str, expected: Any) -> bool:
    """One test of one value."""
    if operator in OPPOSITES:
        return not says(type_, value, OPPOSITES[operator], expected)
    missing = value is None or value == "" or value == []
    if operator == "empty":
        return missing is expected
    if missing:
        return False
    if isinstance(value, list):
        have = {one.lower() for one in value}
        if operator == "contains":
            return any(expected.lower() in one for one in have)
        want = {one.lower() for one in expected}
        return have == want if operator == "is" else bool(have & want)
    if operator == "in":
        return any(says(type_, value, "is", one) for one in expected)
    if operator == "between":
        return says(type_, value, "gte", expected[0]) and says(type_, value, "lte", expected[1])
    a, b = plain(type_, value), plain(type_, expected)
    if type_ == "money":
        (a, mine), (b, other) = a, b
        if mine and other and mine != other:
            return False
    answers: dict[str, Callable[[], Any]] = {
        "is": lambda: a == b,
        "gt": lambda: a > b,
        "gte": lambda: a >= b,
        "lt": lambda: a < b,
        "lte": lambda: a <= b,
        "contains": lambda: b in a,
        "starts_with": lambda: a.startswith(b),
        "ends_with": lambda: a.endswith(b),
    }
    return bool(answers[operator]())


def plain(type_: str, value: Any) -> Any:
    """A value as Python compares it."""
    if type_ == "text":
        return value.lower()
    if type_ == "boolean":
        return value
    if type_ == "date":
        return dt.date.fromisoformat(value)
    if type_ == "money":
        amount, currency = (value["amount"], value["currency"]) if isinstance(value, dict) else (value, "")
        return Decimal(str(amount)), currency
    return Decimal(str(value))


def changed(name: str, operator: str, expected: Any, world: World) -> bool:
    """`changed…`"""
    did = name in world.was
    if operator == "changed":
        return did is expected
    value = world.was.get(name) if operator == "changed_from" else world.fields.get(name)
    if expected is None:
        return did and value in (None, "", [])
    return did and says(TYPES[name], value, "is", expected)


def in_window(operator: str, expected: Any, world: World) -> bool:
    """Windows of the clock on the wall."""
    if operator == "weekday":
        return DAYS[world.hours // 24 % 7] in expected
    begin, end = (int(text[:2]) for text in expected)
    hour = world.hours % 24
    return begin <= hour < end if begin < end else hour >= begin or hour < end


def computed(source: str, world: World) -> bool:
    """`item.size SIGN NUMBER`"""
    _, sign, number = source.split()
    operator = {">": "gt", "<=": "lte", "==": "is", "!=": "is_not"}[sign]
    return says("number", world.fields.get("size"), operator, int(number))


# ---------------------------------------------------------------- what is generated

WORDS = st.sampled_from(["a", "B", "ab", "AB"])
NUMBERS = st.integers(-2, 2)
MONEY = st.one_of(
    NUMBERS, st.fixed_dictionaries({"amount": NUMBERS, "currency": st.sampled_from(["EUR", "USD"])})
)
DATES = st.integers(1, 4).map(lambda day: f"2026-03-{28 + day if day < 4 else 28}")
HOURS = st.lists(st.integers(0, 23), min_size=2, max_size=2, unique=True).map(
    lambda pair: [f"{hour:02}:00" for hour in pair]
)
EQUAL = ("is", "is_not")
ORDER = (*EQUAL, "gt", "gte", "lt", "lte")
AMONG = ("in", "not_in")
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "name": WORDS,
    "size": NUMBERS,
    "amount": MONEY,
    "paid": st.booleans(),
    "due": DATES,
}


def asking(field: str, operators: tuple[str, ...], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Tests of one field."""
    return st.builds(lambda operator, value: {field: {operator: value}}, st.sampled_from(operators), values)


SEVERAL = st.lists(WORDS, min_size=1, max_size=3)
TESTS = st.one_of(
    asking("name", (*EQUAL, "contains", "not_contains", "starts_with", "ends_with"), WORDS),
    asking("client.name", (*EQUAL, "contains"), WORDS),
    asking("paid", EQUAL, st.booleans()),
    *(asking(field, ORDER, VALUES[field]) for field in ("size", "amount", "due")),
    *(
        asking(field, ("between",), st.lists(VALUES[field], min_size=2, max_size=2))
        for field in ("size", "amount", "due")
    ),
    *(asking(field, AMONG, st.lists(VALUES[field], min_size=1, max_size=3)) for field in VALUES),
    asking("tags", ("contains", "not_contains"), WORDS),
    asking("tags", (*EQUAL, *AMONG), SEVERAL),
    *(asking(field, ("empty", "filled"), st.booleans()) for field in TYPES),
    *(asking(field, ("changed",), st.booleans()) for field in TYPES),
    *(
        asking(field, ("changed_from", "changed_to"), st.one_of(st.none(), VALUES.get(field, SEVERAL)))
        for field in TYPES
    ),
    asking("now", ("between",), HOURS),
    asking("now", ("weekday",), st.lists(st.sampled_from(DAYS), min_size=1, max_size=3)),
)
SIGNS = st.sampled_from([">", "<=", "==", "!="])
EXPRESSIONS = st.builds(lambda sign, number: {"expr": f"item.size {sign} {number}"}, SIGNS, st.integers(0, 2))


def trees(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """All, any and not over these."""
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(lambda v: {"all": v}, st.lists(inner, min_size=1, max_size=3)),
            st.builds(lambda v: {"any": v}, st.lists(inner, min_size=1, max_size=3)),
            st.builds(lambda v: {"not": v}, inner),
        ),
        max_leaves=12,
    )


STORED = {
    "name": st.one_of(st.none(), st.just(""), WORDS),
    "size": st.one_of(st.none(), NUMBERS, NUMBERS.map(str)),
    "amount": st.one_of(st.none(), MONEY),
    "paid": st.one_of(st.none(), st.booleans()),
    "due": st.one_of(st.none(), st.just(""), DATES),
    "tags": st.one_of(st.none(), st.lists(WORDS, max_size=3)),
}
WORLDS = st.builds(
    World,
    st.fixed_dictionaries({}, optional=STORED),
    st.fixed_dictionaries({}, optional=STORED),
    st.integers(0, 7 * 24 - 1),
    st.one_of(st.none(), WORDS),
)


def scope_of(world: World) -> Any:
    """The world as a decision sees it."""
    client = Client(world.client) if world.client is not None else None
    at = scope(world.fields, client=client, now_ms=MONDAY_NINE_MS + (world.hours - 9) * HOUR_MS)
    at.was = world.was
    return at


@settings(max_examples=300)
@given(trees(st.one_of(TESTS, EXPRESSIONS)), WORLDS)
def test_s4_1_a_compiled_condition_answers_as_the_tree_walked_naively(raw: Any, world: World) -> None:
    """C1, C2, C4, C5, C6"""
    made = condition(raw)
    seen: list[Any] = []
    assert made.holds(scope_of(world), seen) is truth(raw, world)
    numbers = seen[::2]
    assert numbers == sorted(set(numbers)), "each test at most once, in the order of the file"
    for number, value in zip(numbers, seen[1::2], strict=True):
        test = made.tests[number]
        if test.path in TYPES and not test.operator.startswith("changed"):
            assert value == world.fields.get(test.path)


@given(TESTS, WORLDS)
def test_s4_2_a_negative_operator_is_the_exact_opposite(raw: Any, world: World) -> None:
    """C2: whatever the value is, so true where there is none."""
    ((path, test),) = raw.items()
    ((operator, expected),) = test.items()
    for negative, positive in OPPOSITES.items():
        if operator in (negative, positive):
            at = scope_of(world)
            assert holds({path: {negative: expected}}, at) is not holds({path: {positive: expected}}, at)


@given(TESTS, WORLDS)
def test_s4_8_a_test_says_again_what_it_said_of_the_value_it_saw(raw: Any, world: World) -> None:
    """C2: what explains a decision later has the value and the zone, and nothing else."""
    made = condition(raw)
    seen: list[Any] = []
    at = scope_of(world)
    held = made.holds(at, seen)
    [test] = made.tests
    assert test.holds(seen[1], at) is held


def test_a_condition_may_be_nested_as_deep_as_a_document() -> None:
    raw: dict[str, Any] = {"size": {"gt": 1}}
    for number in range(40):
        raw = {"not": raw} if number % 2 else {"all": [raw, {"name": {"filled": True}}]}
    world = World({"size": 2, "name": "x"}, {}, 9, None)
    assert holds(raw, scope_of(world)) == truth(raw, world)
