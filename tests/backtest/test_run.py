"""What a run counts (N4): each rule, trigger, workflow and stage, as the engine of `serve` decided it."""

import pytest

from stagewheel.errors import RuleError
from stagewheel.protocol.messages import Address, AnyCommand, Client, CreateItem
from stagewheel.server.backtest.history import chosen, packed
from stagewheel.server.backtest.report import Report, RuleReport, TriggerReport
from stagewheel.server.backtest.watch import share
from tests.backtest.desk import DAY_MS, ROSA, RULES, START_MS, run, story, ticket


@pytest.fixture(scope="module")
def report() -> Report:
    return run().report


def rule(report: Report, id_: str) -> RuleReport:
    return next(one for one in report.rules if one.rule == id_)


def trigger(report: Report, id_: str) -> TriggerReport:
    return next(one for one in report.triggers if one.trigger == id_)


def test_each_outcome_of_a_rule_is_counted_with_its_reason(report: Report) -> None:
    """N4."""
    assert rule(report, "hello").outcomes == {
        "done": {"": 4},
        "failed": {"the client has no e-mail address": 1},
    }, "t:1 came back"
    nag = rule(report, "nag")
    assert nag.outcomes["done"] == {"": 1}, "t:1 was urgent for a day"
    assert nag.outcomes["skipped"] == {"condition": 1}, "t:4 was not"
    assert nag.outcomes["cancelled"] == {"left stage": 2, "chain stopped": 1}
    assert rule(report, "once").outcomes == {"done": {"": 2}, "skipped": {"repeat": 1}}


def test_the_test_that_said_no_is_told_with_what_it_saw(report: Report) -> None:
    [said] = rule(report, "nag").tests
    assert (said.path, said.count, said.values) == ("urgent", 1, {"False": 1})
    [said] = trigger(report, "solved").tests
    assert (said.path, said.operator, said.expected, said.values) == ("trigger.stars", "gte", 3, {"2": 1})


def test_triggers_tell_moves_and_refusals(report: Report) -> None:
    """N10, in sum."""
    assert trigger(report, "taken").moves == 2
    assert trigger(report, "taken").refused == {"condition": 1}
    assert trigger(report, "solved").moves == 1
    assert [(one.type, one.code, one.seen, one.moved) for one in report.event_types] == [
        ("app", "take", 3, 2),
        ("form_submitted", "solved", 2, 1),
    ]


def test_stages_tell_entries_stays_and_who_is_there(report: Report) -> None:
    stages = {one.stage: one for one in report.stages}
    assert {name: (one.entries, one.left, one.here) for name, one in stages.items()} == {
        "open": (5, 3, 2),
        "work": (3, 2, 1),
        "closed": (1, 0, 1),
    }
    hour_ms = DAY_MS // 24
    assert stages["open"].median_ms == 2 * hour_ms
    assert stages["open"].p90_ms == 30 * hour_ms
    assert stages["work"].by == {"trigger taken": 2, "command": 1}
    [pipeline] = report.pipelines
    assert (pipeline.success, pipeline.failure, pipeline.open, pipeline.deleted) == (1, 0, 3, 0)


def test_workflows_tell_how_they_ended(report: Report) -> None:
    [care] = report.workflows
    assert (care.started, care.running) == ({"created": 4}, 0)
    assert care.outcomes == {"stopped": {"somebody looked": 1}, "done": {"": 3}}
    assert care.sent.channels == {"history": 3}


def test_what_would_have_been_sent_is_counted_and_the_first_are_shown(report: Report) -> None:
    hello = rule(report, "hello").sent
    assert hello.channels == {"email": 4}
    assert [one.item for one in hello.examples] == ["t:1", "t:2", "t:4"]
    assert hello.examples[0].at_ms == START_MS
    assert hello.examples[0].values["to"] == ["ada@example.com"]
    assert hello.examples[0].values["subject"] == "We got t:1"
    assert sum(day.sent for day in report.days) == 4 + 1 + 2 + 3


def test_what_waits_at_the_end_is_counted_by_what_it_waits_for(report: Report) -> None:
    assert rule(report, "due-soon").waiting == {"waiting_field": 2}


def test_commands_that_the_ruleset_refuses_are_told(report: Report) -> None:
    [refused] = report.refused
    assert (refused.code, refused.item, refused.count) == ("unknown_stage", "t:2", 1)
    assert report.commands == {
        "PutEmployee": 1, "CreateItem": 4, "RaiseEvent": 5, "ChangeStage": 3, "UpdateItem": 2,
    }  # fmt: skip


def test_time_passes_after_the_last_event_where_that_is_asked() -> None:
    commands: list[AnyCommand] = [ROSA, ticket("t:1", START_MS, urgent=True)]
    assert rule(run(commands=commands).report, "nag").waiting == {"waiting": 1}
    later = run(commands=commands, then_ms=DAY_MS).report
    assert rule(later, "nag").outcomes == {"done": {"": 1}}
    assert later.until_ms == START_MS + DAY_MS


def test_a_delivery_is_reported_at_its_own_moment_also_between_two_far_events() -> None:
    """A chained rule counts from the delivery (2.3), not from the next command of the history."""
    waits = RULES.replace("action: {do: send_email", "run: {after: 2h}\n            action: {do: send_email")
    commands: list[AnyCommand] = [
        ROSA,
        ticket("t:1", START_MS, urgent=True),
        ticket("t:2", START_MS + 9 * DAY_MS),
    ]
    trails = run(waits, commands).report
    [nag] = rule(trails, "nag").sent.examples
    assert nag.at_ms == START_MS + DAY_MS * 26 // 24


def test_a_template_that_fails_is_told_as_a_message_that_could_not_be_made() -> None:
    broken = RULES.replace("Dear {{ client.name }}", "{{ item.title | date }}")
    commands: list[AnyCommand] = [ROSA, ticket("t:1", START_MS)]
    hello = rule(run(broken, commands).report, "hello")
    assert hello.count("failed") == 1
    assert hello.sent.channels == {}
    assert sum(hello.sent.refused.values()) == 1


def test_a_ruleset_with_mistakes_is_refused_with_its_name() -> None:
    with pytest.raises(RuleError, match=r"rules\.yaml: the ruleset has 1 mistake"):
        run(RULES.replace("final: success", "final: perhaps"))


def test_a_sample_is_the_same_whatever_the_order_and_grows_by_adding() -> None:
    keys = [f"item:{number}" for number in range(100)]
    ten = chosen(keys, 10)
    assert len(ten) == 10
    assert chosen(reversed(keys), 10) == ten
    assert ten < chosen(keys, 20)
    assert sorted(chosen(keys, 5)) == ["item:19", "item:44", "item:58", "item:6", "item:75"]
    assert chosen(keys, 1000) == set(keys)


def test_a_history_gives_back_the_commands_it_was_made_of() -> None:
    commands = story() * 200
    history = packed("story", commands)
    assert list(history) == commands
    assert len(history.slices) > 1
    assert (history.items, history.first_ms) == (4, START_MS)


def test_a_share_of_stays_is_one_of_them() -> None:
    lengths = list(range(1, 11))
    assert [share(lengths, percent) for percent in (1, 50, 90, 100)] == [1, 5, 9, 10]
    assert share([7], 90) == 7


def test_reasons_and_values_are_bounded() -> None:
    commands: list[AnyCommand] = [
        CreateItem(f"t:{n}", at_ms=START_MS + n, pipeline="tickets", stage=f"s{'x' * n}", client=Client())
        for n in range(200)
    ]
    commands.append(
        CreateItem(
            "t:ok", at_ms=START_MS + 300, pipeline="tickets", client=Client("", [Address("a@b.example")])
        )
    )
    report = run(commands=commands).report
    assert len(report.refused) <= 51
    assert sum(one.count for one in report.refused) == 200
