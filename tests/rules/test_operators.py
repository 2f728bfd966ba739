"""Every operator on every type of field: what is there, what was written, whether it holds (4.2, 4.3)."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from stagewheel.server.rules.compare import FITS, FITS_MULTIPLE, NEGATIVE
from tests.rules.making import MONDAY_NINE_MS, holds, scope

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
    ("name", "Bolt", "starts_with", "lt", False),
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
    ("name", "Straße", "contains", "ASS", True),
    ("name", "5", "in", ["5", "6"], True),
    ("size", "9007199254740993", "is", 9007199254740993, True),
    ("size", "9007199254740993", "is", 9007199254740992, False),
    ("size", " 5 ", "is", 5, True),
    ("size", "+5", "is", 5, True),
    ("size", "5e0", "is", 5, True),
    ("size", "1_000", "is", 1000, False),
    ("size", "0x10", "is", 16, False),
    ("size", "inf", "gt", 5, False),
    ("size", "nan", "is", 5, False),
    ("size", "", "lt", 5, False),
    ("size", [], "lt", 5, False),
    ("size", 0, "is", 0, True),
    ("size", -0.0, "is", 0, True),
    ("size", 7, "between", [7, 5], False),
    ("size", "6", "between", ["5", "7"], True),
    ("amount", EUR, "lte", 10, True),
    ("amount", EUR, "lte", {"amount": 11, "currency": "USD"}, False),
    ("amount", "10", "is", 10, True),
    ("amount", {"amount": 10}, "is", {"amount": 10, "currency": "EUR"}, True),
    ("amount", {"amount": 10, "currency": ""}, "gte", 10, True),
    ("amount", EUR, "between", [{"amount": 5, "currency": "USD"}, 20], False),
    ("amount", EUR, "in", [{"amount": 10, "currency": "USD"}, {"amount": 10, "currency": "EUR"}], True),
    ("amount", EUR, "in", [{"amount": 10, "currency": "USD"}], False),
    ("amount", {}, "is", 10, False),
    ("paid", "true", "is", True, False),
    ("paid", False, "in", [True, False], True),
    ("paid", None, "in", [True, False], False),
    ("due", "2026-03-29", "gte", "2026-03-29", True),
    ("due", "2026-03-29", "lte", "2026-03-29", True),
    ("due", "2026-03-29", "lte", "2026-03-28", False),
    ("due", "2026-03-29T10:00", "is", "2026-03-29", True),
    ("due", MONDAY_NINE_MS, "is", "2026-03-02", True),
    ("due", None, "between", ["2026-03-01", "2026-03-31"], False),
    ("due", "", "is", "2026-03-29", False),
    ("meeting", "2026-03-02T09:00", "gte", "2026-03-02T09:00", True),
    ("meeting", "2026-03-02T09:00", "lt", "2026-03-02T08:01:00Z", True),
    ("meeting", "2026-03-02T09:00", "lte", "2026-03-02T08:00:00Z", True),
    ("meeting", "2026-03-02", "is", "2026-03-02T00:00", True),
    ("meeting", "2026-03-02T09:00", "between", ["2026-03-02T09:00", "2026-03-03"], True),
    ("meeting", "2026-03-03T00:00", "between", ["2026-03-02T09:00", "2026-03-03"], True),
    ("meeting", "2026-03-03T00:01", "between", ["2026-03-02T09:00", "2026-03-03"], False),
    ("meeting", "2026-03-29T02:30", "is", "2026-03-29T03:00", True),
    ("contract", "a.pdf", "empty", True, False),
    ("contract", None, "empty", True, True),
    ("tags", ["", None], "contains", "x", False),
    ("tags", "vip", "contains", "VIP", True),
    ("tags", ["vip"], "empty", True, False),
    ("size", None, "empty", True, True),
    ("size", 3, "in", [4, 5], False),
    ("size", 5, "gte", 6, False),
    ("size", 7, "lte", 6, False),
    ("size", "many", "is", 5, False),
    ("amount", EUR, "gt", 10, False),
    ("amount", EUR, "gte", 10.01, False),
    ("amount", EUR, "lt", 10.01, True),
    ("amount", EUR, "lte", 9, False),
    ("amount", EUR, "empty", True, False),
    ("paid", None, "empty", True, True),
    ("due", "2026-03-28", "is", "2026-03-29", False),
    ("due", "2026-03-28", "gte", "2026-03-29", False),
    ("due", "2026-03-30", "gt", "2026-03-29", True),
    ("due", "2026-03-27", "in", ["2026-03-28", "2026-03-29"], False),
    ("due", "2026-03-27", "empty", True, False),
    ("meeting", "2026-03-02T09:01", "is", "2026-03-02T09:00", False),
    ("meeting", "2026-03-02T09:01", "in", ["2026-03-02T09:00"], False),
    ("meeting", "2026-03-02T09:00", "gt", "2026-03-02T09:00", False),
    ("meeting", "2026-03-02T08:59", "gte", "2026-03-02T09:00", False),
    ("meeting", "2026-03-02T09:01", "lte", "2026-03-02T09:00", False),
    ("meeting", "2026-03-02T09:01", "empty", True, False),
    ("sizes", None, "empty", True, True),
    ("sizes", [0], "empty", True, False),
    ("sizes", [], "in", [0], False),
    ("sizes", [1, 1], "is", [1], True),
    ("sizes", ["x"], "is", [1], False),
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
        for operator in FITS[type_]:
            rows = [case for case in CASES if case[0] == field and case[2] == operator]
            assert {case[4] for case in rows} == {True, False}, f"{operator} of {type_}: both answers"
    for field in ("tags", "sizes"):
        for operator in FITS_MULTIPLE:
            rows = [case for case in CASES if case[0] == field and case[2] == operator]
            assert {case[4] for case in rows} == {True, False}, f"{operator} of several {field}: both answers"


@pytest.mark.parametrize("empty", [None, "", [], {}])
@pytest.mark.parametrize("field", ["name", "size", "amount", "paid", "due", "meeting", "tags", "sizes"])
def test_s4_4_what_is_empty_is_equal_to_nothing_and_neither_greater_nor_smaller(
    field: str, empty: Any
) -> None:
    """C2: whatever was written in the tables above, every operator but `empty` says no, its negative yes."""
    for _, _, operator, expected, _ in (case for case in CASES if case[0] == field and case[2] != "empty"):
        assert not holds({field: {operator: expected}}, scope({field: empty}))
        if operator in OPPOSITE:
            assert holds({field: {OPPOSITE[operator]: expected}}, scope({field: empty}))


# What nobody declared is compared as the value that was written: text, number, date by order, money.
UNDECLARED: list[tuple[Any, str, Any, bool]] = [
    ("Bolt", "is", "bolt", True),
    (5, "is", "5", False),
    (5, "is", 5, True),
    ("5", "is", 5, True),
    ("5", "gt", 4, True),
    ("2026-03-29", "gt", "2026-03-28", True),
    ("soon", "gt", "2026-03-28", False),
    (MONDAY_NINE_MS, "lte", "2026-03-02T09:00", True),
    (EUR, "is", {"amount": 10, "currency": "EUR"}, True),
    (EUR, "gt", {"amount": 5, "currency": "USD"}, False),
    (True, "is", True, True),
    (1, "is", True, False),
    (["a", "B"], "contains", "b", True),
    (["a", "B"], "in", ["b"], True),
    (["a", "B"], "is", ["b", "A"], True),
    ([1, 2], "contains", 2, True),
    ("a message", "contains", "MESS", True),
    ("a message", "starts_with", "A ", True),
    (None, "is", "x", False),
    ({}, "empty", True, True),
    ({"a": 1}, "empty", True, False),
    ({"a": 1}, "contains", "a", False),
]


@pytest.mark.parametrize(("value", "operator", "expected", "result"), UNDECLARED)
def test_s4_2_an_undeclared_value_is_compared_as_what_it_is_compared_with(
    value: Any, operator: str, expected: Any, result: bool
) -> None:
    """C2"""
    at = scope(trigger={"x": value})
    assert holds({"trigger.x": {operator: expected}}, at) is result
    if operator in OPPOSITE:
        assert holds({"trigger.x": {OPPOSITE[operator]: expected}}, at) is not result


def test_s4_2_dates_are_compared_in_the_zone_of_the_item() -> None:
    """C2"""
    late = {"due": "2026-03-29T22:30:00Z", "meeting": "2026-03-30T00:30"}
    assert holds({"due": {"is": "2026-03-30"}}, scope(late))
    assert holds({"due": {"is": "2026-03-29"}}, scope(late, zone=ZoneInfo("UTC")))
    assert holds({"meeting": {"is": "2026-03-29T22:30:00Z"}}, scope(late))
    assert holds({"meeting": {"is": "2026-03-30T00:30:00Z"}}, scope(late, zone=ZoneInfo("UTC")))
    assert holds({"now": {"lt": "2026-03-02T09:01"}}, scope())
    assert not holds({"now": {"lt": "2026-03-02T09:01"}}, scope(zone=ZoneInfo("Asia/Tokyo")))


def test_text_compares_with_regard_to_case_on_request() -> None:
    at = scope({"name": "Bolt"})
    assert holds({"name": {"is": "Bolt", "case": True}}, at)
    assert not holds({"name": {"is": "bolt", "case": True}}, at)
    assert not holds({"name": {"starts_with": "b", "case": True}}, at)
    assert not holds({"name": {"in": ["bolt"], "case": True}}, at)
    assert holds({"name": {"is": "bolt", "case": False}}, at)
