"""Entries (semantics 1) and the order in which rules of one moment are handled (semantics 2.7, 2.8)."""

from stagewheel.protocol.journal import Entered, FieldsChanged, NothingChanged, StepEnded
from stagewheel.protocol.messages import Applied, DeleteItem, Failed
from tests.core.play import DAY_MS, Play, deals

TWO_STAGES = deals(
    """
    - id: new
      rules:
        - {id: hello, action: {do: add_history, text: "hello {{ item.entry }}"}}
        - {id: later, run: {after: 1d}, action: {do: add_history, text: later}}
    - id: work
      rules:
        - {id: work, action: {do: add_history, text: work}}
    - id: won
      final: success
      rules:
        - {id: thanks, action: {do: add_history, text: thanks}}
    """
)


def test_s1_1_each_change_of_stage_is_a_new_entry() -> None:
    play = Play(TWO_STAGES)
    assert play.create() == Applied(1)
    assert play.move("work") == Applied(2)
    assert [(e.from_stage, e.to_stage, e.entry) for e in play.did(Entered)] == [
        ("", "new", 1),
        ("new", "work", 2),
    ]


def test_s1_1_the_counter_grows_by_one_over_the_whole_life_of_an_item() -> None:
    play = Play(TWO_STAGES)
    play.create()
    for entry, stage in enumerate(("work", "new", "won", "new"), 2):
        assert play.move(stage) == Applied(entry)
        item = play.drive.item("deal:1")
        assert item is not None
        assert (item.entry, item.entered_ms) == (entry, play.drive.engine.now_ms())
        play.wait(1)


def test_s1_2_what_was_chained_behind_a_waiting_step_ends_with_it_and_nothing_of_it_runs() -> None:
    play = Play(
        deals(
            """
            - id: new
              rules:
                - {id: a, run: {after: 1d}, action: {do: add_history, text: a}}
                - {id: b, after_previous: true, action: {do: add_history, text: b}}
                - {id: c, after_previous: true, run: {after: 1d}, action: {do: add_history, text: c}}
                - {id: d, run: {at: due}, action: {do: add_history, text: d}}
            - id: work
            """
        )
    )
    play.create()
    play.move("work")
    assert play.outcomes() == [(rule, "cancelled", "left stage") for rule in "abcd"]
    play.update(due="2026-03-01")
    play.wait(9 * DAY_MS)
    assert play.effects() == []
    assert len(play.outcomes()) == 4


def test_s1_2_waiting_steps_end_before_the_rules_of_the_new_stage_start() -> None:
    play = Play(TWO_STAGES)
    play.create()
    play.move("work")
    assert play.outcomes() == [
        ("hello", "done", ""),
        ("later", "cancelled", "left stage"),
        ("work", "done", ""),
    ]
    play.wait(2 * DAY_MS)
    assert play.effects() == ["history hello 1", "history work"]


def test_s1_3_setting_the_present_stage_is_no_entry_unless_restarted() -> None:
    play = Play(TWO_STAGES)
    play.create()
    assert play.move("new") == Applied(1)
    assert play.move("new", restart=True) == Applied(2)
    assert play.effects() == ["history hello 1", "history hello 2"]


def test_s1_3_a_rule_that_sets_the_present_stage_is_done_without_an_entry() -> None:
    stay = "rules: [{id: stay, run: {after: 1h}, action: {do: change_stage, stage: new}}]"
    play = Play(deals(f"- id: new\n  {stay}"))
    play.create()
    play.wait(DAY_MS)
    assert play.outcomes() == [("stay", "done", "no change")]
    assert len(play.did(Entered)) == 1


def test_s1_3_fields_of_a_command_that_sets_the_present_stage_are_set() -> None:
    play = Play(TWO_STAGES)
    play.create()
    assert play.move("new", fields={"size": 2}) == Applied(1)
    assert [change.fields for change in play.did(FieldsChanged)] == [{"size": 2}]
    assert len(play.did(Entered)) == 1
    assert play.did(NothingChanged) == []
    play.move("new")
    assert len(play.did(NothingChanged)) == 1


def test_s1_4_rules_of_stages_jumped_over_never_run() -> None:
    play = Play(TWO_STAGES)
    play.create()
    play.move("won")
    play.wait(30 * DAY_MS)
    assert play.effects() == ["history hello 1", "history thanks"]


def test_s1_5_coming_back_starts_the_rules_from_zero() -> None:
    play = Play(TWO_STAGES)
    play.create()
    play.wait(DAY_MS // 2)
    play.move("work")
    play.move("new")
    play.wait(DAY_MS - 1)
    assert play.effects() == ["history hello 1", "history work", "history hello 3"]
    play.wait(1)
    assert play.effects() == ["history later"]


def test_s1_6_an_entry_keeps_the_version_it_began_with() -> None:
    play = Play(TWO_STAGES)
    play.create()
    play.publish(TWO_STAGES.replace("text: later", "text: changed"))
    play.wait(DAY_MS)
    assert play.effects() == ["history hello 1", "history later"]
    play.move("work")
    play.move("new")
    play.wait(DAY_MS)
    assert play.effects()[-1] == "history changed"


def test_s1_8_a_final_stage_runs_its_rules_also_for_an_item_created_in_it() -> None:
    play = Play(TWO_STAGES)
    play.create(stage="won")
    assert play.effects() == ["history thanks"]


def test_s1_8_a_final_stage_waits_and_starts_workflows_like_any_other() -> None:
    play = Play(
        deals(
            """
            - id: new
            - id: won
              final: success
              rules: [{id: later, run: {after: 1d}, action: {do: add_history, text: later}}]
            """,
            """
            workflows:
              w: {pipeline: deals, start: on_create, steps: [
                {do: pause, for: 1h}, {do: add_history, text: w}]}
            """,
        )
    )
    play.create(stage="won")
    play.wait(DAY_MS)
    assert play.effects() == ["history w", "history later"]


def test_s1_9_a_rule_that_repeats_once_is_held_back_the_second_time() -> None:
    play = Play(deals("- {id: new, rules: [{id: once, repeat: once, action: {do: add_history, text: x}}]}"))
    play.create()
    play.move("new", restart=True)
    assert play.outcomes() == [("once", "done", ""), ("once", "skipped", "repeat")]


def test_s1_9_a_rule_may_repeat_after_its_pause() -> None:
    rules = "- {id: new, rules: [{id: weekly, repeat: {every: 7d}, action: {do: add_history, text: x}}]}"
    play = Play(deals(rules))
    play.create()
    play.wait(6 * DAY_MS)
    play.move("new", restart=True)
    play.wait(DAY_MS)
    play.move("new", restart=True)
    assert [outcome for _, outcome, _ in play.outcomes()] == ["done", "skipped", "done"]


def test_s2_7_rules_of_one_moment_see_what_those_above_them_did() -> None:
    play = Play(
        deals(
            """
            - id: new
              rules:
                - {id: a, action: {do: set_fields, fields: {size: 3}}}
                - {id: b, when: {size: {is: 3}}, action: {do: add_history, text: "size {{ item.size }}"}}
            """
        )
    )
    play.create()
    assert play.effects() == ["history size 3"]


def test_s2_7_what_is_due_at_the_entry_is_decided_in_one_turn_in_list_order() -> None:
    play = Play(
        deals(
            """
            - id: new
              rules:
                - {id: past, run: {at: due}, action: {do: add_history, text: past}}
                - {id: no, when: {size: {is: 3}}, action: {do: add_history, text: no}}
                - {id: set, run: {before: 1d, of: due}, action: {do: set_fields, fields: {size: 3}}}
                - {id: chained, after_previous: true, action: {do: add_history, text: chained}}
                - {id: yes, when: {size: {is: 3}}, action: {do: add_history, text: "yes"}}
            """
        )
    )
    play.create(fields={"due": "2026-01-01"})
    [record] = [record for record in play.records if record.item == "deal:1"]
    ends = [(did.rule, did.outcome) for did in record.did if isinstance(did, StepEnded)]
    assert ends == [
        ("past", "done"),
        ("no", "skipped"),
        ("set", "done"),
        ("chained", "done"),
        ("yes", "done"),
    ]
    assert play.effects() == ["history past", "history chained", "history yes"]


def test_s2_8_the_first_move_of_a_list_that_a_timer_began_wins_too() -> None:
    play = Play(
        deals(
            """
            - id: new
              rules:
                - {id: a, run: {after: 1h}, action: {do: add_history, text: a}}
                - {id: go, after_previous: true, action: {do: change_stage, stage: work}}
                - {id: never, after_previous: true, action: {do: add_history, text: never}}
            - {id: work}
            """
        )
    )
    play.create()
    play.wait(DAY_MS)
    assert play.outcomes() == [("a", "done", ""), ("go", "done", ""), ("never", "cancelled", "left stage")]
    assert [(e.to_stage, e.rule) for e in play.did(Entered)] == [("new", ""), ("work", "go")]


def test_s2_8_a_move_waits_for_the_end_of_the_list_and_the_first_one_wins() -> None:
    play = Play(
        deals(
            """
            - id: new
              rules:
                - {id: first, action: {do: change_stage, stage: work}}
                - {id: second, action: {do: change_stage, stage: won}}
                - {id: note, action: {do: add_history, text: "still in {{ item.stage }}"}}
            - {id: work}
            - {id: won}
            """
        )
    )
    play.create()
    assert play.stage() == "work"
    assert play.effects() == ["history still in new"]
    assert ("second", "cancelled", "superseded") in play.outcomes()
    assert ("first", "done", "") in play.outcomes()


def test_s2_8_what_is_chained_behind_a_move_ends_with_the_stage() -> None:
    play = Play(
        deals(
            """
            - id: new
              rules:
                - {id: go, action: {do: change_stage, stage: work}}
                - {id: after, after_previous: true, action: {do: add_history, text: never}}
            - {id: work}
            """
        )
    )
    play.create()
    assert play.outcomes() == [("go", "done", ""), ("after", "cancelled", "left stage")]
    assert play.effects() == []


def test_a_command_with_a_bad_field_changes_nothing() -> None:
    play = Play(TWO_STAGES)
    play.create()
    records = len(play.records)
    for answer in (
        play.update(size="many"),
        play.update(colour="red"),
        play.move("work", fields={"colour": 1}),
    ):
        assert isinstance(answer, Failed)
        assert answer.code == "bad_field"
    assert isinstance(play.move("nowhere"), Failed)
    assert isinstance(play.move("work", key="deal:2"), Failed)
    assert len(play.records) == records
    assert play.stage() == "new"


def test_a_key_that_was_deleted_goes_on_with_its_entry_number() -> None:
    play = Play(TWO_STAGES)
    play.create()
    assert play.submit(DeleteItem("deal:1")) == Applied(1)
    assert isinstance(play.update(size=1), Failed)
    assert play.create() == Applied(2)
    play.wait(DAY_MS)
    assert [entry.entry for entry in play.did(Entered)] == [1, 2]
    assert ("later", "cancelled", "item deleted") in play.outcomes()


def test_the_journal_says_what_a_command_changed() -> None:
    play = Play(TWO_STAGES)
    play.create()
    play.update(size=4, note=None)
    assert [change.fields for change in play.did(FieldsChanged)] == [{"size": 4}]
