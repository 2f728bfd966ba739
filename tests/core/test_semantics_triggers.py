"""What a trigger is (5.1), what its conditions see (5.3), and what it ends (5.8)."""

from stagewheel.protocol.journal import Entered, EventSeen, FieldsChanged
from stagewheel.protocol.messages import Failed, Moved, NotMoved, PutRuleset
from tests.core.play import DAY_MS, Play, deals

MAIL = "{do: send_email, from: office@example.com, subject: waiting, body: B}"


def test_s5_1_a_trigger_moves_the_item_and_begins_an_entry_and_does_nothing_else() -> None:
    play = Play(deals("- {id: new}\n- {id: work, triggers: [{id: t, on: app, code: go}]}"))
    play.create(fields={"size": 1})
    play.records.clear()
    assert play.event("go", size=9, note="x") == Moved("new", "work", "t", 2)
    [record] = play.records
    assert [type(did) for did in record.did] == [EventSeen, Entered]
    assert play.effects() == []
    item = play.drive.item("deal:1")
    assert item is not None
    assert (item.stage, item.entry, item.fields) == ("work", 2, {"size": 1})


def test_s5_1_a_trigger_with_an_action_is_refused_at_its_line() -> None:
    rules = deals(
        """
        - id: new
        - id: work
          triggers:
            - {id: t, on: app, code: go, action: {do: add_history, text: x}}
        """
    )
    line = 1 + rules.splitlines().index(next(line for line in rules.splitlines() if "id: t," in line))
    answer = Play().submit(PutRuleset("", files={"rules.yaml": rules}))
    assert isinstance(answer, Failed)
    assert f"rules.yaml:{line}" in answer.message
    assert "action" in answer.message


def test_s5_1_a_trigger_moves_to_the_stage_in_which_it_stands() -> None:
    one = "triggers: [{id: t, on: app, code: go}]"
    for target in ("work", "won"):
        stages = "\n".join(
            f"- {{id: {stage}{', ' + one if stage == target else ''}}}" for stage in ("new", "work", "won")
        )
        play = Play(deals(stages))
        play.create()
        assert play.event("go") == Moved("new", target, "t", 2)


BOTH = deals(
    """
    - id: new
    - id: work
      triggers:
        - id: t
          on: app
          code: go
          when:
            all: [{stage: {is: new}}, {entry: {is: 1}}, {size: {gt: 5}}, {trigger.sum: {gte: 100}}]
    - id: won
      triggers: [{id: u, on: app, code: on, when: {trigger.sum: {gte: 100}}}]
    """
)


def test_s5_3_conditions_see_the_item_before_the_move_and_the_event() -> None:
    play = Play(BOTH)
    play.create(fields={"size": 6})
    assert isinstance(play.event("go", sum=99), NotMoved)
    assert isinstance(play.event("go"), NotMoved)
    assert play.event("go", sum=100) == Moved("new", "work", "t", 2)


def test_s5_3_conditions_see_their_own_event_and_not_the_one_that_began_the_entry() -> None:
    play = Play(BOTH)
    play.create(fields={"size": 6})
    play.event("go", sum=100)
    assert isinstance(play.event("on"), NotMoved)
    assert isinstance(play.event("on", sum=5), NotMoved)
    assert play.event("on", sum=500) == Moved("work", "won", "u", 3)


def test_s5_3_an_event_that_moved_nothing_is_not_seen_by_the_next() -> None:
    play = Play(BOTH)
    play.create(fields={"size": 1})
    play.event("go", sum=100)
    play.update(size=6)
    assert isinstance(play.event("go"), NotMoved)


CHANGE = deals(
    """
    - id: new
      rules: [{id: grow, run: {after: 1d}, action: {do: set_fields, fields: {size: 8}}}]
    - id: work
      triggers:
        - id: t
          on: field_changed
          fields: [size]
          when: {all: [{size: {between: [6, 9]}}, {stage: {is: new}}, {trigger.fields: {contains: size}}]}
      rules: [{id: r, action: {do: add_history, text: "came with {{ item.size }}"}}]
    """
)


def test_s5_3_for_a_changed_field_the_item_has_the_new_value_already() -> None:
    play = Play(CHANGE)
    play.create(fields={"size": 7})
    play.update(size=10)
    assert play.stage() == "new"
    play.update(size=6)
    assert play.stage() == "work"
    assert play.effects() == ["history came with 6"]


def test_s5_3_a_change_made_by_a_rule_is_seen_as_any_other() -> None:
    play = Play(CHANGE)
    play.create(fields={"size": 1})
    play.wait(DAY_MS)
    assert play.did(FieldsChanged)[-1].rule == "grow"
    assert play.did(Entered)[-1].trigger == "t"
    assert play.effects() == ["history came with 8"]


def test_s5_3_a_change_of_another_field_is_no_event_for_it() -> None:
    play = Play(CHANGE)
    play.create(fields={"size": 7})
    play.update(note="x")
    assert play.stage() == "new"


def test_s5_8_the_waiting_rules_of_the_left_stage_stop() -> None:
    play = Play(
        deals(
            f"""
            - id: new
              rules:
                - {{id: soon, run: {{after: 1d}}, action: {MAIL}}}
                - {{id: chained, after_previous: true, action: {MAIL}}}
                - {{id: dated, run: {{before: 1d, of: due}}, action: {MAIL}}}
            - id: work
              triggers: [{{id: t, on: app, code: go}}]
              rules: [{{id: later, run: {{after: 2d}}, action: {{do: add_history, text: later}}}}]
            """
        )
    )
    play.create()
    assert [rule for rule, _, _ in play.waiting()] == ["soon", "dated"]
    assert play.event("go") == Moved("new", "work", "t", 2)
    left = [(rule, "cancelled", "left stage") for rule in ("soon", "chained", "dated")]
    assert play.outcomes() == left
    assert [rule for rule, _, _ in play.waiting()] == ["later"]
    play.update(due="2026-03-03")
    play.wait(30 * DAY_MS)
    assert play.effects() == ["history later"]


def test_s5_8_a_trigger_that_does_not_hold_stops_nothing() -> None:
    play = Play(
        deals(
            """
            - {id: new, rules: [{id: soon, run: {after: 1d}, action: {do: add_history, text: soon}}]}
            - {id: work, triggers: [{id: t, on: app, code: go, when: {size: {gt: 5}}}]}
            """
        )
    )
    play.create()
    assert isinstance(play.event("go"), NotMoved)
    play.wait(DAY_MS)
    assert play.effects() == ["history soon"]
