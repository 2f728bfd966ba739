"""Conditions: names, windows, what is kept and what is refused, and the compiled function against a naive
interpreter.
"""

from datetime import datetime
from typing import Any

import pytest

from tests.rules.making import MONDAY_NINE_MS, complaint_of, condition, holds, scope

HOUR_MS = 3_600_000


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
    assert holds({"now": {"between": ["2026-03-02T09:00", "2026-03-03"]}}, scope())
    assert not holds({"now": {"between": ["2026-03-01", "2026-03-02T09:00"]}}, scope())


@pytest.mark.parametrize(
    ("moment", "window", "inside"),
    [
        ("2026-03-29T00:59:59Z", ["01:30", "02:30"], True),  # 01:59:59, the last second of winter time
        ("2026-03-29T01:00:00Z", ["01:30", "02:30"], False),  # 03:00:00, right behind it
        ("2026-03-29T01:00:00Z", ["02:00", "03:00"], False),  # an hour that this day does not have
        ("2026-03-29T01:00:00Z", ["02:30", "03:30"], True),
        ("2026-03-28T23:30:00Z", ["20:00", "08:00"], True),
        ("2026-03-29T05:59:59Z", ["20:00", "08:00"], True),  # 07:59:59 of summer time
        ("2026-03-29T06:00:00Z", ["20:00", "08:00"], False),
        ("2026-10-25T00:30:00Z", ["02:15", "02:45"], True),  # 02:30, the first of two
        ("2026-10-25T01:30:00Z", ["02:15", "02:45"], True),  # 02:30, the second
        ("2026-10-25T01:00:00Z", ["02:15", "02:45"], False),  # 02:00 again
    ],
)
def test_s4_6_on_a_day_of_changing_clocks_a_window_is_what_the_clock_on_the_wall_says(
    moment: str, window: list[str], inside: bool
) -> None:
    """C6"""
    at = scope(now_ms=int(datetime.fromisoformat(moment).timestamp() * 1000))
    assert holds({"now": {"between": window}}, at) is inside


def test_s4_6_a_window_and_weekdays_stand_together() -> None:
    """C6: the hours of the night belong to the day on the calendar, not to the evening before."""
    raw = {"now": {"between": ["20:00", "08:00"], "weekday": ["fri"]}}
    friday_nine_ms = MONDAY_NINE_MS + 4 * 24 * HOUR_MS
    inside = [
        hour for hour in range(-24, 48) if holds(raw, scope(now_ms=friday_nine_ms + (hour - 9) * HOUR_MS))
    ]
    assert inside == [*range(8), *range(20, 24)]


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
