"""When a job of an application action may begin (8.7, H8)."""

from stagewheel.protocol.journal import DeliveryHeld
from stagewheel.protocol.messages import Absence, Employee
from tests.actors.shard import DAY_MS, MINUTE_MS, MONDAY_NINE_MS
from tests.core.play import HOUR_MS, Play, deals

ACTIONS = """
calendar: {week: {mon-fri: ["09:00-18:00"]}}
actions: {score: {results: {score: number}}}
"""
EVENING_MS = MONDAY_NINE_MS + 10 * HOUR_MS  # Monday 19:00
WEEK = {"mon-sun": ["09:00-18:00"]}


def rules(more: str = "", of_rule: str = "") -> str:
    return deals(
        f"""
        - id: new
          rules:
            - {{id: ask{of_rule}, action: {{do: app, action: score{more}}}}}
            - {{id: next, after_previous: true, action: {{do: add_history, text: next}}}}
        """,
        ACTIONS,
    )


def test_s8_7_a_job_of_an_application_waits_for_its_hours() -> None:
    """H8."""
    play = Play(rules(", hours: company"), at_ms=EVENING_MS)
    play.channel("app", detail={"score": 5})
    play.create()
    assert [did.due_ms for did in play.did(DeliveryHeld)] == [MONDAY_NINE_MS + DAY_MS]
    play.wait(14 * HOUR_MS - MINUTE_MS)
    assert play.outcomes() == []
    play.wait(2 * MINUTE_MS)
    assert play.outcomes() == [("ask", "done", ""), ("next", "done", "")]


def test_s8_7_a_job_has_the_hours_of_its_rule_when_it_is_tried_again() -> None:
    play = Play(rules(of_rule=", hours: company"), at_ms=EVENING_MS - HOUR_MS - 5 * MINUTE_MS)
    play.channel("app", retry="later", times=1, after="10m")
    play.create()
    play.wait(20 * MINUTE_MS)
    assert [did.due_ms for did in play.did(DeliveryHeld)] == [MONDAY_NINE_MS + DAY_MS]
    play.wait(DAY_MS)
    assert [one[:2] for one in play.outcomes()] == [("ask", "done"), ("next", "done")]


def test_s8_7_a_job_that_is_put_aside_for_longer_expires_later() -> None:
    """3.8. The moment at which nobody has taken it moves with its hours."""
    play = Play(rules(", hours: responsible, expires: 1d"), at_ms=MONDAY_NINE_MS)
    play.put_employee(Employee(7, "Ines", hours=WEEK, absences=[Absence("2026-03-02", "2026-03-03")]))
    play.channel("app", hold=True)
    play.create()
    play.put_employee(Employee(7, "Ines", hours=WEEK, absences=[Absence("2026-03-02", "2026-03-05")]))
    play.wait(3 * DAY_MS + 12 * HOUR_MS)
    assert play.outcomes() == [], "Thursday evening: until Friday nobody may take it"
    assert [did.due_ms for did in play.did(DeliveryHeld)] == [
        MONDAY_NINE_MS + 2 * DAY_MS,
        MONDAY_NINE_MS + 4 * DAY_MS,
    ]
