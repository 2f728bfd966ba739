"""What changed, and which names there are, through the whole engine (4.2, 4.5)."""

from typing import Any

import pytest

from stagewheel.protocol.journal import EventSeen, StepEnded, WorkflowStarted
from stagewheel.protocol.messages import Address, Client, Failed, NotMoved, PutRuleset, RaiseEvent, UpdateItem
from tests.core.play import DAY_MS, Play, deals

ACME = Client("Acme", [Address("office@acme.example")], key="company:1", kind="company")


def rule(id_: str, when: str, more: str = "") -> str:
    return f"- {{id: {id_}, {more}when: {when}, action: {{do: add_history, text: {id_}}}}}"


def stage(id_: str, *rules: str, triggers: str = "[]") -> str:
    listed = "\n".join(f"    {one}" for one in rules)
    return (
        f"- id: {id_}\n  triggers: {triggers}\n  rules:\n{listed}\n"
        if rules
        else (f"- id: {id_}\n  triggers: {triggers}\n")
    )


# ---------------------------------------------------------------- 4.2: changed


def test_s4_2_of_an_item_that_is_created_every_given_field_changed_from_empty() -> None:
    """C4"""
    play = Play(
        deals(
            stage(
                "new",
                rule("given", "{note: {changed_from: null, changed_to: a}}"),
                rule("not-given", "{size: {changed: true}}"),
                rule("unchanged", "{size: {changed: false}}"),
                rule("titled", "{title: {changed_to: Roof}}"),
                rule("somebodys", "{client: {changed_from: null}, responsible: {changed_to: 7}}"),
            )
        )
    )
    play.create(fields={"note": "a"})
    assert play.effects() == ["history given", "history unchanged", "history titled", "history somebodys"]


def test_s4_2_a_rule_at_once_sees_what_the_command_changed_that_moved_the_item() -> None:
    """C4: and what rules above it changed in the same turn; the next command sees none of it."""

    def rules(stage_: str) -> list[str]:
        return [
            rule(f"{stage_}-moved", "{note: {changed_from: a, changed_to: b}}"),
            f"- {{id: {stage_}-set, action: {{do: set_fields, fields: {{size: 2}}}}}}",
            rule(f"{stage_}-after", "{size: {changed_from: 1}}"),
            rule(f"{stage_}-paid", "{paid: {changed: true}}"),
        ]

    play = Play(deals(stage("new") + stage("work", *rules("work")) + stage("more", *rules("more"))))
    play.create(fields={"note": "a", "size": 1})
    play.move("work", fields={"note": "b"})
    assert play.effects() == ["history work-moved", "history work-after"]
    play.move("more")
    assert play.effects() == []


@pytest.mark.parametrize(
    ("changes", "ran"),
    [
        ([], []),
        ([{"note": "b"}], ["changed", "from-a", "to-b"]),
        ([{"note": "b"}, {"note": "c"}], ["changed", "from-a"]),
        ([{"note": "b"}, {"size": 9}, {"note": "a"}], []),
        ([{"note": None}], ["changed", "from-a", "emptied"]),
        ([{"size": 9}], []),
    ],
)
def test_s4_2_for_a_rule_that_waited_all_counts_that_changed_since_its_entry(
    changes: list[dict[str, Any]], ran: list[str]
) -> None:
    """C4"""
    later = "run: {after: 1d}, "
    play = Play(
        deals(
            stage("old")
            + stage(
                "new",
                rule("changed", "{note: {changed: true}}", later),
                rule("from-a", "{note: {changed_from: A}}", later),
                rule("to-b", "{note: {changed_to: B}}", later),
                rule("emptied", "{note: {changed_to: null}}", later),
            )
        )
    )
    play.create(stage="old", fields={"note": "before"})
    play.update(note="a")
    play.move("new")
    for change in changes:
        play.wait(1000)
        play.update(**change)
    play.wait(DAY_MS)
    assert play.effects() == [f"history {one}" for one in ran]


def test_s4_2_a_chained_rule_looks_back_to_the_entry_and_a_new_entry_forgets() -> None:
    """C4"""

    def rules(stage_: str) -> list[str]:
        first = f"- {{id: {stage_}-first, run: {{after: 1d}}, action: {{do: add_history, text: {stage_}}}}}"
        behind = "{title: {changed_from: Roof, changed_to: Hut}}"
        return [first, rule(f"{stage_}-behind", behind, "after_previous: true, ")]

    play = Play(deals(stage("new", *rules("new")) + stage("work", *rules("work"))))
    play.create()
    play.submit(UpdateItem("deal:1", title="Hut"))
    play.wait(DAY_MS)
    assert play.effects() == ["history new", "history new-behind"]
    play.move("work")
    play.wait(DAY_MS)
    assert play.effects() == ["history work"]


def test_s4_2_a_trigger_and_a_start_see_the_update_that_they_were_asked_about() -> None:
    """C4"""
    triggers = "[{id: t, on: field_changed, when: {size: {changed_from: 1, changed_to: 2}}}]"
    flow = "{pipeline: deals, start: {on_change: any}, when: {paid: {changed_to: true}}, steps: [%s]}"
    head = f"workflows: {{w: {flow % '{do: add_history, text: paid}'}}}\n"
    play = Play(
        deals(stage("new") + stage("work", rule("r", "{size: {changed: true}}"), triggers=triggers), head)
    )
    play.create(fields={"size": 1})
    play.update(size=3)
    play.update(size=1)
    assert play.stage() == "new"
    play.update(size=2)
    assert (play.stage(), play.effects()) == ("work", ["history r"])
    play.update(paid=False)
    play.update(note="x")
    assert play.effects() == []
    play.update(paid=True)
    assert play.effects() == ["history paid"]
    play.update(note="y")
    assert play.effects() == []


def test_s4_2_another_client_or_company_is_a_change() -> None:
    """C4"""
    later = "run: {after: 1d}, "
    play = Play(
        deals(
            stage(
                "new",
                rule("client", "{client: {changed_to: bea}}", later),
                rule("company", "{company: {changed_from: null, changed_to: 'company:1'}}", later),
            )
        )
    )
    play.create()
    play.submit(UpdateItem("deal:1", client=Client("Bea")))
    play.submit(UpdateItem("deal:1", company=ACME))
    play.wait(DAY_MS)
    assert play.effects() == ["history client", "history company"]


# ---------------------------------------------------------------- 4.5: names

TASK = {
    "name": "Prepare the offer",
    "status": "completed",
    "responsible": 7,
    "rule": "prepare",
    "fields": {"room": 3},
}


def test_s4_5_conditions_read_item_clients_people_trigger_and_task() -> None:
    """C3"""
    tests = [
        "{note: {is: a}}",
        "{item.note: {is: a}}",
        "{client.name: {is: ada}}",
        "{contact.email: {ends_with: example.com}}",
        "{company.name: {is: acme}, company.kind: {is: company}}",
        "{client: {filled: true}, company: {filled: true}}",
        "{responsible.name: {is: ines}}",
        "{responsible.supervisor: {is: 9}, responsible.supervisor.name: {is: boss}}",
        "{trigger.code: {is: done}, trigger.form.page: {is: 3}}",
        "{task.name: {contains: prepare}, task.status: {is: completed}, task.responsible: {in: [7]}}",
        "{task.rule: {is: prepare}, task.fields.room: {is: 3}, task.deadline: {empty: true}}",
        "{products: {filled: true}}",
        "{last_contact_at: {empty: true}, last_inbound_at: {empty: true}}",
        "{now: {weekday: mon}}",
    ]
    rules = [rule(f"r{number}", test) for number, test in enumerate(tests)]
    waits = rule("later", "{trigger.form.page: {is: 3}, task.name: {filled: true}}", "run: {after: 1d}, ")
    play = Play(
        deals(
            stage("new")
            + stage("work", *rules, waits, triggers="[{id: t, on: app, code: done}]")
            + stage("end", waits.replace("later", "end"))
        )
    )
    play.create(fields={"note": "a", "products": [{"name": "Tile", "price": 3}]}, company=ACME)
    play.submit(RaiseEvent("deal:1", type="app", code="done", payload={"form": {"page": 3}, "task": TASK}))
    assert play.outcomes() == [(f"r{number}", "done", "") for number in range(len(tests))]
    play.wait(DAY_MS)
    assert play.outcomes()[-1] == ("later", "done", "")  # the event is kept with the entry that it began
    play.move("end")
    play.wait(DAY_MS)
    assert play.outcomes()[-1] == ("end", "skipped", "condition")  # and with no other


def test_s4_5_texts_read_the_same_names_within_the_turn_and_in_a_sender() -> None:
    """C3"""
    people = "{{ contact.name }} of {{ company.name }}, {{ responsible.name }}"
    text = people + " under {{ responsible.supervisor.name }}: {{ task.name }}, {{ item.products | length }}"
    stages = stage("new") + (
        "- id: work\n  triggers: [{id: t, on: app, code: done}]\n  rules:\n"
        f"    - {{id: told, action: {{do: add_history, text: '{text}'}}}}\n"
        f"    - {{id: mail, action: {{do: send_email, from: o@example.com, subject: '{text}', body: B}}}}\n"
    )
    play = Play(deals(stages))
    play.create(fields={"products": [{"name": "Tile"}]}, company=ACME)
    play.submit(RaiseEvent("deal:1", type="app", code="done", payload={"form": {"page": 3}, "task": TASK}))
    shown = "Ada of Acme, Ines under Boss: Prepare the offer, 1"
    assert sorted(play.effects()) == [f"email {shown}", f"history {shown}"]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "client",
            "contact",
            "company",
            "responsible",
            "vars",
            "now",
            "trigger",
            "task",
            "previous",
            "item",
        ),
        *("all", "any", "not", "expr", "key", "entity", "title", "pipeline", "stage", "entry", "entered_at"),
        *("created_at", "updated_at", "last_contact_at", "last_inbound_at", "observers", "source"),
        *("products", "timezone"),
    ],
)
def test_s4_5_words_of_the_language_are_no_names_of_fields(name: str) -> None:
    """C3"""
    rules = deals(stage("new")).replace("{size: number", f"{{'{name}': text, size: number")
    answer = Play().submit(PutRuleset("", files={"rules.yaml": rules}))
    assert isinstance(answer, Failed), answer
    assert f"'{name}' is a name of the language and can't be a field" in answer.message
    assert "rules.yaml:3" in answer.message


def test_s4_5_a_declared_field_may_have_a_default() -> None:
    """C3"""
    rules = deals(stage("new", rule("r", "{note: {is: open}}"))).replace(
        "note: text", "note: {type: text, default: open}"
    )
    play = Play(rules)
    play.create("deal:1")
    play.create("deal:2", fields={"note": "shut"})
    assert play.outcomes("deal:1") == [("r", "done", "")]
    assert play.outcomes("deal:2") == [("r", "skipped", "condition")]


# ---------------------------------------------------------------- 4.7 and 4.8: expr, and what is kept


def test_s4_7_an_expr_decides_rules_triggers_branches_and_starts() -> None:
    """C5"""
    branch = "{when: {expr: 'vars.n * 2 > item.size'}, steps: [{do: add_history, text: big}]}"
    steps = f"[{{do: if, branches: [{branch}]}}]"
    start = "start: on_create, when: {expr: 'item.size > 3'}"
    flow = f"{{pipeline: deals, {start}, vars: {{n: 5}}, steps: {steps}}}"
    triggers = "[{id: t, on: app, code: go, when: {expr: 'trigger.sum > item.size * 2'}}]"
    play = Play(
        deals(
            stage("new", rule("r", "{expr: 'item.size + 1 == 6 and not item.paid'}"))
            + stage("work", triggers=triggers),
            f"workflows: {{w: {flow}}}\n",
        )
    )
    play.create(fields={"size": 5})
    assert play.effects() == ["history r", "history big"]
    play.create("deal:2", fields={"size": 3})
    assert play.outcomes("deal:2") == [("r", "skipped", "condition")]
    assert play.did(WorkflowStarted, "deal:2") == []
    answer = play.event("go", sum=10)
    assert isinstance(answer, NotMoved)
    [test] = answer.candidates[0].tests
    assert (test.path, test.expected, test.held) == ("expr", "trigger.sum > item.size * 2", False)
    assert test.seen == {"trigger.sum": 10, "item.size": 5}
    play.event("go", sum=11)
    assert play.stage() == "work"


def test_s4_7_an_expr_that_can_not_be_computed_is_no_reason_to_act() -> None:
    """C5: neither it nor its opposite; the journal says why."""
    play = Play(
        deals(
            stage(
                "new",
                rule("yes", "{expr: '10 / item.size > 1'}"),
                rule("no", "{not: {expr: '10 / item.size > 1'}}"),
                rule("other", "{any: [{expr: '10 / item.size > 1'}, {note: {is: a}}]}"),
            )
        )
    )
    play.create(fields={"size": 0, "note": "a"})
    assert play.effects() == ["history other"]
    failed = {"item.size": 0, "error": "division by zero"}
    assert [did.seen for did in play.did(StepEnded)] == [[0, failed], [0, failed], [0, failed, 1, "a"]]


def test_s4_8_also_a_trigger_that_moves_and_a_start_keep_what_they_saw() -> None:
    """C1: at every place where a condition decides, and `check: entry` with no wait left."""
    flow = "{pipeline: deals, start: on_create, when: {size: {gt: 1}}, steps: [{do: add_history, text: w}]}"
    triggers = "[{id: t, on: app, code: go, when: {trigger.sum: {gt: 5}, note: {changed: false}}}]"
    play = Play(
        deals(
            stage("new", rule("at-entry", "{size: {is: 6}}", "run: {at: due}, check: entry, "))
            + stage("work", triggers=triggers),
            f"workflows: {{w: {flow}}}\n",
        )
    )
    play.create(fields={"size": 6, "note": "a", "due": "2026-01-01"})
    assert [did.seen for did in play.did(WorkflowStarted)] == [[0, 6]]
    assert [did.seen for did in play.did(StepEnded)] == [[0, 6]]
    play.event("go", sum=7)
    [event] = play.did(EventSeen)
    assert (event.moved_by, event.looked, event.seen) == ("t", [], [0, 7, 1, {"unchanged": "a"}])
