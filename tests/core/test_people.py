"""Employees as recipients (7.9): who is gone is skipped, and the line upwards has an end."""

import pytest

from stagewheel.protocol.journal import Notified
from stagewheel.protocol.messages import Address, Employee
from tests.core.play import Play, deals

TELL = "- {id: new, rules: [{id: tell, action: {do: notify_supervisor, text: x}}]}"
FALLBACK = "settings: {fallback_user: 30}\n"


def told(*people: Employee, responsible: int = 7, stages: str = TELL) -> list[int]:
    """Whom a notification to the supervisor reaches."""
    play = Play(deals(stages, FALLBACK))
    for one in (Employee(30, "Fallback"), *people):
        play.put_employee(one)
    play.create(responsible=responsible)
    facts = play.did(Notified)
    return [number for fact in facts for number in fact.to]


@pytest.mark.parametrize(
    ("people", "expected"),
    [
        ([], [9]),
        ([Employee(7, supervisor=0)], [30]),
        ([Employee(7, supervisor=7)], [30]),
        ([Employee(7, supervisor=8), Employee(8, supervisor=9, active=False)], [9]),
        ([Employee(7, supervisor=404)], [30]),
        ([Employee(7, supervisor=8), Employee(8, active=False)], [30]),
        ([Employee(7, supervisor=8), Employee(8, supervisor=7, active=False)], [30]),
        ([Employee(7, supervisor=7), Employee(9)], [30]),
        ([Employee(7, supervisor=8), Employee(8, supervisor=8, active=False)], [30]),
    ],
    ids=[
        "the supervisor",
        "none",
        "the responsible himself",
        "one who is gone: the next one up",
        "an unknown one",
        "one who is gone and has none",
        "a circle of two",
        "a circle of one",
        "a circle of one who is gone",
    ],
)
def test_s7_9_no_supervisor_or_the_responsible_is_the_next_one_up_else_the_fallback(
    people: list[Employee], expected: list[int]
) -> None:
    assert told(*people) == expected


def test_s7_9_a_responsible_who_is_gone_or_unknown_still_has_a_line() -> None:
    assert told(Employee(7, supervisor=9, active=False)) == [9]
    assert told(responsible=404) == [30]


def test_s7_8_from_auto_is_the_first_address_of_the_responsible_in_the_order_of_adding() -> None:
    mail = "{do: send_email, subject: S, body: B}"
    play = Play(deals(f"- {{id: new, rules: [{{id: m, action: {mail}}}]}}"))
    play.put_employee(
        Employee(7, "Ines", [Address("ines@example.com", "home"), Address("i@example.com", "work")])
    )
    play.create()
    [effect] = play.recorder.take()
    assert effect["email"]["from"] == "ines@example.com"
