"""`expr:` in conditions: what it can say and see, what is refused, and that no value breaks it (4.7)."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from stagewheel.server.core import triggers
from tests.rules.making import MONDAY_NINE_MS, complaint_of, condition, holds, scope

EUR = {"amount": "9.50", "currency": "EUR"}
VALUES: dict[str, Any] = {
    "name": "Bolt",
    "size": "6",
    "amount": EUR,
    "paid": True,
    "due": "2026-03-29",
    "meeting": "2026-03-02T10:00",
    "tags": ["hot", "vip"],
    "sizes": [1, 12],
}
TRIGGER = {"sum": "7", "word": "soon", "when": "2026-03-02T08:30:00Z", "list": ["a"], "form": {"page": 3}}


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("item.size > 5", True),
        ("item.size >= 6 and item.size <= 6 and not item.size < 6", True),
        ("item.size == 6", True),
        ("item.size != 6", False),
        ("1 < item.size < 7", True),
        ("1 < item.size < 6", False),
        ("7 > item.size >= 6 == 6.0", True),
        ("item.size * 2 + 1 == 13", True),
        ("item.size // 4 == 1 and item.size % 4 == 2 and item.size / 4 == 1.5", True),
        ("-item.size == -6 and +item.size == 6", True),
        ("item.size - 1 in [4, 5]", True),
        ("item.size not in [4, 5]", True),
        ("item.amount > 9", True),
        ("item.amount * 2 == 19", True),
        ("item.amount.currency == 'EUR' and item.amount.amount | float > 9", True),
        ("item.name == 'Bolt'", True),
        ("item.name == 'bolt'", False),
        ("item.name | lower == 'bolt'", True),
        ("'ol' in item.name and 'x' not in item.name", True),
        ("item.name ~ '-' ~ item.size == 'Bolt-6'", True),
        ("item.name + 's' == 'Bolts'", True),
        ("item.name | length == 4", True),
        ("'vip' in item.tags and 'cold' not in item.tags", True),
        ("item.tags | length > 1 and item.tags | first == 'hot' and item.tags[1] == 'vip'", True),
        ("12 in item.sizes and 2 not in item.sizes", True),
        ("item.paid", True),
        ("not item.paid", False),
        ("item.paid == true", True),
        ("item.due > now", True),
        ("item.due == '2026-03-29' and item.due > '2026-03-28'", True),
        ("'2026-03-28' < item.due <= '2026-03-29'", True),
        ("item.meeting - now == 3600000", True),
        ("item.meeting > '2026-03-02T09:30' and item.meeting < item.due", True),
        ("now - item.entered_at < 60 * 1000", True),
        ("item.due | date('%d') == '29'", True),
        ("now | time == '09:00' and now | date == '2026-03-02'", True),
        ("item.contract is empty and item.name is filled", True),
        ("item.size | default(0) > 5 and item.contract | default('none') == 'none'", True),
        ("(item.size if item.paid else 0) > 5", True),
        ("(item.size if not item.paid) is empty", True),
        ("item.size is even and not item.size is odd", True),
        ("client.name == 'Ada' and client.emails | length == 3", True),
        ("contact.email | lower == 'ada@home.example' and company.name is empty", True),
        ("responsible.name == 'Ines' and responsible.supervisor == 9", True),
        ("responsible.supervisor.name == 'Boss'", True),
        ("vars.round + 1 == 2", True),
        ("trigger.sum > 6 and trigger.form.page == 3 and 'a' in trigger.list", True),
        ("trigger.when > now and trigger.when < '2026-03-02T09:31'", True),
        ("item.stage == 'new' and item.entry == 2 and item.key == 'deal:1'", True),
        ("timezone == 'Europe/Rome'", True),
        ("1 == 1", True),
        ("item.size > 5 or trigger.word > 5", True),
        ("[1, 2] | last == 2", True),
    ],
)
def test_s4_7_an_expr_is_an_expression_of_the_template_language(source: str, result: bool) -> None:
    """C5"""
    at = scope(VALUES, trigger=TRIGGER, variables={"round": 1})
    assert holds({"expr": source}, at) is result
    assert holds({"not": {"expr": source}}, at) is not result


@pytest.mark.parametrize(
    ("positive", "negative"),
    [
        ("item.size == 5", "item.size != 5"),
        ("item.size in [5]", "item.size not in [5]"),
        ("item.size > 5", "not item.size > 5"),
        ("item.size + 1 <= 5", "not item.size + 1 <= 5"),
        ("item.amount < 5", "not item.amount < 5"),
        ("item.name == 'x'", "item.name != 'x'"),
        ("item.due < now", "not item.due < now"),
        ("'x' in item.tags", "'x' not in item.tags"),
        ("item.contract is filled", "item.contract is empty"),
    ],
)
def test_s4_7_what_is_missing_is_never_equal_greater_or_smaller(positive: str, negative: str) -> None:
    """C5: as in a test (4.4)."""
    assert not holds({"expr": positive}, scope())
    assert holds({"expr": negative}, scope())


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("item.size / 0 > 1", "division by zero"),
        ("trigger.word + 1 > 1", "'+' needs numbers, not text"),
        ("trigger.list > 1", "a number and a list have no order"),
        ("trigger.word > 1", "a number and text have no order"),
        ("item.name | date == 'x'", "'Bolt' is no date"),
        ("vars.round * 1000000000000000 * 1000000000000000 * 10 > 1", "a number is too large"),
    ],
)
def test_s4_7_what_can_not_be_computed_makes_nothing_happen_and_says_why(source: str, error: str) -> None:
    """C5: neither the condition nor its opposite holds; what holds without it does."""
    at = scope(VALUES, trigger=TRIGGER, variables={"round": 10})
    for raw in (
        {"expr": source},
        {"not": {"expr": source}},
        {"all": [{"paid": {"is": True}}, {"expr": source}]},
    ):
        made = condition(raw)
        seen: list[Any] = []
        assert not made.holds(at, seen)
        assert error in seen[-1]["error"]
    assert holds({"any": [{"expr": source}, {"paid": {"is": True}}]}, at)
    assert holds({"not": {"all": [{"expr": source}, {"paid": {"is": False}}]}}, at)
    assert holds({"not": {"not": {"any": [{"expr": source}, {"paid": {"is": True}}]}}}, at)


def test_s4_7_money_compares_in_one_currency_only() -> None:
    """C5"""
    at = scope({"amount": EUR}, trigger={"price": EUR})
    assert holds({"expr": "item.amount == 9.5 and item.amount < 10"}, at)
    assert not holds({"expr": "item.amount < item.amount"}, at)
    assert holds({"expr": "item.amount <= item.amount"}, at)


def test_s4_8_an_expr_is_kept_with_the_values_of_all_names_that_it_read() -> None:
    """C5"""
    source = "item.size > 5 and client.name == 'Ada' or now > 5"
    made = condition({"expr": source})
    [test] = made.tests
    assert (test.path, test.operator, test.expected) == ("expr", "holds", source)
    seen: list[Any] = []
    at = scope(VALUES)
    assert made.holds(at, seen)
    assert seen == [0, {"item.size": "6", "client.name": "Ada", "now": MONDAY_NINE_MS}]
    [told] = triggers.tests_seen(made, seen, at)
    assert (told.path, told.expected, told.seen, told.held) == ("expr", source, seen[1], True)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("item.nmae == 'x'", "unknown field 'nmae' of deal; did you mean 'name'?"),
        ("itm.name == 'x'", "unknown name 'itm'; did you mean 'item'?"),
        ("size > 1", "unknown name 'size'; write 'item.size'"),
        ("item == 1", "'item' is not one value"),
        ("item.client == 'x'", "'client' is not one value"),
        ("vars.turn == 1", "unknown variable 'turn'"),
        ("item.size", "an 'expr' is true or false; this one is number"),
        ("item.name | upper", "an 'expr' is true or false; this one is text"),
        ("'x' * 9 == 'x'", "a text or list is never repeated"),
        ("item.name * 9 == 'x'", "a text or list is never repeated"),
        ("[1] * 9 == 1", "a text or list is never repeated"),
        ("item.tags * 9 == 1", "a text or list is never repeated"),
        ("item.name % 9 == 'x'", "'%' needs numbers, not text"),
        ("item.size > 'x'", "'>' compares a number with text"),
        ("'x' < item.amount", "'<' compares money with text"),
        ("item.paid > 1", "'>' does not fit true or false"),
        ("item.tags > 1", "'>' does not fit a list"),
        ("item.name == none", "nothing equals none; write 'is empty'"),
        ("item.due < 'soon'", "'soon' is no date"),
        ("2 ** 9 > 1", "'pow' is not part of the template language"),
        ("range(3) == 1", "'call' is not part of the template language of what is computed within the turn"),
        ("item.name.upper() == 'X'", "'call' is not part of the template language"),
        ("item.name[0:1] == 'X'", "'slice' is not part of the template language"),
        ("{'a': 1} == 1", "'dict' is not part of the template language"),
        ("item.__class__ == 1", "begins with an underscore"),
        ("item.name | random == 'x'", "there is no filter 'random'"),
        ("item.name is upper", "there is no test 'upper'"),
        ("item.name | truncate(1, 2, 3) == 'x'", "the filter 'truncate' takes 0 to 2 values, not 3"),
        ("item.size >", "the expression: unexpected 'end of template'"),
        ("item.size > 1 item.size", "is too much"),
        ("item.size > 1 }} {{ 1", "without braces"),
        ("{{ item.size > 1 }}", "'expr' is an expression already; write it without braces"),
        ("", "'expr' needs an expression"),
        (5, "'expr' needs an expression"),
        (None, "'expr' needs an expression"),
        ("(" * 400 + "1" + ")" * 400, "nested too deeply"),
        ("1 == 1" + " and 1 == 1" * 100, "nested too deeply, or its expression is too long"),
        ("1 == 1" + "0" * 400, "the number is too large"),
        ("item.name == '" + "x" * 20_000 + "'", "longer than 16384 characters"),
    ],
)
def test_s4_7_check_refuses_in_an_expr_whatever_else_there_is(source: Any, said: str) -> None:
    """C5"""
    assert said in complaint_of({"expr": source})


@pytest.mark.parametrize("depth", [5, 15, 25, 55, 59])
@pytest.mark.parametrize(
    ("left", "middle", "right"),
    [
        ("not ", "1 == 1", ""),
        ("1 == (", "1", ")"),
        ("0 < (1 if ", "1 == 1", " else 0) < 2"),
        ("1 + (", "1", ") == 3"),
        ("(0 < ", "1", " < 2 < 3)"),
        ("1 | default(", "1 == 1", ")"),
    ],
)
def test_however_deep_an_expression_is_nested_it_is_compiled_or_refused(
    left: str, middle: str, right: str, depth: int
) -> None:
    raw = {"expr": left * depth + middle + right * depth}
    complaint = complaint_of(raw)
    assert complaint or holds(raw, scope()) in (True, False)


# ---------------------------------------------------------------- whatever the values are

ANYTHING = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**40), 10**40),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(["5", "2026-03-29", "EUR", "1e400", "-0", "\uff19", "1_0"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["amount", "currency", "x"]), inner)
    ),
    max_leaves=4,
)
OPERANDS = st.sampled_from(
    [
        "trigger.a",
        "trigger.b",
        "item.size",
        "item.amount",
        "item.due",
        "item.tags",
        "item.name",
        "5",
        "'5'",
        "now",
    ]
)
SUMS = st.one_of(
    OPERANDS,
    st.builds(
        lambda a, o, b: f"({a} {o} {b})",
        OPERANDS,
        st.sampled_from(["+", "-", "*", "/", "//", "%", "~"]),
        OPERANDS,
    ),
    st.builds(
        lambda a, f: f"({a} | {f})",
        OPERANDS,
        st.sampled_from(["int", "round", "length", "upper", "money", "date"]),
    ),
)
SOURCES = st.builds(
    lambda a, o, b: f"{a} {o} {b}", SUMS, st.sampled_from(["<", "<=", ">", "==", "!=", "in", "not in"]), SUMS
)
COMPILED: dict[str, Any] = {}


@given(SOURCES, ANYTHING, ANYTHING)
def test_s4_7_no_value_breaks_an_expression_and_the_same_values_give_the_same_answer(
    source: str, a: Any, b: Any
) -> None:
    """C5: there are only yes and no, whatever a payload or a field of an older version holds."""
    if source not in COMPILED:
        COMPILED[source] = None if complaint_of({"expr": source}) else condition({"expr": source})
    made = COMPILED[source]
    if made is None:
        return
    at = scope({"size": a, "amount": b, "due": a, "tags": b, "name": a}, trigger={"a": a, "b": b})
    first: list[Any] = []
    again: list[Any] = []
    assert made.holds(at, first) is made.holds(at, again)
    assert repr(first) == repr(again)
