"""Rules that act again when their date changes: `again_on_change`, a postponed meeting (3.7)."""

from typing import Any

import pytest

from stagewheel.protocol.journal import StepEnded, StepWaits
from stagewheel.protocol.messages import HoldItem
from tests.core.play import DAY_MS, HOUR_MS, MONDAY_NINE_MS, Play, deals

NOTE = "{do: add_history, text: %s}"
MAIL = "{do: send_email, from: office@example.com, to: ada@example.com, subject: S, body: B}"
AGAIN = "again_on_change: true"


def at(ms: int) -> str:
    """The moment so long after the start, as a field holds it (UTC)."""
    seconds = (MONDAY_NINE_MS + ms) // 1000
    days, rest = divmod(seconds - 1_772_409_600, 86_400)  # from the 2nd of March 2026
    hour, rest = divmod(rest, 3_600)
    return f"2026-03-{2 + days:02}T{hour:02}:{rest // 60:02}:00Z"


def play(*rules: str, **fields: Any) -> Play:
    lines = "".join(f"\n    - {{{rule}}}" for rule in rules)
    made = Play(deals(f"- id: new\n  rules:{lines}\n- id: work"))
    made.create(fields=fields)
    return made


def reminder(id_: str = "remind", run: str = "before: 1h", more: str = AGAIN) -> str:
    return f"id: {id_}, {more}, run: {{{run}, of: meeting}}, action: {NOTE % id_}"


REMIND = reminder()


def test_s3_7_a_rule_that_has_acted_does_not_act_again_in_the_entry() -> None:
    one = play(reminder(more="disabled: false"), meeting=at(2 * HOUR_MS))
    one.wait(HOUR_MS)
    one.update(meeting=at(DAY_MS))
    one.wait(2 * DAY_MS)
    assert one.effects() == ["history remind"]


def test_s3_7_again_on_change_acts_again_as_a_new_step_of_the_entry() -> None:
    one = play(REMIND, meeting=at(2 * HOUR_MS))
    one.wait(HOUR_MS)
    one.update(meeting=at(DAY_MS))
    assert one.waiting() == [("remind", "waiting", MONDAY_NINE_MS + DAY_MS - HOUR_MS)]
    one.update(meeting=at(2 * DAY_MS))
    one.wait(2 * DAY_MS - 2 * HOUR_MS - 1)
    assert one.effects() == ["history remind"]
    one.wait(1)
    assert one.effects() == ["history remind"]
    assert one.outcomes() == [("remind", "done", "")] * 2
    assert len({did.step for did in one.did(StepEnded)}) == 2
    item = one.drive.item("deal:1")
    assert item is not None
    assert item.entry == 1
    one.update(meeting=at(10 * DAY_MS))
    one.wait(10 * DAY_MS)
    assert one.effects() == ["history remind"], "and again"


def test_s3_7_the_same_date_or_another_field_is_no_change_of_its_date() -> None:
    one = play(REMIND, meeting=at(2 * HOUR_MS))
    one.wait(HOUR_MS)
    one.update(meeting=at(2 * HOUR_MS))
    one.update(due="2026-03-09", size=4)
    assert one.waiting() == []


def test_s3_7_a_new_date_in_the_past_acts_now_by_if_past() -> None:
    one = play(REMIND, reminder("other", "before: 1h, if_past: skip"), meeting=at(2 * HOUR_MS))
    one.wait(HOUR_MS)
    one.effects()
    one.update(meeting=at(90 * 60_000))
    assert one.effects() == ["history remind"]
    assert one.outcomes()[-2:] == [("other", "skipped", "moment has passed"), ("remind", "done", "")]
    one.update(meeting=at(DAY_MS))
    one.wait(DAY_MS)
    assert one.effects() == ["history remind", "history other"], "what was skipped comes with the next date"


def test_s3_7_while_it_waits_its_one_step_follows() -> None:
    one = play(REMIND, meeting=at(2 * HOUR_MS))
    one.update(meeting=at(5 * HOUR_MS))
    one.wait(DAY_MS)
    assert one.outcomes() == [("remind", "done", "")]
    assert len({did.step for did in one.did(StepWaits)}) == 1


def test_s3_7_an_emptied_date_waits_to_be_filled_again() -> None:
    one = play(REMIND, reminder("other", "before: 1h, if_empty: skip"), meeting=at(2 * HOUR_MS))
    one.wait(HOUR_MS)
    one.effects()
    one.update(meeting=None)
    assert one.waiting() == [("remind", "waiting_field", 0)]
    one.update(meeting=at(DAY_MS))
    one.wait(DAY_MS)
    assert one.effects() == ["history remind", "history other"]


def test_s3_7_the_condition_is_looked_at_again() -> None:
    unpaid = "when: {paid: {is: false}}"
    one = play(
        f"{REMIND}, {unpaid}",
        f"{reminder('entry')}, {unpaid}, check: entry",
        meeting=at(2 * HOUR_MS),
        paid=False,
    )
    one.wait(HOUR_MS)
    one.update(meeting=at(DAY_MS))
    one.update(paid=True)
    one.wait(DAY_MS)
    assert one.outcomes()[2:] == [("remind", "skipped", "condition"), ("entry", "done", "")]
    one.update(meeting=at(3 * DAY_MS))
    assert one.outcomes()[4:] == [("entry", "skipped", "condition")]


def test_s3_7_the_chain_behind_it_begins_again_and_what_waited_there_ends() -> None:
    one = play(
        REMIND,
        f"id: ask, after_previous: true, run: {{after: 1d}}, action: {NOTE % 'ask'}",
        f"id: last, after_previous: true, action: {NOTE % 'last'}",
        f"id: other, run: {{after: 5d}}, action: {NOTE % 'other'}",
        meeting=at(2 * HOUR_MS),
    )
    one.wait(HOUR_MS)
    assert [rule for rule, _, _ in one.waiting()] == ["other", "ask"]
    one.update(meeting=at(3 * HOUR_MS))
    assert one.outcomes() == [("remind", "done", ""), ("ask", "cancelled", "date changed")]
    one.wait(HOUR_MS + DAY_MS)
    assert one.effects() == ["history remind", "history remind", "history ask", "history last"]
    ended = [(did.rule, did.step) for did in one.did(StepEnded)]
    assert len(set(ended)) == len(ended)


def test_s3_7_an_action_that_is_on_its_way_is_delivered_and_starts_nothing_twice() -> None:
    one = play(
        f"id: mail, {AGAIN}, run: {{at: meeting}}, action: {MAIL}",
        f"id: behind, after_previous: true, action: {NOTE % 'behind'}",
        meeting=at(HOUR_MS),
    )
    one.channel("email", hold=True)
    one.wait(HOUR_MS)
    one.update(meeting=at(2 * HOUR_MS))
    one.channel("email")
    one.drive.settle()
    assert one.effects() == ["email S"]
    one.wait(HOUR_MS)
    assert one.effects() == ["email S", "history behind"]
    assert [rule for rule, _, _ in one.outcomes()] == ["mail", "mail", "behind"]


def test_s3_7_a_rule_that_never_began_does_not_begin_by_a_changed_date() -> None:
    one = play(
        f"id: first, when: {{paid: {{is: true}}}}, action: {NOTE % 'first'}",
        f"after_previous: true, {REMIND}",
        meeting=at(2 * HOUR_MS),
    )
    one.update(meeting=at(3 * HOUR_MS))
    one.wait(DAY_MS)
    assert one.outcomes() == [("first", "skipped", "condition"), ("remind", "cancelled", "chain stopped")]


def test_s3_7_a_new_entry_or_a_stopped_item_begins_nothing_again() -> None:
    one = play(REMIND, meeting=at(2 * HOUR_MS))
    one.wait(HOUR_MS)
    one.submit(HoldItem("deal:1", mode="stop"))
    one.update(meeting=at(DAY_MS))
    one.submit(HoldItem("deal:1", mode="resume"))
    one.move("work")
    one.update(meeting=at(2 * DAY_MS))
    one.wait(5 * DAY_MS)
    assert one.effects() == ["history remind"]


@pytest.mark.parametrize(
    ("moment", "again"), [("2026-03-03T09:00:00Z", True), ("2026-03-01T09:00:00Z", False)]
)
def test_s3_7_a_date_that_a_rule_sets_counts_while_it_lies_ahead(moment: str, again: bool) -> None:
    one = play(
        reminder(run="after: 0s"),
        f"id: sets, run: {{after: 3h}}, action: {{do: set_fields, fields: {{meeting: '{moment}'}}}}",
        meeting=at(2 * HOUR_MS),
    )
    one.wait(5 * DAY_MS)
    assert one.effects() == ["history remind"] * (2 if again else 1)


def test_s3_7_a_rule_that_sets_its_own_date_comes_back_at_it() -> None:
    hop = "{do: set_fields, fields: {meeting: '2026-03-05T09:00:00Z'}}"
    one = play(f"id: hop, {AGAIN}, run: {{at: meeting}}, action: {hop}", meeting=at(HOUR_MS))
    one.wait(10 * DAY_MS)
    assert one.outcomes() == [("hop", "done", ""), ("hop", "done", "no change")]
