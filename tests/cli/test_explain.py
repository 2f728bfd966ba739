"""`stagewheel explain` answers from the journal: what ran, what did not, which test said no and why."""

from collections.abc import Callable
from typing import Any

import pytest

from stagewheel.cli.local_server import LocalServer
from stagewheel.cli.reasons import Explanation, Journal, explain, explain_stay
from stagewheel.client.blocking import Client
from stagewheel.protocol.messages import EnrolItem, HoldItem, RaiseEvent
from tests.core.play import DAY_MS, Play, deals

STAGES = """
- id: new
  rules:
    - {id: hello, action: {do: notify, text: hello}}
    - {id: big, when: {all: [{note: {filled: true}}, {size: {gt: 100}}]}, action: {do: notify, text: big}}
    - {id: later, run: {after: 2d}, action: {do: notify, text: later}}
    - {id: behind, after_previous: true, action: {do: notify, text: behind}}
- id: offer
  rules:
    - {id: jumped, action: {do: notify, text: jumped}}
- id: won
  final: success
  rules: [{id: thanks, run: {at: due}, action: {do: notify, text: thanks}}]
  triggers:
    - {id: paid, on: app, code: paid, when: {trigger.amount: {gte: 10}}}
"""
FLOW = """
workflows:
  greet: {pipeline: deals, start: on_create, steps: [{do: stop, when: {size: {gt: 100}}, reason: too big}]}
  never: {pipeline: deals, steps: [{do: notify, text: never}]}
"""


@pytest.fixture
def play() -> Play:
    return Play(deals(STAGES) + FLOW)


def journal(play: Play) -> Journal:
    records = [record for record in play.records if record.item == "deal:1"]
    return Journal("deal:1", records, play.drive.engine.reference.facts.versions.get)


def answer(play: Play, about: str) -> Explanation:
    found = explain(journal(play), about)
    assert found is not None
    return found


def test_a_rule_that_ran_says_when(play: Play) -> None:
    play.create(fields={"size": 5})
    assert answer(play, "hello").verdict.startswith("it ran at 2026-")


def test_a_false_condition_names_the_test_and_the_value_it_saw(play: Play) -> None:
    """N2: which row of the condition said no."""
    play.create(fields={"size": 50, "note": "x"})
    found = answer(play, "big")
    assert "its condition did not hold" in found.verdict
    tests = found.passages[0].told[0].tests
    assert [(t.path, t.operator, t.expected, t.seen, t.held) for t in tests] == [
        ("note", "filled", True, "x", True),
        ("size", "gt", 100, 50, False),
    ]
    assert found.passages[0].version == 1


def test_a_waiting_rule_says_until_when_and_the_one_behind_it_says_what_it_waits_for(play: Play) -> None:
    play.create(fields={"size": 5})
    assert answer(play, "later").verdict.startswith("it waits until 2026-03-04")
    verdict = answer(play, "behind").verdict
    assert verdict.startswith("it has not begun: it comes after later, of which holds: it waits until")


def test_a_cancelled_rule_names_the_move_that_cancelled_it(play: Play) -> None:
    play.create(fields={"size": 5})
    play.event("paid", amount=12)
    verdict = answer(play, "later").verdict
    assert "it was cancelled at" in verdict
    assert "left stage, for the item entered stage won from new by trigger paid" in verdict
    assert "cancelled" in answer(play, "behind").verdict


def test_a_rule_of_a_stage_that_was_jumped_over_says_so(play: Play) -> None:
    """T8."""
    play.create(fields={"size": 5})
    play.event("paid", amount=12)
    assert answer(play, "jumped").verdict == (
        "it belongs to stage offer of pipeline deals, which the item has not entered "
        "(it went: new → won); rules of stages that were jumped over do not run"
    )


def test_a_rule_that_came_with_a_later_version_says_that_the_entry_keeps_its_own(play: Play) -> None:
    play.create(fields={"size": 5})
    play.publish(deals(STAGES.replace("id: hello", "id: welcome")) + FLOW)
    play.event("paid", amount=1)
    play.move("won")
    verdict = answer(play, "welcome").verdict
    assert "when the item entered stage new, ruleset version 1 was published" in verdict


def test_a_rule_without_its_date_says_that_it_waits_for_the_field(play: Play) -> None:
    play.create(stage="won")
    assert answer(play, "thanks").verdict == "it waits until its date field is filled"


def test_a_trigger_that_said_no_names_its_test(play: Play) -> None:
    """N10."""
    play.create()
    play.event("paid", amount=3)
    found = answer(play, "paid")
    assert found.verdict.endswith("event app paid did not move the item: its condition did not hold")
    (test,) = found.passages[0].told[0].tests
    assert (test.path, test.seen, test.held) == ("trigger.amount", 3, False)


def test_a_trigger_whose_event_never_came_says_what_it_listens_to(play: Play) -> None:
    play.create()
    assert answer(play, "paid").verdict == (
        "no event app paid has reached the item, which is what trigger paid listens to"
    )


def test_a_trigger_that_moved_the_item_says_so(play: Play) -> None:
    play.create()
    play.event("paid", amount=30)
    assert answer(play, "paid").verdict.endswith("event app paid moved the item")


def test_a_workflow_is_told_step_by_step(play: Play) -> None:
    play.create(fields={"size": 500})
    found = answer(play, "greet")
    assert found.kind == "workflow"
    assert found.verdict.endswith("workflow greet stopped: too big")
    steps = [test.seen for told in found.passages[0].told for test in told.tests]
    assert steps == [500]
    assert answer(play, "never").verdict == "it was never started for this item"


STEPS = """
- id: new
  rules:
    - id: chase
      steps:
        - {do: wait_for, event: app, code: answer, when: {trigger.n: {gt: 5}}, timeout: 2d}
        - {do: stop, when: {previous.timed_out: {is: true}}, reason: no answer}
    - {id: other, after_previous: true, action: {do: run_workflow, workflow: never, wait: true}}
"""
SLOW = """
workflows:
  never: {pipeline: deals, steps: [{do: pause, for: 1h}]}
"""


def test_a_rule_with_steps_says_where_they_stand_and_what_they_came_to() -> None:
    """W9, W11"""
    play = Play(deals(STEPS) + SLOW)
    play.create()
    assert answer(play, "chase").verdict.startswith("its steps run: chase/steps, wait_for: waits until 2026-")
    assert answer(play, "chase").verdict.endswith("or for event app answer")
    play.event("answer", n=2)
    found = answer(play, "chase")
    assert [(test.path, test.seen) for told in found.passages[0].told for test in told.tests] == [
        ("trigger.n", 2)
    ]
    play.wait(2 * DAY_MS)
    assert answer(play, "chase").verdict.endswith("stopped: no answer")


def test_a_rule_that_waits_for_its_workflow_says_so() -> None:
    """W10"""
    play = Play(deals(STEPS) + SLOW)
    play.create()
    play.event("answer", n=9)
    assert answer(play, "other").verdict.startswith("it waits for workflow never, which it started at 2026-")
    play.wait(DAY_MS)
    assert answer(play, "other").verdict.startswith("it ran at 2026-")


def test_a_workflow_that_did_not_start_says_which_test_said_no() -> None:
    """N2, W1"""
    flow = "workflows: {w: {pipeline: deals, start: on_create, when: {size: {gt: 5}}, steps: [{do: stop}]}}\n"
    play = Play(deals("- {id: new}") + flow)
    play.create(fields={"size": 3})
    found = answer(play, "w")
    assert found.verdict.endswith("its condition does not hold")
    assert [(test.path, test.seen) for told in found.passages[0].told for test in told.tests] == [("size", 3)]


ASKS = """
- id: new
  rules: [{id: wait, run: {after: 1d}, when: {size: {gt: 1}}, action: {do: notify, text: x}}]
- id: offer
  triggers:
    - {id: go, on: app, code: go, when: %s}
    - {id: mail, on: incoming_email, subject: roof}
"""
CARE = """
workflows:
  care: {pipeline: deals, start: {on_event: app, code: care, when: %s}, steps: [{do: notify, text: x}]}
"""
THREE = "{all: [{note: {empty: true}}, {paid: {empty: true}}, {size: {gt: 7}}]}"


def test_s4_8_what_is_asked_by_a_newer_version_is_told_in_its_words() -> None:
    """A trigger and a workflow's start are of the newest version; the entry keeps an older one (1.6)."""
    play = Play(deals(ASKS % "{size: {gt: 5}}") + CARE % "{size: {gt: 5}}")
    play.create(fields={"size": 3})
    play.publish(deals(ASKS % THREE) + CARE % THREE)
    play.event("go")
    play.event("care")
    for about in ("go", "care"):
        tests = answer(play, about).passages[0].told[-1].tests
        assert [test.path for test in tests] == ["note", "paid", "size"]
        assert [test.held for test in tests] == [True, True, False]


def test_s4_8_what_was_asked_before_another_version_began_is_told_in_the_words_of_its_own() -> None:
    """One record of a rule of version 1 that moves the item, which enters under version 2."""
    stages = """
    - id: new
      rules: [{id: go, run: {after: 1d}, when: %s, action: {do: change_stage, stage: b}}]
    - {id: b}
    """
    play = Play(deals(stages % "{all: [{note: {empty: true}}, {size: {gt: 1}}]}"))
    play.create(fields={"size": 3})
    play.publish(deals(stages % "{paid: {is: true}}"))
    play.wait(DAY_MS)
    assert play.stage() == "b"
    found = answer(play, "go")
    assert [test.path for told in found.passages[0].told for test in told.tests] == ["note", "size"]


def test_s1_6_an_entry_that_took_another_version_is_explained_by_it() -> None:
    stages = "- id: new\n  rules: [{id: wait, run: {after: %s}, action: {do: notify, text: x}}%s]\n"
    play = Play(deals(stages % ("1d", "")))
    play.create()
    play.publish(deals(stages % ("2d", ", {id: more, run: {after: 3d}, action: {do: notify, text: y}}")))
    play.submit(EnrolItem("deal:1"))
    stay = explain_stay(journal(play))
    assert stay is not None
    assert stay[0].version == 2
    assert [(rule, verdict[:25]) for rule, verdict in stay[1]] == [
        ("wait", "it waits until 2026-03-04"),
        ("more", "it waits until 2026-03-05"),
    ]
    told = [fact.text for fact in answer(play, "wait").passages[0].told]
    assert told[0].startswith("wait waits until 2026-03-03")
    assert told[1] == "the entry takes the rules of version 2 (it had 1)"
    assert told[2].startswith("wait waits until 2026-03-04")


def test_s5_7_a_setting_that_did_not_fit_is_named_with_what_the_event_had() -> None:
    play = Play(deals(ASKS % "{size: {gt: 5}}"))
    play.create()
    play.submit(RaiseEvent("deal:1", type="incoming_email", code="info", payload={"subject": "Windows"}))
    [told] = answer(play, "mail").passages[0].told
    assert "a setting of it did not fit" in told.text
    assert [(test.path, test.expected, test.seen) for test in told.tests] == [
        ("trigger.subject", "roof", "Windows")
    ]


def test_s5_7_a_trigger_that_nobody_looked_at_says_why() -> None:
    play = Play(deals(ASKS % "{size: {gt: 5}}"))
    play.create(fields={"size": 9})
    play.submit(HoldItem("deal:1", mode="stop"))
    play.event("go")
    assert answer(play, "go").verdict.endswith("event app go did not move the item: automation stopped")
    play.publish(deals(ASKS % "{size: {gt: 5}}").replace("id: new", "id: newer"))
    play.event("go")
    assert answer(play, "go").verdict.endswith("event app go did not move the item: stage unknown")


def test_a_rule_that_is_held_or_waits_under_a_cap_says_so() -> None:
    """T5, and a cap with `over: wait` (8.5)."""
    rules = """
    - id: new
      rules:
        - {id: held, hours: company, action: {do: notify, text: x}}
        - {id: first, action: {do: send_email, subject: A, body: b}}
        - {id: second, action: {do: send_email, subject: B, body: b}}
    """
    head = 'calendar: {week: {mon-fri: ["10:00-18:00"]}}\ncaps: {email: {limit: 1 per 1d, over: wait}}\n'
    play = Play(deals(rules, head))
    play.create()
    held = answer(play, "held").verdict
    assert held.startswith("it was due and is held until 2026-03-02")
    assert held.endswith("outside the hours of company")
    assert "the cap on email is reached: it asks again at 2026-03-0" in answer(play, "second").verdict


def test_what_is_told_of_an_action_after_its_stage_belongs_to_the_stay_it_left_in() -> None:
    play = Play(
        deals(
            """
            - id: new
              rules: [{id: mail, on_leave: withdraw, action: {do: send_email, subject: A, body: b}}]
            - {id: b}
            """
        )
    )
    play.channel("email", hold=True)
    play.create()
    play.move("b")
    found = answer(play, "mail")
    assert [passage.stage for passage in found.passages] == ["new"]
    assert "it was cancelled" in found.verdict
    assert "left stage" in found.verdict


def test_a_paused_item_and_a_loop_that_was_stopped_are_named() -> None:
    play = Play(deals(ASKS % "{size: {gt: 5}}"))
    play.create()
    play.submit(HoldItem("deal:1", mode="pause"))
    assert answer(play, "wait").verdict.endswith("; the item is paused")
    play.submit(HoldItem("deal:1", mode="resume"))
    assert "paused" not in answer(play, "wait").verdict
    play = Play(
        deals(
            "- {id: new, rules: [{id: go, action: {do: change_stage, stage: b}}]}\n"
            "- {id: b, rules: [{id: back, action: {do: change_stage, stage: new}}]}\n"
        )
    )
    play.create()
    said = answer(play, "go").verdict
    assert said.startswith("it did not start: the automation of the item was stopped: loop detected: 26 ")


def test_a_name_that_no_version_knows_is_not_explained(play: Play) -> None:
    play.create()
    assert explain(journal(play), "nosuch") is None


def test_without_a_rule_each_rule_of_the_present_stage_is_told(play: Play) -> None:
    play.create(fields={"size": 5})
    play.wait(3 * DAY_MS)
    stay = explain_stay(journal(play))
    assert stay is not None
    passage, rules = stay
    assert (passage.stage, passage.entry) == ("new", 1)
    assert [name for name, _ in rules] == ["hello", "big", "later", "behind"]
    assert all(verdict.startswith(("it ran", "it did not run")) for _, verdict in rules)


Run = Callable[..., tuple[int, Any, str]]


def test_the_command_explains_an_item_of_a_running_server(run: Run, server: LocalServer) -> None:
    with Client(server.address) as client:
        client.put_ruleset("", {"rules.yaml": deals(STAGES) + FLOW})
        client.create_item("deal:9", "deals", title="Roof", fields={"size": 50, "note": "n"})
    status, text, _ = run("explain", "deal:9", "big")
    assert status == 0
    assert "size above 100: it was 50, does not hold" in text
    assert "by ruleset version 1" in text
    status, told, _ = run("explain", "deal:9", "--json")
    assert (status, [one["rule"] for one in told["rules"]]) == (0, ["hello", "big", "later", "behind"])
    status, _, error = run("explain", "deal:9", "bgi")
    assert status == 1
    assert "did you mean 'big'?" in error
    status, _, error = run("explain", "deal:404")
    assert (status, "nothing is known of an item deal:404" in error) == (1, True)
