"""The guards against loops, over time and across items (9.1, N9), and what a chain of causes carries."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from stagewheel.protocol.journal import Dispatched, Entered, Held, LoopDetected, StepEnded, WorkflowEnded
from stagewheel.protocol.messages import Applied, Failed, HoldItem, NotMoved, PutRuleset, StartWorkflow
from stagewheel.server.core.item import Item, decode_row, encode_item
from stagewheel.server.core.lineage import ROOT, Lineage, branch, entered, sent, with_moment
from stagewheel.server.store.tables import Table
from tests.core.play import DAY_MS, HOUR_MS, Play, deals

MINUTE_MS = 60_000
MAIL = "{do: send_email, from: office@example.com, subject: S, body: B}"


def to_and_fro(after: str = "", head: str = "", **more: Any) -> Play:
    """Two stages whose rules move the item to each other, at once or after a time."""
    run = f"run: {{after: {after}}}, " if after else ""
    play = Play(
        deals(
            f"""
            - {{id: new, rules: [{{id: go, {run}action: {{do: change_stage, stage: work}}}}]}}
            - {{id: work, rules: [{{id: back, {run}action: {{do: change_stage, stage: new}}}}]}}
            """,
            head=head,
        )
    )
    play.create(**more)
    return play


def guards(**limits: int) -> str:
    return f"settings: {{guards: {{{', '.join(f'{name}: {value}' for name, value in limits.items())}}}}}\n"


def looped(play: Play) -> list[tuple[str, str, int, int]]:
    """(item, guard, count, limit) of every guard that stopped an item."""
    return [
        (record.item, did.guard, did.count, did.limit)
        for record in play.records
        for did in record.did
        if isinstance(did, LoopDetected)
    ]


# ---------------------------------------------------------------- entries of a chain


def test_s9_1_more_than_25_automatic_entries_in_a_chain_stop_the_item() -> None:
    play = to_and_fro()
    assert looped(play) == [("deal:1", "chain_entries", 26, 25)]
    assert len(play.did(Entered)) == 1 + 26, "the 26th stands, and its rules do not start"
    assert [(held.mode, held.reason) for held in play.did(Held)] == [("stopped", "loop detected")]
    item = play.drive.item("deal:1")
    assert item is not None
    assert (item.hold, item.hold_by) == ("stopped", "loop detected")
    assert play.drive.engine.tally.guards == {"chain_entries": 1}
    assert play.event("anything") == NotMoved("automation stopped", [])


def test_s9_1_what_waits_ends_by_the_guard() -> None:
    play = Play(
        deals(
            """
            - {id: new}
            - {id: work, rules: [{id: go, action: {do: change_stage, stage: more}}]}
            - {id: more, rules: [{id: back, action: {do: change_stage, stage: work}}]}
            """,
            head="""
            workflows:
              slow: {pipeline: deals, start: on_create, steps: [{do: pause, for: 9d}]}
            """,
        )
    )
    play.create()
    assert [one.workflow for one in play.drive.item("deal:1").waiting] == ["slow"]  # type: ignore[union-attr]
    play.move("work")
    assert looped(play) == [("deal:1", "chain_entries", 26, 25)]
    assert play.waiting() == []
    [end] = play.did(WorkflowEnded)
    assert (end.outcome, end.reason) == ("cancelled", "stopped by loop detected")


def test_s9_1_25_entries_in_24_hours_may_go_on_for_ever() -> None:
    play = to_and_fro("58m")  # 24 of them in 24 hours
    play.wait(10 * DAY_MS)
    assert looped(play) == []
    assert len(play.did(Entered)) > 200


def test_s9_1_26_entries_in_24_hours_are_stopped_however_they_are_spread() -> None:
    play = to_and_fro("55m")  # 27 of them in 24 hours
    play.wait(2 * DAY_MS)
    assert looped(play) == [("deal:1", "chain_entries", 26, 25)]
    assert len(play.did(Entered)) == 27


def test_s9_1_a_command_begins_a_new_chain() -> None:
    play = to_and_fro("40m")
    for _ in range(8):
        play.wait(10 * HOUR_MS)
        play.move("work", restart=True)
    assert looped(play) == []


def test_s9_1_triggers_that_a_rule_set_off_are_of_its_chain() -> None:
    play = Play(
        deals(
            """
            - id: new
              triggers: [{id: down, on: field_changed, fields: [size], allow_backwards: true}]
              rules: [{id: up, action: {do: set_fields, fields: {note: "n{{ item.entry }}"}}}]
            - id: work
              triggers: [{id: on, on: field_changed, fields: [note]}]
              rules: [{id: grow, action: {do: set_fields, fields: {size: "{{ item.entry }}"}}}]
            """
        )
    )
    play.create()
    assert looped(play) == [("deal:1", "chain_entries", 26, 25)]


def test_s9_1_a_workflow_that_moves_its_item_is_of_the_chain_over_its_pauses() -> None:
    play = Play(
        deals(
            "- {id: new}\n- {id: work}",
            head="""
            workflows:
              swing:
                pipeline: deals
                vars: {n: 0}
                steps:
                  - do: while
                    when: {vars.n: {lt: 500}}
                    steps:
                      - {do: change_stage, stage: work}
                      - {do: pause, for: 10m}
                      - {do: change_stage, stage: new}
                      - {do: set, vars: {n: "{{ vars.n + 1 }}"}}
            """,
        )
    )
    play.create()
    play.submit(StartWorkflow("deal:1", workflow="swing"))
    play.wait(DAY_MS)
    assert looped(play) == [("deal:1", "chain_entries", 26, 25)]
    assert [end.outcome for end in play.did(WorkflowEnded)] == ["cancelled"]


# ---------------------------------------------------------------- entries of an item


def test_s9_1_more_than_100_automatic_entries_of_an_item_in_24_hours_stop_it() -> None:
    """Each command begins a new chain, and the rule behind it makes one automatic entry."""
    play = Play(
        deals(
            """
            - {id: new}
            - {id: work, rules: [{id: back, action: {do: change_stage, stage: new}}]}
            """
        )
    )
    play.create()
    for number in range(101):
        assert isinstance(play.move("work"), Applied), number
        play.wait(MINUTE_MS)
    assert looped(play) == [("deal:1", "item_entries", 101, 100)]


def test_s9_1_100_automatic_entries_a_day_are_no_loop() -> None:
    play = Play(
        deals(
            """
            - {id: new}
            - {id: work, rules: [{id: back, action: {do: change_stage, stage: new}}]}
            """
        )
    )
    play.create()
    for _ in range(250):
        play.move("work")
        play.wait(DAY_MS // 99)
    assert looped(play) == []


# ---------------------------------------------------------------- over items


ENDLESS = """
    - id: new
      rules:
        - id: again
          {run}
          action: {{do: create_from, pipeline: deals, stage: new, title: "{{{{ item.title }}}}+"}}
"""


@pytest.mark.parametrize("run", ["", "run: {after: 20m}"])
def test_s9_1_items_that_create_items_are_one_chain_also_over_time(run: str) -> None:
    play = Play(deals(ENDLESS.format(run=run), head=guards(chain_entries=10)))
    play.create()
    play.wait(2 * DAY_MS)
    assert len({record.item for record in play.records}) == 1 + 11
    [(item, guard, count, limit)] = looped(play)
    assert (guard, count, limit) == ("chain_entries", 11, 10)
    last = play.drive.item(item)
    assert last is not None
    assert last.hold == "stopped"
    assert last.title.count("+") == 11
    first = play.drive.item("deal:1")
    assert first is not None
    assert first.hold == "", "only the item that went too far is stopped"


def test_s9_1_a_loop_that_doubles_is_stopped_in_its_tenth_generation() -> None:
    one = "{{id: {}, action: {{do: create_from, pipeline: deals, stage: new, title: x}}}}"
    play = Play(deals(f"- {{id: new, rules: [{one.format('a')}, {one.format('b')}]}}"))
    play.create()
    items = {record.item for record in play.records}
    assert 1000 < len(items) < 2500
    assert {guard for _, guard, _, _ in looped(play)} == {"chain_messages"}
    failed = [
        did.reason
        for record in play.records
        for did in record.did
        if isinstance(did, StepEnded) and did.outcome == "failed"
    ]
    assert set(failed) == {"loop detected"}


# ---------------------------------------------------------------- messages


def mailing(rounds: int, head: str = "", pause: str = "") -> Play:
    """A workflow that sends as many mails."""
    wait = f"            - {{do: pause, for: {pause}}}\n" if pause else ""
    play = Play(
        deals(
            "- {id: new}",
            head=head
            + f"""
workflows:
  flood:
    pipeline: deals
    vars: {{n: 0}}
    steps:
      - do: while
        when: {{vars.n: {{lt: {rounds}}}}}
        steps:
            - {MAIL}
{wait}            - {{do: set, vars: {{n: "{{{{ vars.n + 1 }}}}"}}}}
""",
        )
    )
    play.create()
    play.submit(StartWorkflow("deal:1", workflow="flood"))
    return play


def test_s9_1_more_messages_than_allowed_in_one_chain_stop_the_item() -> None:
    play = mailing(50, guards(chain_messages=20))
    assert len(play.did(Dispatched)) == 20
    assert looped(play) == [("deal:1", "chain_messages", 21, 20)]
    assert play.did(WorkflowEnded)[-1].outcome == "failed"
    assert play.did(WorkflowEnded)[-1].reason == "loop detected"
    assert play.drive.engine.tally.guards == {"chain_messages": 1}


def test_s9_1_messages_are_counted_over_the_pauses_of_a_day() -> None:
    play = mailing(50, guards(chain_messages=20), pause="1h")
    play.wait(3 * DAY_MS)
    assert looped(play) == [("deal:1", "chain_messages", 21, 20)]


def test_s9_1_messages_of_another_day_count_anew() -> None:
    play = mailing(50, guards(chain_messages=20), pause="2h")
    play.wait(10 * DAY_MS)
    assert looped(play) == []
    assert len(play.did(Dispatched)) == 50


def test_s9_1_a_thousand_messages_in_one_chain_are_allowed_and_no_more() -> None:
    assert looped(mailing(900)) == []
    play = mailing(900)
    play.submit(StartWorkflow("deal:1", workflow="flood"))
    assert looped(play) == [], "each start by hand is a chain of its own"


# ---------------------------------------------------------------- settings, resume, size


def test_s9_1_all_three_numbers_are_settings() -> None:
    play = to_and_fro(head=guards(chain_entries=3, item_entries=100))
    assert looped(play) == [("deal:1", "chain_entries", 4, 3)]
    play = to_and_fro(head=guards(chain_entries=100, item_entries=7))
    assert looped(play) == [("deal:1", "item_entries", 8, 7)]


@pytest.mark.parametrize("line", ["chain_entries: 0", "item_entries: 100000", "chain_messages: many"])
def test_s9_1_a_guard_out_of_its_bounds_is_refused_at_its_line(line: str) -> None:
    rules = deals("- {id: new}", head=f"settings:\n  guards:\n    {line}\n")
    answer = Play().submit(PutRuleset("", files={"rules.yaml": rules}))
    assert isinstance(answer, Failed)
    assert "expected a whole number from 1 to" in answer.message
    assert "rules.yaml:6" in answer.message


def test_s9_1_resume_begins_to_count_anew() -> None:
    play = to_and_fro(head=guards(chain_entries=5))
    play.submit(HoldItem("deal:1", mode="resume", restart=True))
    assert len(looped(play)) == 2
    assert len(play.did(Entered)) == 1 + 6 + 1 + 6


def stored(play: Play) -> tuple[bytes, Item]:
    snapshot = play.drive.engine.store.snapshot()
    row = snapshot.get(Table.ITEMS, b"deal:1")
    snapshot.close()
    assert row is not None
    item = decode_row(row)
    assert isinstance(item, Item)
    return row, item


def test_s9_1_what_an_item_carries_is_small_and_bounded() -> None:
    play = to_and_fro("58m")
    play.wait(5 * DAY_MS)
    row, item = stored(play)
    item.more = None
    assert len(row) - len(encode_item(item)) < 300


def test_s9_1_an_item_that_people_move_carries_nothing() -> None:
    play = Play(deals(f"- {{id: new, rules: [{{id: m, action: {MAIL}}}]}}\n- {{id: work}}"))
    play.create()
    play.move("work")
    assert stored(play)[1].more is None


# ---------------------------------------------------------------- the arithmetic


@given(st.lists(st.integers(0, 3 * DAY_MS // 4), max_size=60), st.integers(1, 30))
def test_moments_of_the_last_day_are_counted_as_a_plain_list_would(steps: list[int], limit: int) -> None:
    now_ms = 1_700_000_000_000
    plain: list[int] = []
    kept: list[int] = []
    for step_ms in steps:
        now_ms += step_ms
        plain = [*plain, now_ms]
        kept = with_moment(kept, now_ms, limit + 1)
        in_window = [moment for moment in plain if now_ms - moment < DAY_MS]
        assert len(kept) == min(len(in_window), limit + 1)
        assert kept[0] == now_ms


def test_a_chain_counts_messages_by_its_width_and_forgets_them_after_a_day() -> None:
    chain = sent(sent(ROOT, 5 * DAY_MS), 5 * DAY_MS)
    assert (chain.messages, chain.width) == (2, 1)
    wide = branch(branch(chain, 3, 1000), 4, 1000)
    assert wide.width == 12
    assert sent(wide, 5 * DAY_MS + 1).messages == 14
    assert sent(wide, 6 * DAY_MS) == Lineage([], 1, 6 * DAY_MS, 1)
    assert branch(wide, 10_000, 1000).width == 1001
    assert entered(wide, 7, 3).entries == [7]
