"""One employee of several: by turns, by chance, the first who is there (A3)."""

import pytest

from stagewheel.protocol.codec import encode_record
from stagewheel.protocol.journal import EmployeeChosen
from stagewheel.protocol.messages import Absence, Employee, StartWorkflow
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.mistakes import RulesetInvalid
from tests.core.play import Play, deals
from tests.core.restarting import RestartingPlay

STAGE = "- {id: new, rules: [{id: give, action: {do: change_responsible, to: %s}}]}\n- {id: won}"
TURNS = "{round_robin: [7, 12, 15]%s}"
AWAY = [Absence("2026-03-02", "2026-03-06")]


def played(to: str, *people: Employee, count: int = 0, play: Play | None = None) -> tuple[Play, list[int]]:
    """Whom each of `count` new deals went to."""
    play = play or Play()
    play.publish(deals(STAGE % to))
    for one in (Employee(12, "Cy"), Employee(15, "Di"), *people):
        play.put_employee(one)
    for number in range(count):
        play.create(f"deal:{number}", responsible=9)
    return play, [responsible(play, f"deal:{number}") for number in range(count)]


def responsible(play: Play, key: str) -> int:
    item = play.drive.item(key)
    assert item is not None
    return item.responsible


def test_each_of_a_list_has_a_turn_in_its_order() -> None:
    """A3."""
    play, given = played(TURNS % "", count=7)
    assert given == [7, 12, 15, 7, 12, 15, 7]
    assert play.did(EmployeeChosen, "deal:4") == [EmployeeChosen("give", 1, 12, "round_robin", 4)]


def test_a_turn_goes_on_over_versions_and_other_lists() -> None:
    """A3: the counter is the rule's, whichever version it is of."""
    play, given = played(TURNS % "", count=2)
    assert given == [7, 12]
    play.publish(deals(STAGE % "{round_robin: [7, 12, 15, 9]}"))
    for number in (2, 3, 4):
        play.create(f"deal:{number}")
    assert [responsible(play, f"deal:{number}") for number in (2, 3, 4)] == [15, 9, 7]


def test_s7_9_who_is_unknown_or_has_left_is_passed_over_in_a_list() -> None:
    """A3."""
    _, given = played("{round_robin: [7, 404, 12, 15]}", Employee(15, active=False), count=4)
    assert given == [7, 12, 7, 12]
    play, given = played("{random: [404, 15]}", Employee(15, active=False), count=1)
    assert given == [9]
    assert play.outcomes("deal:0") == [("give", "failed", "nobody left")]


def test_who_is_away_has_no_turn_until_the_absence_is_over() -> None:
    """A3: skip absent."""
    play, given = played(TURNS % ", skip_absent: true", Employee(12, absences=AWAY), count=4)
    assert given == [7, 15, 7, 15]
    play.wait(5 * 24 * 3_600_000)
    play.create("deal:4")
    play.create("deal:5")
    assert [responsible(play, f"deal:{number}") for number in (4, 5)] == [7, 12]


def test_who_is_away_has_a_turn_where_nobody_asks() -> None:
    """A3."""
    assert played(TURNS % "", Employee(12, absences=AWAY), count=2)[1] == [7, 12]


def test_an_absence_lies_in_the_zone_of_the_employee() -> None:
    """A3: 09:00 in Rome on Monday is still Sunday in Honolulu."""
    there = Employee(12, timezone="Pacific/Honolulu", absences=[Absence("2026-03-02", "2026-03-02")])
    assert played("{round_robin: [12, 7], skip_absent: true}", there, count=1)[1] == [12]


def test_the_first_who_is_there() -> None:
    """A3: one person, or the first of several."""
    assert played("{first: [12, 15], skip_absent: true}", Employee(12, absences=AWAY), count=1)[1] == [15]
    assert played("[404, 15, 7]", count=1)[1] == [15]
    assert played("supervisor", Employee(9, "Boss", supervisor=12), count=1)[1] == [12]


def test_chance_is_a_hash_of_item_entry_rule_and_step() -> None:
    """A3: the same in every run, and each of the list comes up."""
    play, given = played("{random: [7, 12, 15]}", count=30)
    assert given == played("{random: [7, 12, 15]}", count=30)[1]
    assert {given.count(one) > 3 for one in (7, 12, 15)} == {True}
    [fact] = play.did(EmployeeChosen, "deal:3")
    assert (fact.way, fact.chosen, fact.taken) == ("random", given[3], 0)


def test_the_turns_of_a_workflow_are_counted_within_one_decision_too() -> None:
    """A3: steps with the same list share their turns."""
    play = Play(
        deals(
            "- {id: new}",
            """
            workflows:
              give:
                pipeline: deals
                steps:
                  - {do: change_responsible, to: {round_robin: [7, 9]}}
                  - {do: change_responsible, to: {round_robin: [9, 7]}}
                  - {do: change_responsible, to: {round_robin: [7, 9]}}
            """,
        )
    )
    play.create()
    play.submit(StartWorkflow("deal:1", workflow="give"))
    assert [(one.chosen, one.taken) for one in play.did(EmployeeChosen)] == [(7, 0), (9, 0), (9, 1)]


def test_restarts_between_all_turns_leave_no_trace_in_the_journal() -> None:
    """A3: the counters of a shard are stored with the decision that changed them."""
    journals = []
    for kind in (Play, RestartingPlay):
        play = kind(deals(STAGE % "9"))
        people = (Employee(7), Employee(9), Employee(15, absences=AWAY))
        assert played(TURNS % ", skip_absent: true", *people, count=5, play=play)[1] == [7, 12, 7, 12, 7]
        journals.append([encode_record(one) for one in play.records if one.item])
        if isinstance(play, RestartingPlay):
            assert play.drive.restarts > 5
    assert journals[0] == journals[1]


@pytest.mark.parametrize(
    ("to", "complaint"),
    [
        ("{skip_absent: true}", "expected one of first, round_robin, random, with a list of employees"),
        ("{round_robin: [7], random: [9]}", "expected one of first, round_robin, random"),
        ("{random: []}", "the list of employees is empty"),
        ("{round_robin: [Bo]}", "expected an employee's id"),
        ("{turns: [7]}", "unknown key 'turns'"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(to: str, complaint: str) -> None:
    with pytest.raises(RulesetInvalid, match=complaint):
        compile_ruleset({"rules.yaml": deals(STAGE % to)}, 1)
