"""Conditions: every operator on every type, what is refused, and the compiled function against a naive
interpreter.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagewheel.server.rules.compare import FITS, FITS_MULTIPLE, NEGATIVE
from tests.rules.making import MONDAY_NINE_MS, complaint_of, condition, holds, scope

HOUR_MS = 3_600_000
EUR = {"amount": 10, "currency": "EUR"}

# (field, value, operator, expected, whether it holds); negative operators are checked beside the positive.
CASES: list[tuple[str, Any, str, Any, bool]] = [
    ("name", "Bolt", "is", "bolt", True),
    ("name", "STRASSE", "is", "straße", True),
    ("name", "Bolt", "is", "Bol", False),
    ("name", None, "is", "Bolt", False),
    ("name", "", "is", "Bolt", False),
    ("name", 5, "is", "5", False),
    ("name", "Bolt", "in", ["nut", "BOLT"], True),
    ("name", None, "in", ["nut"], False),
    ("name", "A Message from Ada", "contains", "message", True),
    ("name", None, "contains", "x", False),
    ("name", "Bolt", "starts_with", "bo", True),
    ("name", "Bolt", "ends_with", "LT", True),
    ("name", "Bolt", "ends_with", "bo", False),
    ("name", None, "empty", True, True),
    ("name", "", "empty", True, True),
    ("name", "x", "empty", True, False),
    ("name", "x", "empty", False, True),
    ("size", 5, "is", 5, True),
    ("size", 5, "is", 5.0, True),
    ("size", "5", "is", 5, True),
    ("size", "5.5", "gt", 5, True),
    ("size", "5.5", "gt", "5.4", True),
    ("size", "many", "gt", 5, False),
    ("size", True, "is", 1, False),
    ("size", float("nan"), "is", 1, False),
    ("size", 5, "in", [4, "5"], True),
    ("size", 6, "gt", 6, False),
    ("size", 6, "gte", 6, True),
    ("size", 6.5, "gt", 6, True),
    ("size", 5, "lt", 6, True),
    ("size", 6, "lt", 6, False),
    ("size", 6, "lte", 6, True),
    ("size", None, "lte", 6, False),
    ("size", None, "lt", 6, False),
    ("size", None, "gt", -6, False),
    ("size", 0, "empty", True, False),
    ("size", 5, "between", [5, 7], True),
    ("size", 7, "between", [5, 7], True),
    ("size", 7.1, "between", [5, 7], False),
    ("size", None, "between", [-5, 7], False),
    ("amount", EUR, "is", 10, True),
    ("amount", EUR, "is", {"amount": 10, "currency": "eur"}, True),
    ("amount", EUR, "is", {"amount": 10, "currency": "USD"}, False),
    ("amount", 10, "is", {"amount": 10, "currency": "USD"}, True),
    ("amount", {"amount": "10.50", "currency": "EUR"}, "gt", 10, True),
    ("amount", EUR, "gt", {"amount": 5, "currency": "USD"}, False),
    ("amount", EUR, "lt", {"amount": 50, "currency": "USD"}, False),
    ("amount", EUR, "gte", {"amount": 10, "currency": "EUR"}, True),
    ("amount", EUR, "between", [{"amount": 10, "currency": "EUR"}, 11], True),
    ("amount", EUR, "in", [9, 10], True),
    ("amount", {"currency": "EUR"}, "lt", 10, False),
    ("amount", None, "lt", 10, False),
    ("paid", True, "is", True, True),
    ("paid", False, "is", True, False),
    ("paid", False, "is", False, True),
    ("paid", None, "is", False, False),
    ("paid", 1, "is", True, False),
    ("paid", True, "in", [True], True),
    ("paid", False, "empty", True, False),
    ("due", "2026-03-29", "is", "2026-03-29", True),
    ("due", "2026-03-29", "lt", "2026-03-30", True),
    ("due", "2026-03-29", "gt", "2026-03-29", False),
    ("due", "2026-03-29", "between", ["2026-03-29", "2026-03-30"], True),
    ("due", "soon", "lt", "2026-03-30", False),
    ("due", "2026-03-29T23:00:00Z", "is", "2026-03-30", True),
    ("meeting", "2026-03-02T09:00:00+01:00", "is", "2026-03-02T08:00:00Z", True),
    ("meeting", "2026-03-02T09:00", "is", "2026-03-02T08:00:00Z", True),
    ("meeting", MONDAY_NINE_MS, "is", "2026-03-02T09:00", True),
    ("meeting", "2026-03-02T09:00", "gt", "2026-03-02", True),
    ("meeting", "2026-03-02T09:00", "in", ["2026-03-02T09:00"], True),
    ("meeting", "", "lt", "2026-03-02", False),
    ("amount", None, "empty", True, True),
    ("due", None, "empty", True, True),
    ("due", "2026-03-29", "in", ["2026-03-28", "2026-03-29"], True),
    ("meeting", None, "empty", True, True),
    ("contract", {"name": "a.pdf"}, "empty", True, False),
    ("contract", {}, "empty", True, True),
    ("tags", ["Hot lead", "vip"], "contains", "hot", True),
    ("tags", ["Hot lead", "vip"], "contains", "cold", False),
    ("tags", ["vip", "Hot"], "is", ["hot", "VIP"], True),
    ("tags", ["vip", "hot", "hot"], "is", ["hot", "vip"], True),
    ("tags", ["vip"], "is", ["hot", "vip"], False),
    ("tags", ["vip"], "is", "vip", True),
    ("tags", ["vip", "hot"], "in", ["hot", "x"], True),
    ("tags", ["vip"], "in", ["hot", "x"], False),
    ("tags", [], "empty", True, True),
    ("tags", None, "contains", "x", False),
    ("tags", None, "is", ["x"], False),
    ("sizes", [1, "2"], "contains", 2, True),
    ("sizes", [1, 12], "contains", 2, False),
    ("sizes", [1, "2"], "is", [2, 1], True),
    ("sizes", [1, "2"], "in", [2, 3], True),
]
OPPOSITE = {positive: negative for negative, positive in NEGATIVE.items()}


@pytest.mark.parametrize(("field", "value", "operator", "expected", "result"), CASES)
def test_s4_2_a_test_holds_and_its_negative_is_the_exact_opposite(
    field: str, value: Any, operator: str, expected: Any, result: bool
) -> None:
    at = scope({field: value})
    assert holds({field: {operator: expected}}, at) is result
    assert holds({"not": {field: {operator: expected}}}, at) is not result
    if operator in OPPOSITE:
        assert holds({field: {OPPOSITE[operator]: expected}}, at) is not result


def test_every_operator_that_fits_a_type_is_in_the_table() -> None:
    types = {"name": "text", "size": "number", "amount": "money", "paid": "boolean", "due": "date"}
    types |= {"meeting": "datetime", "contract": "file"}
    for field, type_ in types.items():
        assert {case[2] for case in CASES if case[0] == field} >= set(FITS[type_]) - {"between", "lte", "gte"}
    for field in ("tags", "sizes"):
        assert {case[2] for case in CASES if case[0] == field} | {"empty"} == set(FITS_MULTIPLE)


def test_text_compares_with_regard_to_case_on_request() -> None:
    at = scope({"name": "Bolt"})
    assert holds({"name": {"is": "Bolt", "case": True}}, at)
    assert not holds({"name": {"is": "bolt", "case": True}}, at)
    assert not holds({"name": {"starts_with": "b", "case": True}}, at)
    assert not holds({"name": {"in": ["bolt"], "case": True}}, at)
    assert holds({"name": {"is": "bolt", "case": False}}, at)


@pytest.mark.parametrize(
    ("raw", "result"),
    [
        ({"title": {"is": "big order"}}, True),
        ({"stage": {"is": "new"}}, True),
        ({"pipeline": {"is": "deals"}}, True),
        ({"key": {"starts_with": "deal:"}}, True),
        ({"entity": {"is": "deal"}}, True),
        ({"entry": {"gt": 1}}, True),
        ({"entered_at": {"is": "2026-03-02T09:00"}}, True),
        ({"responsible": {"in": [7, 8]}}, True),
        ({"observers": {"contains": 9}}, True),
        ({"source": {"is": "web_form"}}, True),
        ({"timezone": {"is": "Europe/Rome"}}, True),
        ({"client.name": {"is": "ada"}}, True),
        ({"client.email": {"ends_with": "@home.example"}}, True),
        ({"client.emails": {"contains": "work.example"}}, True),
        ({"client.kind": {"is": "contact"}}, True),
        ({"responsible.name": {"is": "Ines"}}, True),
        ({"responsible.supervisor": {"is": 9}}, True),
        ({"vars.round": {"lt": 2}}, True),
        ({"trigger.form.page": {"is": "x"}}, True),
        ({"trigger.amount": {"gt": 5}}, True),
        ({"trigger.list": {"contains": "b"}}, True),
        ({"trigger.list": {"in": ["b"]}}, True),
        ({"trigger.when": {"gt": "2026-01-01"}}, True),
        ({"trigger.paid": {"is": True}}, True),
        ({"trigger.missing.deep": {"empty": True}}, True),
        ({"previous.status": {"is_not": 200}}, False),
    ],
)
def test_s4_5_every_root_can_be_read(raw: Any, result: bool) -> None:
    trigger = {"form": {"page": "X"}, "amount": "7", "list": ["a", "B"], "when": "2026-02-01", "paid": True}
    at = scope(trigger=trigger, variables={"round": 1}, previous={"status": 200})
    assert holds(raw, at) is result


def test_roots_that_are_not_there_are_empty() -> None:
    at = scope(client=None, responsible=0)
    for path in ("client.name", "client.emails", "responsible.name", "vars.round", "trigger.x", "previous.x"):
        assert holds({path: {"empty": True}}, at)
        assert not holds({path: {"filled": True}}, at)


@pytest.mark.parametrize(
    ("hour", "window", "inside"),
    [
        (9, ["08:00", "10:00"], True),
        (10, ["08:00", "10:00"], False),
        (8, ["08:00", "10:00"], True),
        (21, ["20:00", "08:00"], True),
        (20, ["20:00", "08:00"], True),
        (3, ["20:00", "08:00"], True),
        (8, ["20:00", "08:00"], False),
        (12, ["20:00", "08:00"], False),
    ],
)
def test_s4_6_a_window_excludes_its_end_and_goes_over_midnight(
    hour: int, window: list[str], inside: bool
) -> None:
    at = scope(now_ms=MONDAY_NINE_MS + (hour - 9) * HOUR_MS)
    assert holds({"now": {"between": window}}, at) is inside


def test_s4_6_weekdays_are_those_of_the_items_zone() -> None:
    late_sunday = MONDAY_NINE_MS - 9 * HOUR_MS - 1
    assert holds({"now": {"weekday": ["mon"]}}, scope())
    assert holds({"now": {"weekday": ["sat", "sun"]}}, scope(now_ms=late_sunday))
    assert not holds({"now": {"weekday": "sun"}}, scope(now_ms=late_sunday + 1))
    assert holds({"now": {"gt": "2026-01-01"}}, scope())
    assert holds({"now": {"between": ["2026-03-02", "2026-03-03"]}}, scope())


def test_s4_8_the_tests_that_were_made_are_seen_with_their_values_until_one_decides() -> None:
    made = condition(
        {"any": [{"size": {"gt": 5}}, {"all": [{"name": {"is": "bolt"}}, {"paid": {"is": True}}]}]}
    )
    assert [(t.path, t.operator, t.expected) for t in made.tests] == [
        ("size", "gt", 5),
        ("name", "is", "bolt"),
        ("paid", "is", True),
    ]
    seen: list[Any] = []
    assert made.holds(scope({"size": 6}), seen)
    assert seen == [0, 6]
    seen = []
    assert not made.holds(scope({"size": 5, "name": "nut"}), seen)
    assert seen == [0, 5, 1, "nut"]
    seen = []
    assert made.holds(scope({"size": 5, "name": "Bolt", "paid": True}), seen)
    assert seen == [0, 5, 1, "Bolt", 2, True]


def test_several_keys_of_one_mapping_must_all_hold() -> None:
    raw = {"size": {"gt": 1, "lt": 5}, "name": {"is": "bolt"}}
    assert holds(raw, scope({"size": 3, "name": "bolt"}))
    assert not holds(raw, scope({"size": 7, "name": "bolt"}))
    assert not holds(raw, scope({"size": 3, "name": "nut"}))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"nmae": {"is": "x"}}, "unknown field 'nmae' of deal; did you mean 'name'?"),
        ({"colour": {"is": "x"}}, "declare it under 'entities: {deal: {fields: …}}'"),
        ({"item.nmae": {"is": "x"}}, "unknown field 'nmae' of deal; did you mean 'name'?"),
        ({"name.first": {"is": "x"}}, "'name' is text and has no part 'first'"),
        ({"tags.first": {"is": "x"}}, "'tags' is a multiple text and has no part 'first'"),
        ({"amount.curency": {"is": "x"}}, "unknown part of an amount 'curency'; did you mean 'currency'?"),
        ({"client.nmae": {"is": "x"}}, "did you mean 'name'?"),
        ({"client": {"is": "x"}}, "'is' does not fit 'client', which is record; use one of empty, filled"),
        ({"client": {"is": "x"}}, "or write 'client.' and a name"),
        ({"products": {"contains": "x"}}, "'contains' does not fit 'products', which is a multiple record"),
        ({"contact.nmae": {"is": "x"}}, "unknown field of the contact 'nmae'; did you mean 'name'?"),
        ({"company.vat": {"is": "x"}}, "declare it under 'entities: {company: {fields: …}}'"),
        ({"responsible.supervisor.nam": {"is": "x"}}, "unknown field of an employee 'nam'"),
        ({"task.nmae": {"is": "x"}}, "unknown name of a task 'nmae'; did you mean 'name'?"),
        ({"task": {"is": "x"}}, "'task' is not one value; write 'task.' and a name"),
        ({"vars.turn": {"is": "x"}}, "unknown variable 'turn'"),
        ({"name": {"contain": "x"}}, "unknown operator 'contain'; did you mean 'contains'?"),
        ({"name": {"gt": "x"}}, "'gt' does not fit 'name', which is text; use one of is, in, empty"),
        ({"tags": {"gt": "x"}}, "'gt' does not fit 'tags', which is a multiple text"),
        ({"contract": {"is": "x"}}, "'is' does not fit 'contract', which is file; use one of empty, filled"),
        ({"size": {"contains": 5}}, "'contains' does not fit 'size'"),
        ({"size": {"weekday": "mon"}}, "'weekday' does not fit 'size'"),
        ({"name": {"is": 5}}, "text is expected here"),
        ({"name": {"is": None}}, "text is expected here"),
        ({"name": {"is": ""}}, "write {empty: true}"),
        ({"name": {"is": "{{ item.title }}"}}, "templates are not filled in here"),
        ({"name": {"in": "x"}}, "'in' needs a list"),
        ({"name": {"in": []}}, "'in' needs a list"),
        ({"tags": {"in": []}}, "'in' needs a list"),
        ({"name": {"empty": "yes"}}, "'empty' is true or false"),
        ({"name": {"is": "x", "case": "no"}}, "'case' is true or false"),
        ({"size": {"gt": "many"}}, "a number is expected"),
        ({"size": {"is": True}}, "a number is expected"),
        ({"size": {"between": 5}}, "a list of two values"),
        ({"size": {"between": [5, 6, 7]}}, "a list of two values"),
        ({"paid": {"is": "yes"}}, "true or false is expected"),
        ({"amount": {"gt": "EUR 5"}}, "an amount of money is expected"),
        ({"amount": {"gt": {"amout": 5}}}, "an amount of money is"),
        ({"due": {"lt": 5}}, "a date is expected"),
        ({"due": {"lt": "soon"}}, "'soon' is no date"),
        ({"due": {"lt": "2026-02-30"}}, "no day of the calendar"),
        ({"now": {"between": ["25:00", "08:00"]}}, "is no time of day"),
        ({"now": {"between": ["08:00", "08:00"]}}, "holds no moment"),
        ({"now": {"weekday": ["monday"]}}, "a weekday is one of mon"),
        ({"now.hour": {"gt": 5}}, "'now' has no parts"),
        ({"name": "x"}, "a test of 'name' is an operator with a value"),
        ({"name": {}}, "a test of 'name' is an operator with a value"),
        ({"name": {"case": True}}, "a test of 'name' is an operator with a value"),
        ({"all": {"name": {"is": "x"}}}, "'all' needs a list of conditions"),
        ({"any": []}, "'any' needs a list of conditions"),
        ({"not": []}, "a condition is a mapping"),
        ({}, "the condition is empty"),
        ("size > 5", "a condition is a mapping"),
        ([{"size": {"gt": 1}}], "a condition is a mapping"),
        ({"any": [{"size": {"gt": n}} for n in range(201)]}, "at most 200 tests"),
    ],
)
def test_s4_4_what_does_not_fit_is_refused(raw: Any, said: str) -> None:
    assert said in complaint_of(raw)


def test_names_of_fields_never_become_code() -> None:
    evil = "x') or __import__('os').system('true') or ('"
    assert "unknown field" in complaint_of({evil: {"is": "x"}})
    assert holds({"name": {"is": evil}}, scope({"name": evil}))
    assert not holds({"name": {"is": evil}}, scope({"name": "x"}))


def test_a_condition_may_be_nested_as_deep_as_a_document() -> None:
    raw: dict[str, Any] = {"size": {"gt": 1}}
    for number in range(40):
        raw = {"not": raw} if number % 2 else {"all": [raw, {"name": {"filled": True}}]}
    assert holds(raw, scope({"size": 2, "name": "x"})) == naive(raw, {"size": 2, "name": "x"})


# ---------------------------------------------------------------- against a naive interpreter

NAMES = ("name", "size", "paid", "tags")
WORDS = st.sampled_from(["a", "B", "ab", "AB"])
NUMBERS = st.integers(-2, 2)
TESTS = st.one_of(
    st.builds(
        lambda o, v: {"name": {o: v}}, st.sampled_from(["is", "is_not", "contains", "not_contains"]), WORDS
    ),
    st.builds(lambda o, v: {"name": {o: v}}, st.sampled_from(["starts_with", "ends_with"]), WORDS),
    st.builds(lambda o, v: {"name": {o: v}}, st.sampled_from(["in", "not_in"]), st.lists(WORDS, min_size=1)),
    st.builds(
        lambda o, v: {"size": {o: v}}, st.sampled_from(["is", "is_not", "gt", "gte", "lt", "lte"]), NUMBERS
    ),
    st.builds(lambda v: {"size": {"between": v}}, st.lists(NUMBERS, min_size=2, max_size=2)),
    st.builds(lambda o, v: {"paid": {o: v}}, st.sampled_from(["is", "is_not"]), st.booleans()),
    st.builds(lambda o, v: {"tags": {o: v}}, st.sampled_from(["contains", "not_contains"]), WORDS),
    st.builds(
        lambda o, v: {"tags": {o: v}},
        st.sampled_from(["is", "is_not", "in", "not_in"]),
        st.lists(WORDS, min_size=1, max_size=3),
    ),
    st.builds(
        lambda f, o, v: {f: {o: v}},
        st.sampled_from(NAMES),
        st.sampled_from(["empty", "filled"]),
        st.booleans(),
    ),
)
TREES = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        st.builds(lambda v: {"all": v}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda v: {"any": v}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda v: {"not": v}, inner),
    ),
    max_leaves=12,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.one_of(st.none(), st.just(""), WORDS),
        "size": st.one_of(st.none(), NUMBERS, NUMBERS.map(str), st.just("x")),
        "paid": st.one_of(st.none(), st.booleans()),
        "tags": st.one_of(st.none(), st.lists(WORDS, max_size=3)),
    },
)


def naive(raw: Any, fields: dict[str, Any]) -> bool:
    """The tree, walked."""
    ((key, value),) = raw.items()
    if key == "all":
        return all(naive(one, fields) for one in value)
    if key == "any":
        return any(naive(one, fields) for one in value)
    if key == "not":
        return not naive(value, fields)
    ((operator, expected),) = value.items()
    return naive_test(fields.get(key), operator, expected)


def naive_test(value: Any, operator: str, expected: Any) -> bool:
    empty = value in (None, "", [])
    if operator in ("empty", "filled"):
        return empty is (expected is (operator == "empty"))
    if operator in ("is_not", "not_in", "not_contains"):
        return not naive_test(value, operator.removeprefix("not_").removesuffix("_not"), expected)
    if empty:
        return False
    if isinstance(value, list):
        have = {one.lower() for one in value}
        if operator == "contains":
            return any(expected.lower() in one for one in have)
        want = {one.lower() for one in expected}
        return have == want if operator == "is" else bool(have & want)
    if isinstance(value, bool):
        return value is expected
    if isinstance(expected, list) and isinstance(expected[0], str):
        return value.lower() in [one.lower() for one in expected]
    if isinstance(expected, str):
        a, b = value.lower(), expected.lower()
        answers = {"is": a == b, "contains": b in a, "starts_with": a.startswith(b)}
        return bool(answers.get(operator, a.endswith(b)))
    if value == "x":
        return False
    n = int(value)
    if operator == "between":
        return bool(expected[0] <= n <= expected[1])
    orders = {"is": n == expected, "gt": n > expected, "gte": n >= expected, "lt": n < expected}
    return bool(orders.get(operator, n <= expected))


@given(TREES, FIELDS)
def test_a_compiled_condition_answers_as_the_tree_walked_naively(raw: Any, fields: dict[str, Any]) -> None:
    made = condition(raw)
    seen: list[Any] = []
    assert made.holds(scope(fields), seen) is naive(raw, fields)
    numbers = seen[::2]
    assert numbers == sorted(set(numbers)), "each test at most once, in the order of the file"
    for number, value in zip(numbers, seen[1::2], strict=True):
        assert value == fields.get(made.tests[number].path)
