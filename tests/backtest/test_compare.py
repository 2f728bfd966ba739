"""Two rulesets over one history: equal ones differ in nothing, a change shows where it was meant and nowhere
else (N4)."""

from stagewheel.protocol.messages import AnyCommand
from stagewheel.server.backtest.compare import Comparison, compare
from stagewheel.server.backtest.trails import decode_trail
from tests.backtest.desk import DAY_MS, RULES, START_MS, run


def compared(now: str, then: str = RULES, commands: list[AnyCommand] | None = None) -> Comparison:
    """RULES against a changed ruleset."""
    return compare(run(then, commands), run(now, commands))


def labels(made: Comparison) -> dict[tuple[str, str, str], list[str]]:
    """(kind, name, label) -> items."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for one in made.items:
        for change in one.changes:
            found.setdefault((change.kind, change.name, change.label), []).append(one.item)
    return found


def changed(old: str, new: str) -> Comparison:
    assert old in RULES
    return compared(RULES.replace(old, new))


def test_equal_rulesets_show_no_difference() -> None:
    made = compared(RULES)
    assert (made.items_compared, made.items_different) == (4, 0)
    assert (made.groups, made.deltas, made.items) == ([], [], [])


def test_a_name_or_a_comment_is_no_difference() -> None:
    assert (
        compared("# newer\n" + RULES.replace("id: hello", "id: hello\n            name: Hello")).items == []
    )


def test_a_longer_delay_shows_in_its_rule_and_nowhere_else() -> None:
    made = changed("run: {after: 1d}", "run: {after: 29h}")
    assert labels(made) == {
        ("rule", "nag", "done, later"): ["t:1"],
        ("rule", "nag", "skipped: condition, later"): ["t:4"],
        ("message", "nag", "notify, later"): ["t:1"],
    }
    [nag] = [change for change in made.items[0].changes if change.kind == "rule"]
    assert nag.then is not None
    assert nag.now is not None
    assert (nag.then.at_ms, nag.now.at_ms) == (START_MS + DAY_MS, START_MS + 29 * DAY_MS // 24)
    assert (nag.visit, nag.occurrence) == (1, 1)


def test_a_delay_so_long_that_the_item_has_left_changes_the_outcome_and_the_message() -> None:
    made = changed("run: {after: 1d}", "run: {after: 31h}")
    assert labels(made) == {
        ("rule", "nag", "done → cancelled: left stage"): ["t:1"],
        ("rule", "nag", "skipped: condition, later"): ["t:4"],
        ("message", "nag", "notify → –"): ["t:1"],
    }
    [delta] = made.deltas
    assert (delta.kind, delta.name) == ("rule", "nag")
    assert delta.counts == {"done": (1, 0), "cancelled": (3, 4), "sent: notify": (1, 0)}


def test_another_condition_shows_which_items_it_now_holds_for() -> None:
    made = changed("when: {urgent: {is: true}}\n", "when: {urgent: {is: false}}\n")
    assert labels(made)["rule", "nag", "done → skipped: condition"] == ["t:1"]
    assert labels(made)["rule", "nag", "skipped: condition → done"] == ["t:4"]


def test_another_text_is_another_message_and_no_other_outcome() -> None:
    made = changed("work on {{ item.title }}", "do {{ item.title }}")
    assert labels(made) == {("message", "once", "notify, other content"): ["t:1", "t:2"]}
    assert made.deltas == []


def test_a_change_in_the_body_of_a_mail_counts_though_its_subject_is_the_same() -> None:
    made = changed("Dear {{ client.name }}", "Hello {{ client.name }}")
    assert set(labels(made)) == {("message", "hello", "email, other content")}


def test_a_trigger_that_holds_sooner_shows_in_the_path_and_in_what_follows_from_it() -> None:
    made = changed("{trigger.force: {is: true}}", "{title: {is: 't:2'}}")
    found = labels(made)
    assert found["path", "open", "work, earlier"] == ["t:2"]
    [item] = made.items
    assert (
        [stop.stage for stop in item.path_then] == [stop.stage for stop in item.path_now] == ["open", "work"]
    )
    assert found["rule", "once", "done, earlier"] == ["t:2"]
    deltas = {(one.kind, one.name): one.counts for one in made.deltas}
    assert deltas["trigger", "taken"]["not: condition"] == (1, 0)


def test_a_stage_that_is_not_reached_parts_the_ways_there() -> None:
    made = changed("trigger.stars: {gte: 3}", "trigger.stars: {gte: 5}")
    [group] = [one for one in made.groups if one.kind == "path"]
    assert (group.name, group.label, group.items) == ("work", "closed → –", 1)
    assert made.items[0].path_now == made.items[0].path_then[:-1]
    deltas = {(one.kind, one.name): one.counts for one in made.deltas}
    assert deltas["pipeline", "tickets"] == {"success": (1, 0), "open": (3, 4)}


def test_a_rule_that_is_gone_or_new_stands_on_one_side_only() -> None:
    without = '          - {id: once, repeat: once, action: {do: notify, text: "work on {{ item.title }}"}}\n'
    assert without in RULES
    made = compared(RULES.replace("        rules:\n" + without, ""))
    assert {label for kind, _, label in labels(made) if kind == "rule"} == {"done → –", "skipped: repeat → –"}
    back = compared(RULES, RULES.replace("        rules:\n" + without, ""))
    assert {label for kind, _, label in labels(back) if kind == "rule"} == {"– → done", "– → skipped: repeat"}


def test_one_rule_more_shifts_step_numbers_but_is_no_difference_of_the_others() -> None:
    made = changed(
        "          - id: hello\n",
        "          - {id: first, action: {do: add_history, text: x}}\n          - id: hello\n",
    )
    assert {name for _, name, _ in labels(made)} == {"first"}


def test_a_workflow_that_ends_otherwise_is_told() -> None:
    made = changed("{do: pause, for: 5d}", "{do: pause, for: 9d}")
    assert labels(made)["workflow", "care", "done → running"] == ["t:2", "t:3", "t:4"]
    assert labels(made)["workflow", "care", "stopped: somebody looked → running"] == ["t:1"]


def test_visits_of_a_stage_are_told_apart() -> None:
    trail = decode_trail(run().trails["t:1"])
    assert [stop.stage for stop in trail.path] == ["open", "work", "open", "work", "closed"]
    assert {key for key in trail.rules if key.startswith("once")} == {"once|1|1", "once|2|1"}
    assert trail.rules["once|2|1"].reason == "repeat"


def test_another_message_of_the_stream_is_told_of_its_rule() -> None:
    """E3."""
    told = RULES.replace('{do: notify, text: "work on', '{do: post_stream, text: "work on')
    made = compared(told.replace("work on", "look at"), told)
    assert labels(made) == {("message", "once", "stream, other content"): ["t:1", "t:2"]}


def test_another_task_is_told_of_its_rule() -> None:
    """E5; its number, which anything that is stored for people shifts, is no difference."""
    told = RULES.replace('{do: notify, text: "work on', '{do: create_task, responsible: 7, name: "work on')
    made = compared(told.replace("work on", "look at"), told)
    assert labels(made) == {("message", "once", "task, other content"): ["t:1", "t:2"]}
    more = "          - {id: first, action: {do: add_history, text: x}}\n          - id: hello\n"
    made = compared(told, told.replace("          - id: hello\n", more))
    assert {name for _, name, _ in labels(made)} == {"first"}
