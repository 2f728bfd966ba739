"""What rules plan is part of what two runs are compared by (N4)."""

from stagewheel.server.backtest.trails import Trails
from tests.core.play import Play, deals

RULES = deals(
    """
    - id: new
      rules:
        - {id: ring, action: {do: schedule_call, text: Ring, deadline: {after: 1h}}}
        - {id: meet, action: {do: schedule_meeting, text: Meet, deadline: {after: 2d}}}
        - {id: note, action: {do: add_history, text: noted}}
    - {id: work}
    """
)


def test_activities_and_calendar_entries_are_messages_of_their_rules_in_order() -> None:
    play = Play(RULES)
    play.create()
    play.wait(3_600_000)
    play.move("work")
    trails = Trails({})
    for record in play.records:
        trails.record(record)
    for effect in play.recorder.take_effects():
        trails.message(effect.kind, effect.at_ms, effect.values)
    told = [(key.partition("|")[0], mark.outcome) for key, mark in trails.trails["deal:1"].messages.items()]
    assert told == [
        ("ring", "activity"),
        ("ring", "notify"),
        ("meet", "activity"),
        ("meet", "calendar"),
        ("note", "history"),
        ("ring", "activity"),  # overdue
        ("ring", "activity"),  # completed, as the item left
        ("meet", "activity"),
        ("meet", "calendar"),  # taken out
    ]
