"""What fits an expectation, and what a difference looks like."""

from typing import Any

import pytest

from stagewheel.server.scenarios.expect import difference, dump, fits, missing


@pytest.mark.parametrize(
    ("expected", "seen"),
    [
        (1, 1),
        (1, 1.0),
        (True, True),
        (None, None),
        (None, ""),
        ("", None),
        ("a", ["a"]),
        ({}, {"a": 1}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 2], "c": 3}}),
        ({"a": None}, {}),
        ([{"a": 1}], [{"a": 1, "b": 2}]),
        ({"contains": "bc"}, "abcd"),
        ({"contains": ["a", "d"]}, "abcd"),
        ({"contains": {"a": 1}}, [{"a": 1, "b": 2}]),
        ({"lacks": ["x", "y"]}, "abcd"),
        ({"starts_with": "ab", "ends_with": "cd"}, "abcd"),
        ("2026-03-02T09:00:00+01:00", "2026-03-02T08:00:00+00:00"),
        ("2026-03-02T09:00", "2026-03-02T09:00:00+01:00"),
    ],
)
def test_it_fits(expected: Any, seen: Any) -> None:
    assert fits(expected, seen)


@pytest.mark.parametrize(
    ("expected", "seen"),
    [
        (1, 2),
        (1, True),
        (True, 1),
        (False, None),
        ("a", "A"),
        ("a", ["a", "b"]),
        ("a", []),
        ({}, "a"),
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {}),
        ([], [1]),
        ([1], []),
        ([1, 2], [2, 1]),
        ({"contains": "x"}, "abcd"),
        ({"contains": "x"}, 3),
        ({"lacks": "b"}, "abcd"),
        ({"a": 1}, "a"),
        ("2026-03-02T09:00:00+01:00", "2026-03-02T09:00:00+00:00"),
    ],
)
def test_it_does_not_fit(expected: Any, seen: Any) -> None:
    assert not fits(expected, seen)


def test_a_difference_shows_only_what_was_expected_and_what_is_new() -> None:
    expected = [{"email": {"to": "a@x.example", "subject": "One"}}]
    seen = [
        {"email": {"to": ["a@x.example"], "subject": "Two", "body": "long"}},
        {"notify": {"to": [7], "text": "hello"}},
    ]
    assert difference(expected, seen) == [
        "  - email:",
        "      to: a@x.example",
        "-     subject: One",
        "+     subject: Two",
        "+ - notify:",
        "+     to:",
        "+       - 7",
        "+     text: hello",
    ]


def test_effects_that_moved_are_matched_to_those_that_fit() -> None:
    expected: list[Any] = [{"email": {"subject": "One"}}, {"email": {"subject": "Two"}}]
    seen = [{"email": {"subject": "Zero"}}, *expected]
    assert difference(expected, seen) == [
        "+ - email:",
        "+     subject: Zero",
        "  - email:",
        "      subject: One",
        "  - email:",
        "      subject: Two",
    ]


def test_no_difference_has_no_lines() -> None:
    assert difference([{"a": 1}], [{"a": 1, "b": 2}]) == []
    assert difference([], []) == []


def test_expecting_something_where_nothing_was_seen() -> None:
    assert difference([{"email": {"to": "a"}}], []) == ["- - email:", "-     to: a", "+ (nothing)"]


def test_each_seen_value_stands_for_one_expected_value() -> None:
    assert missing([{"a": 1}, {"a": 1}], [{"a": 1}], ordered=False)
    assert not missing([{"a": 1}, {"a": 1}], [{"a": 1}, {"a": 1}], ordered=False)


def test_order_counts_where_it_is_asked_for() -> None:
    assert not missing([2, 1], [1, 2], ordered=False)
    assert missing([2, 1], [1, 2], ordered=True)
    assert not missing([1, 3], [1, 2, 3], ordered=True)


def test_texts_of_several_lines_stay_readable() -> None:
    assert dump({"body": "one\ntwo", "empty": "", "yes": True}) == [
        "body: |",
        "  one",
        "  two",
        "empty: (nothing)",
        "yes: true",
    ]
