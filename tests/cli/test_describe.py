"""Each fact of the journal has a sentence, and a sentence says why."""

from typing import Any, get_args

import pytest

from stagewheel.cli.describe import SENTENCES, Describer
from stagewheel.cli.output import moment
from stagewheel.protocol import journal as j
from stagewheel.server.core.plan import Version
from stagewheel.server.rules.compile import compile_ruleset

RULES = """
ruleset: r
entities: {deal: {fields: {amount: number, stars: number}}}
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
        rules:
          - id: ask
            when: {all: [{title: {filled: true}}, {amount: {gt: 10}}]}
            action: {do: notify, text: hi}
      - id: won
        triggers: [{id: t, on: app, code: go, when: {trigger.stars: {gte: 3}}}]
workflows:
  w: {pipeline: deals, steps: [{do: stop, when: {amount: {is_not: 3}}, reason: enough}]}
"""


@pytest.fixture(scope="module")
def version() -> Version:
    return compile_ruleset({"r.yaml": RULES}, 1)[0]


def told(version: Version | None, fact: Any) -> tuple[str, str]:
    """The one sentence of a fact, and why."""
    record = j.Record("deal:1", 0, 0, "deals", 1, "Test", [fact])
    (line,) = Describer(lambda number: version).lines(record)
    return line.text, line.why


def test_every_kind_of_fact_has_a_sentence() -> None:
    assert set(SENTENCES) == set(get_args(j.Did))


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        (j.ItemCreated("deals", "Oak", "web"), "created in deals: Oak, from web"),
        (j.ItemCreated("deals", ""), "created in deals: (no title)"),
        (j.FieldsChanged({"a": 1, "b": None}, "r"), "changed by r: a = 1, b = empty"),
        (j.Entered("", "new", 1), "entered stage new (entry 1)"),
        (
            j.Entered("new", "won", 2, 7, trigger="t"),
            "entered stage won from new by trigger t, on behalf of employee 7 (entry 2)",
        ),
        (
            j.Entered("new", "a", 3, rule="r", pipeline="q"),
            "entered stage a of pipeline q from new by r (entry 3)",
        ),
        (j.StepWaits("r", 1, 86_400_000), f"r waits until {moment(86_400_000)}"),
        (j.StepWaits("r", 1, 0), "r waits until its date field is filled"),
        (
            j.StepWaits("r", 1, 86_400_000, [], ["company", "client"]),
            f"r waits for its hours (it is outside those of company, client) until {moment(86_400_000)}",
        ),
        (j.StepEnded("r", 1, "done"), "r: done"),
        (j.StepEnded("r", 1, "cancelled", "left stage"), "r: cancelled, left stage"),
        (j.Dispatched("r", 1, "email", 4), "r: email on its way (number 4)"),
        (j.DeliveryTried("r", 1, 2, "busy", 1_000), f"r: attempt 2 failed, next at {moment(1_000)}: busy"),
        (j.DeliveryTried("r", 1, 0, "dead letter retried", 0), "r: dead letter retried"),
        (j.Notified("r", [7, 8], "hi"), "r: told employees 7, 8: hi"),
        (j.Notified("r", [7], "hi", 4, 3), "r: told employee 7 for employee 3: hi"),
        (
            j.StreamPosted("r", 4, 7, [3], "look", {"plan": "p.pdf"}),
            "r: employee 7 wrote in the stream to employee 3 with plan: look",
        ),
        (
            j.StreamPosted("", 5, 3, [7], "done", {}, 4),
            "employee 3 answered message 4 of the stream to employee 7: done",
        ),
        (
            j.ChatBound("shop", "42", "invitation", "Ada"),
            "chat 42 of Ada at shop came by an invitation",
        ),
        (j.ChatBound("shop", "42", "message"), "chat 42 at shop began with a message"),
        (
            j.ChatReceived("shop", "42", "Hi", "Ada", "7", ["a.pdf"], True),
            "Ada wrote at shop for the first time with a.pdf: Hi",
        ),
        (j.ChatReceived("shop", "42", "Hi"), "chat 42 wrote at shop: Hi"),
        (j.ChatSent("r", 3, "shop", "42", "Hello", files=["b.pdf"]), "r: shop took with b.pdf: Hello"),
        (j.ChatSent("chat reply", 3, "shop", "42", "Hi", by=7), "chat reply, employee 7: shop took: Hi"),
        (j.ChatWritten("Hi", 7, step=3), "employee 7 wrote in the chat: Hi"),
        (
            j.ChatWritten("Note", 0, "r", True, number=4, to=[7, 8]),
            "r: wrote in the chat, hidden from the client, for employees 7, 8: Note",
        ),
        (j.FellBack("rule r", 8, 1), "rule r: employee 8 is not known, employee 1 stands in"),
        (j.FellBack("rule r", 0, 1), "rule r: nobody is left, employee 1 stands in"),
        (j.HistoryAdded("r", "late", "robot"), "r: history (robot): late"),
        (
            j.EmployeeChosen("r", 1, 12, "round_robin", 4),
            "r: employee 12 was chosen (turn 5 of the round robin)",
        ),
        (j.EmployeeChosen("r", 1, 12, "random"), "r: employee 12 was chosen (by chance)"),
        (j.EventSeen("app", "go", "t"), "event app go: trigger t moves the item"),
        (j.EventSeen("app", "go"), "event app go: no trigger moves the item"),
        (j.WorkflowStarted("w", 1, "created"), "workflow w started (created)"),
        (
            j.WorkflowNotStarted("w", "created", "condition"),
            "workflow w not started (created): its condition does not hold",
        ),
        (j.WorkflowNotStarted("w", "by r", "runs already"), "workflow w not started (by r): runs already"),
        (j.WorkflowWaits("w", 1, 0, "pause", 4, 60_000), f"w, pause: waits until {moment(60_000)}"),
        (
            j.WorkflowWaits("w", 1, 0, "answer", 4, 60_000, "event app paid", "2.1"),
            f"w, branch 2.1, answer: waits until {moment(60_000)} or for event app paid",
        ),
        (j.WorkflowWaits("w", 1, 0, "pause", 4, 0, "field due"), "w, pause: waits for field due"),
        (
            j.WorkflowStepped("w", 1, 0, "answer", "waits", "condition"),
            "w, answer: waits, its condition does not hold",
        ),
        (
            j.WorkflowStepped("w", 1, 0, "both", "branch failed", "branch 2: 550", branch="1"),
            "w, branch 1, both: branch failed, branch 2: 550",
        ),
        (j.WorkflowStepped("w", 1, 0, "if", "done", "false"), "w, if: does not hold"),
        (j.WorkflowStepped("w", 1, 0, "again", "done", "round 2"), "w, again: round 2"),
        (j.WorkflowEnded("w", 1, "stopped", "enough"), "workflow w stopped: enough"),
        (j.Held("stopped", "loop detected", 0), "automation stopped: loop detected"),
        (j.ItemDeleted(), "deleted"),
        (j.DeadLettered("r", 1, 5, "550"), "r: given up, kept as dead letter 5: 550"),
        (j.SentToItem("deal:2", "CreateItem", "r"), "CreateItem sent to item deal:2 by r"),
        (j.NothingChanged(), "nothing changed"),
        (j.ClientPut(["Ada"], "company:3", "command"), "contact data: Ada, of company company:3"),
        (j.ClientPut(["Ada"], "", "event"), "contact data: Ada, whom an event named"),
        (j.ClientLinked("deal:1", "deals", "open"), "item deal:1 names it (open, in deals)"),
        (j.ClientLinked("deal:1", "deals", "gone"), "item deal:1 no longer names it"),
        (j.ClientLinked("deal:1", "deals", "refused", "too many"), "item deal:1 is not linked: too many"),
        (
            j.EventForwarded("call_missed", "desk", ["d:1", "d:2"]),
            "event call_missed desk: sent on to d:1, d:2",
        ),
        (j.EventForwarded("app", "go", []), "event app go: no open item has a trigger for it"),
        (
            j.EventForwarded("app", "go", [], "d:9"),
            "event app go: no open item has a trigger for it; d:9 is created",
        ),
        (
            j.CapAwaited("r", 3, "email", "contact:1"),
            "r: asks contact:1 whether the cap on email leaves room",
        ),
        (
            j.CapAwaited("r", 3, "email", "", 60_000),
            f"r: the cap on email is reached, asks again at {moment(60_000)}",
        ),
        (j.CapCounted("email", "d:1", 3, True), "cap on email: step 3 of d:1 is counted"),
        (
            j.CapCounted("email", "d:1", 3, False, 60_000),
            f"cap on email: no room for step 3 of d:1 before {moment(60_000)}",
        ),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_a_fact_in_words(version: Version, fact: Any, text: str) -> None:
    assert told(version, fact)[0] == text


def test_a_rule_that_was_skipped_says_which_test_saw_what(version: Version) -> None:
    fact = j.StepEnded("ask", 1, "skipped", "condition", [0, "Oak", 1, 5])
    assert told(version, fact) == (
        "ask: skipped, its condition does not hold",
        "title was 'Oak' (asked: filled True); amount was 5 (asked: above 10)",
    )


def test_a_trigger_that_did_not_move_says_why(version: Version) -> None:
    fact = j.EventSeen("app", "go", "", [["t", "condition", [0, 2]]])
    assert told(version, fact)[1] == "t: condition: trigger.stars was 2 (asked: at least 3)"


def test_a_workflow_that_stopped_says_why(version: Version) -> None:
    fact = j.WorkflowStepped("w", 1, 0, "stop", "done", "true", [0, 4])
    assert told(version, fact) == ("w, stop: holds", "amount was 4 (asked: is not 3)")


@pytest.mark.parametrize("seen", [[0, 1], [99, 1], []])
def test_without_the_version_a_sentence_does_without_its_why(seen: list[Any]) -> None:
    assert told(None, j.StepEnded("ask", 1, "skipped", "condition", seen))[1] == ""


def test_what_the_version_does_not_know_is_not_guessed(version: Version) -> None:
    assert told(version, j.StepEnded("ask", 1, "skipped", "condition", [99, 1]))[1] == ""
    assert told(version, j.StepEnded("gone", 1, "skipped", "condition", [0, 1]))[1] == ""


def test_an_action_that_went_out_is_told_once(version: Version) -> None:
    facts: list[Any] = [
        j.Dispatched("w", 1, "email", 4),
        j.WorkflowStepped("w", 1, 0, "send_email", "sending"),
    ]
    record = j.Record("deal:1", 0, 0, "deals", 1, "Test", facts)
    assert len(Describer(lambda number: version).lines(record)) == 1
