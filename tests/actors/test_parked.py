"""Deliveries that wait for their next attempt, together with timers of the same moment."""

from stagewheel.server.store.tables import Table
from tests.core.play import DAY_MS, Play, deals

RULES = deals(
    """
    - id: new
      rules:
        - {id: mail, action: {do: send_email, from: office@example.com, subject: S, body: B}}
        - {id: later, run: {after: 5m}, action: {do: add_history, text: later}}
    """
)


def test_timers_that_fire_beside_a_parked_delivery_leave_no_row_behind() -> None:
    play = Play(RULES)
    play.channel("email", retry="451 later", times=1, after="5m")
    for number in range(5):
        play.create(f"deal:{number}")
    play.wait(DAY_MS)
    snapshot = play.drive.engine.store.snapshot()
    assert snapshot.count(Table.TIMERS) == 0
    assert snapshot.count(Table.PARKED) == 0
    snapshot.close()
    assert [play.outcomes(f"deal:{number}") for number in range(5)] == [
        [("later", "done", ""), ("mail", "done", "")]
    ] * 5
