"""From documents to plans: stages, chains, waits, triggers, workflows, and several files as one ruleset."""

import textwrap
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from stagewheel.server.core.calendar import Duration
from stagewheel.server.core.plan import RulePlan, Version
from stagewheel.server.core.plan_actions import (
    ChangeStagePlan,
    ChannelPlan,
    CreateFromPlan,
    HistoryPlan,
    NotifyPlan,
    SetFieldsPlan,
    SetVarsPlan,
)
from stagewheel.server.core.plan_steps import Act, Branch, End, Jump, Loop, Pause, Stop, Wait
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.load import load_folder_or_files
from tests.conftest import REPOSITORY
from tests.rules.making import in_stage, ruleset, scope, with_stage

NOTIFY = "action: {do: notify, text: x}"


def rules_of(text: str) -> tuple[RulePlan, ...]:
    return ruleset(in_stage(text)).pipelines["deals"].stages["new"].rules


def rule_of(text: str) -> RulePlan:
    (rule,) = rules_of(text)
    return rule


def workflow(steps: str, head: str = "") -> Version:
    lines = textwrap.indent(textwrap.dedent(steps).strip("\n"), "    ")
    more = f"workflows:\n  w:\n    pipeline: deals\n    vars: {{round: 0}}\n{head}    steps:\n{lines}\n"
    return ruleset(with_stage(more=more))


@pytest.mark.parametrize(
    ("run", "wait"),
    [
        ("immediately", None),
        ("{after: 90s}", Wait(duration=Duration(ms=90_000))),
        ("{after: 1mo 2d}", Wait(duration=Duration(months=1, days=2))),
        ("{after: 1d, max_late: 1h}", Wait(duration=Duration(days=1), max_late_ms=3_600_000)),
        ("{after: 1d, if_past: run}", Wait(duration=Duration(days=1), skip_if_past=False)),
        ("{before: 1d, of: due}", Wait(duration=Duration(days=1), sign=-1, of="due")),
        ("{after: 2h, of: due, time: 09:00}", Wait(duration=Duration(ms=7_200_000), of="due", time="09:00")),
        ("{at: due, if_past: skip}", Wait(of="due", skip_if_past=True)),
        ("{at: due, if_empty: run, follow: false}", Wait(of="due", if_empty="run", follow=False)),
        ("{at: entered_at}", Wait(of="entered_at")),
    ],
)
def test_s3_1_every_timing_becomes_a_wait(run: str, wait: Wait | None) -> None:
    assert rule_of(f"- {{id: a, run: {run}, {NOTIFY}}}\n").wait == wait


def test_s2_1_rules_that_say_after_previous_join_the_chain_above_them() -> None:
    rules = rules_of(
        f"""\
        - {{id: a, after_previous: true, {NOTIFY}}}
        - {{id: b, after_previous: true, {NOTIFY}}}
        - {{id: c, {NOTIFY}}}
        - {{id: d, after_previous: true, {NOTIFY}}}
        """
    )
    assert [(r.id, r.index, r.after_previous, r.chained) for r in rules] == [
        ("a", 0, False, True),
        ("b", 1, True, False),
        ("c", 2, False, True),
        ("d", 3, True, False),
    ]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("check: entry", {"check_entry": True, "check_due": False}),
        ("check: both", {"check_entry": True, "check_due": True}),
        ("check: due", {"check_entry": False, "check_due": True}),
        ("on_skip: continue", {"on_skip_continue": True}),
        ("on_failure: continue", {"on_failure_continue": True}),
        ("repeat: once", {"repeat_once": True, "repeat_every_ms": 0}),
        ("repeat: {every: 7d}", {"repeat_once": False, "repeat_every_ms": 7 * 86_400_000}),
        ("wait: false", {"wait_delivery": False}),
        ("disabled: true", {"disabled": True}),
        ("name: x", {"check_entry": False, "check_due": True, "wait_delivery": True, "disabled": False}),
    ],
)
def test_every_key_of_a_rule_reaches_its_plan(said: str, expected: dict[str, Any]) -> None:
    rule = rule_of(f"- {{id: a, {said}, {NOTIFY}}}\n")
    assert {name: getattr(rule, name) for name in expected} == expected


def test_rules_that_wait_for_a_field_are_found_by_it() -> None:
    version = ruleset(
        in_stage(
            f"""\
            - {{id: a, run: {{at: due}}, {NOTIFY}}}
            - {{id: b, run: {{after: 1d}}, {NOTIFY}}}
            - {{id: c, run: {{before: 1d, of: due}}, {NOTIFY}}}
            """
        )
    )
    assert version.pipelines["deals"].stages["new"].field_rules == {
        "due": (0, 2),
        "timezone": (0, 1, 2),
    }


def test_stages_keep_their_order_and_know_whether_they_are_final() -> None:
    pipeline = ruleset(in_stage(f"- {{id: a, {NOTIFY}}}\n")).pipelines["deals"]
    assert pipeline.first == "new"
    stages = [(s.id, s.index, s.final) for s in pipeline.stages.values()]
    assert stages == [("new", 0, ""), ("done", 1, "success")]
    assert (pipeline.entity, pipeline.zone) == ("deal", ZoneInfo("Europe/Rome"))


def test_entities_know_their_defaults_and_what_their_fields_accept() -> None:
    version = ruleset(
        """\
        ruleset: r
        entities:
          deal:
            extra: true
            fields:
              paid: {type: boolean, default: false}
              tags: {type: text, multiple: true, default: [a]}
              size: number
        pipelines: {deals: {entity: deal, stages: [{id: new}]}}
        """
    )
    entity = version.entities["deal"]
    assert entity.extra
    assert entity.defaults == {"paid": False, "tags": ["a"]}
    assert entity.fields["size"].accepts("5.5") == ""
    assert "a number is expected" in entity.fields["size"].accepts("many")
    assert "a list is expected" in entity.fields["tags"].accepts("a")
    assert "text is expected" in entity.fields["tags"].accepts(["a", 5])
    assert "true or false" in entity.fields["paid"].accepts("yes")


@pytest.mark.parametrize(
    ("trigger", "type_", "code"),
    [
        ("on: app, code: paid-twice", "app", "paid-twice"),
        ("on: form_submitted, form: brief", "form_submitted", "brief"),
        ("on: form_submitted", "form_submitted", ""),
        ("on: site_visit, page: /prices", "site_visit", "/prices"),
        ("on: task_status, status: completed", "task_status", "completed"),
        ("on: webhook, code: x", "webhook", "x"),
        ("on: incoming_email, mailbox: sales@example.com", "incoming_email", "sales@example.com"),
        ("on: payment_received", "payment_received", ""),
        ("on: payment_received, code: x", "payment_received", "x"),
    ],
)
def test_a_trigger_listens_to_a_type_and_a_code(trigger: str, type_: str, code: str) -> None:
    (found,) = ruleset(with_stage(f"triggers: [{{id: t, {trigger}}}]")).pipelines["deals"].triggers[type_]
    assert (found.type, found.code, found.stage, found.stage_index) == (type_, code, "new", 0)


def test_s5_2_triggers_stand_in_pipeline_order_then_list_order() -> None:
    pipeline = ruleset(
        """\
        ruleset: r
        entities: {deal: {fields: {size: number, name: text}}}
        pipelines:
          deals:
            entity: deal
            stages:
            - id: a
              triggers: [{id: a1, on: app, code: x}, {id: a2, on: field_changed, fields: [size, name]}]
            - id: b
              triggers:
              - {id: b1, on: app, code: y, when: {size: {gt: 1}}, as_user: 3, allow_backwards: true}
              - {id: b2, on: app, code: x}
        """
    ).pipelines["deals"]
    assert [(t.id, t.stage_index) for t in pipeline.triggers["app"]] == [("a1", 0), ("b1", 1), ("b2", 1)]
    (changed,) = pipeline.triggers["field_changed"]
    assert changed.fields == ("size", "name")
    b1 = pipeline.triggers["app"][1]
    assert (b1.as_user, b1.allow_backwards) == (3, True)
    assert b1.condition is not None
    assert b1.condition.holds(scope({"size": 2}), [])


def test_actions_on_the_item_become_plans_numbered_in_order() -> None:
    version = ruleset(
        in_stage(
            """\
            - {id: a, action: {do: change_stage, stage: done}}
            - id: b
              action: {do: set_fields, fields: {size: 5, name: "{{ item.title }}!", responsible: 9}}
            - {id: c, action: {do: notify_supervisor, text: "{{ responsible.name }}"}}
            - {id: d, action: {do: add_history, text: "{{ item.title }}", created_by: robot}}
            - id: e
              action:
                {do: create_from, pipeline: deals, stage: new, title: t, fields: {size: "{{ item.size }}"},
                 copy: [name], then: {stage: done, fields: {paid: true}}}
            """
        )
    )
    actions = version.actions
    assert [action.index for action in actions] == [0, 1, 2, 3, 4]
    move, fields, notify, history, create = actions
    at = scope({"size": 3, "name": "n"})
    assert isinstance(move, ChangeStagePlan)
    assert move.stage == "done"
    assert isinstance(fields, SetFieldsPlan)
    assert {name: value(at) for name, value in fields.values.items()} == {
        "size": 5,
        "name": "Big Order!",
        "responsible": 9,
    }
    assert isinstance(notify, NotifyPlan)
    assert (notify.to.people(at), notify.text(at)) == ([9], "Ines")
    assert isinstance(history, HistoryPlan)
    assert (history.text(at), history.created_by) == (
        "Big Order",
        "robot",
    )
    assert isinstance(create, CreateFromPlan)
    assert (create.pipeline, create.stage, create.title(at), create.then_stage) == (
        "deals",
        "new",
        "t",
        "done",
    )
    assert {name: value(at) for name, value in create.fields.items()} == {"size": 3}
    assert create.copies == {"name"}
    assert {name: value(at) for name, value in create.then_fields.items()} == {"paid": True}


@pytest.mark.parametrize(
    ("to", "ids"),
    [
        ("7", [7]),
        ("[9, 7, 9]", [9, 7]),
        ("[8, 7]", [7]),
        ("[1000]", []),
        ("responsible", [7]),
        ("supervisor", [9]),
        ("observers", [9, 7]),
        ("[supervisor, responsible, observers]", [9, 7]),
        ('"{{ responsible.id }}"', [7]),
        ('["{{ item.observers }}"]', [9, 7]),
        ('["{{ responsible.id }}, {{ responsible.supervisor }}"]', [7, 9]),
        ('"{{ item.name }}"', []),
    ],
)
def test_s7_9_recipients_are_known_employees_each_once_in_order(to: str, ids: list[int]) -> None:
    action = rule_of(f"- {{id: a, action: {{do: notify, text: x, to: {to}}}}}\n").action
    assert isinstance(action, NotifyPlan)
    assert action.to.people(scope({"name": "nobody"})) == ids


def test_s7_9_a_supervisor_that_is_gone_or_the_responsible_is_passed_over() -> None:
    action = rule_of("- {id: a, action: {do: notify_supervisor, text: x}}\n").action
    assert isinstance(action, NotifyPlan)
    assert action.to.people(scope(responsible=7)) == [9]
    assert action.to.people(scope(responsible=9)) == []
    assert action.to.people(scope(responsible=0)) == []


# ---------------------------------------------------------------- workflows


def test_a_workflow_is_flattened_to_a_program() -> None:
    version = workflow(
        """
        - do: if
          branches:
          - {when: {size: {gt: 1}}, steps: [{do: stop, reason: big}]}
          - {when: {size: {lt: 0}}, steps: [{do: set_fields, fields: {size: 0}}]}
          else:
          - {do: add_history, text: x}
        - do: while
          when: {vars.round: {lt: 2}}
          steps:
          - {do: pause, for: 7d}
          - {do: set, vars: {round: "{{ vars.round + 1 }}"}}
        - {do: pause, until: due, time: "09:00"}
        - {do: notify, text: x, name: tell, when: {paid: {is: true}}, on_failure: continue, wait: false}
        """
    )
    program = version.workflows["w"].program
    assert [type(operation) for operation in program] == [
        *(Branch, Stop, Jump, Branch, Act, Jump, Act),
        *(Loop, Pause, Act, Jump, Pause, Act, End),
    ]
    first, _, out, second, _, over, _, loop, pause, count, back, until, tell, _ = program
    assert isinstance(first, Branch)
    assert first.otherwise == 3
    assert isinstance(second, Branch)
    assert second.otherwise == 6
    assert isinstance(out, Jump)
    assert isinstance(over, Jump)
    assert out.to == over.to == 7
    assert isinstance(loop, Loop)
    assert (loop.otherwise, loop.rounds_max) == (11, 1000)
    assert isinstance(back, Jump)
    assert back.to == 7
    assert isinstance(pause, Pause)
    assert pause.wait == Wait(duration=Duration(days=7))
    assert isinstance(until, Pause)
    assert until.wait == Wait(of="due", time="09:00")
    assert isinstance(count, Act)
    assert count.name == "set"
    assert isinstance(count.action, SetVarsPlan)
    assert count.action.values["round"](scope(variables={"round": 1})) == 2
    assert isinstance(tell, Act)
    assert (tell.name, tell.on_failure_continue, tell.wait_delivery) == ("tell", True, False)
    assert tell.condition is not None
    assert version.workflows["w"].vars == {"round": 0}


def test_only_the_step_that_sets_variables_is_called_set() -> None:
    program = (
        workflow("- {do: notify, text: x, name: set}\n- {do: set, vars: {round: 1}, name: count}")
        .workflows["w"]
        .program
    )
    assert [operation.name for operation in program] == ["notify", "set", "end"]


@pytest.mark.parametrize(
    ("head", "on_create", "on_change", "on_event"),
    [
        ("", (), (), ()),
        ("    start: by_hand\n", (), (), ()),
        ("    start: on_create\n", ("w",), (), ()),
        ("    start: {on_create: true}\n", ("w",), (), ()),
        ("    start: {on_change: [size, name]}\n", (), (("w", ("size", "name")),), ()),
        ("    start: {on_change: any}\n", (), (("w", ()),), ()),
        ("    start: {on_event: call_missed}\n", (), (), (("w", "call_missed", ""),)),
        ("    start: {on_event: app, code: x}\n", (), (), (("w", "app", "x"),)),
    ],
)
def test_s6_1_a_workflow_starts_as_it_says(
    head: str, on_create: tuple[str, ...], on_change: tuple[Any, ...], on_event: tuple[Any, ...]
) -> None:
    pipeline = workflow("- {do: stop}", head).pipelines["deals"]
    assert pipeline.workflows_on_create == on_create
    assert pipeline.workflows_on_change == on_change
    assert pipeline.workflows_on_event == on_event


def test_a_workflow_keeps_its_condition_and_its_policies() -> None:
    start = "    start: {on_create: true, when: {size: {gt: 1}}}\n"
    head = f"    if_running: parallel\n    until: stage_change\n{start}"
    plan = workflow("- {do: stop}", head).workflows["w"]
    assert (plan.if_running, plan.until_stage_change) == ("parallel", True)
    assert plan.condition is not None
    assert plan.condition.holds(scope({"size": 2}), [])
    assert not plan.condition.holds(scope({"size": 1}), [])


# ---------------------------------------------------------------- files


def test_several_files_are_merged_whatever_their_format() -> None:
    files = {
        "a.yaml": "ruleset: r\ntimezone: Europe/Rome\nfallback_user: 3\nentities: {deal: {}}\n",
        "b.json": '{"pipelines": {"deals": {"entity": "deal", "stages": [{"id": "new"}]}}, "ruleset": "r"}',
        "c.toml": '[workflows.w]\npipeline = "deals"\nsteps = [{do = "notify", text = "x"}]\n',
        "scenarios/one.yaml": "scenario: of another kind\nsteps: []\n",
        "mapping.yaml": "pipeline: deals\nitem: case\n",
        "templates/a.txt.j2": "not looked at",
        "README.md": "nor this",
    }
    version, warnings = compile_ruleset(files, 7)
    assert (version.ruleset, version.number, version.fallback_user) == ("r", 7, 3)
    assert list(version.pipelines) == ["deals"]
    assert list(version.workflows) == ["w"]
    assert warnings == []


def test_the_order_in_which_files_are_given_does_not_matter() -> None:
    files = load_folder_or_files([REPOSITORY / "examples/rulesets"])
    forth, _ = compile_ruleset(files, 1)
    back, _ = compile_ruleset(dict(reversed(files.items())), 1)
    assert [type(action) for action in forth.actions] == [type(action) for action in back.actions]
    assert list(forth.pipelines) == list(back.pipelines)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (f"- {{id: a, after_previous: true, {NOTIFY}}}\n", "it is the first rule"),
        (
            (
                "- {id: a, action: {do: change_stage, stage: done}}\n"
                f"- {{id: b, after_previous: true, {NOTIFY}}}\n"
            ),
            "it never runs: the rule 'a' above it moves the item",
        ),
    ],
)
def test_what_is_probably_not_meant_is_a_warning_with_its_place(rules: str, said: str) -> None:
    _, (warning,) = compile_ruleset({"r.yaml": in_stage(rules)}, 1)
    assert said in warning.message
    assert warning.file == "r.yaml"
    assert warning.line > 8


def test_a_ruleset_that_counts_days_without_a_zone_is_warned_about() -> None:
    text = in_stage(f"- {{id: a, run: {{after: 1d}}, {NOTIFY}}}\n").replace("timezone: Europe/Rome\n", "")
    _, (warning,) = compile_ruleset({"r.yaml": text}, 1)
    assert "no timezone is set" in warning.message
    hours = text.replace("1d", "24h")
    assert compile_ruleset({"r.yaml": hours}, 1)[1] == []


@pytest.mark.parametrize("folder", ["rulesets", "lead-auto-reply", "story"])
def test_the_examples_compile_without_a_warning(folder: str) -> None:
    version, warnings = compile_ruleset(load_folder_or_files([REPOSITORY / "examples" / folder]), 1)
    assert warnings == []
    assert any(isinstance(action, ChannelPlan) for action in version.actions)
