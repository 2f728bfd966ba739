"""`wait_for` (W9, semantics 6.3): an event, a task's status or a changed field, with a time-out."""

from stagewheel.protocol.journal import Entered, WorkflowEnded, WorkflowStepped
from stagewheel.protocol.messages import DeleteItem, Moved, NotMoved, RaiseEvent, UpdateItem
from tests.core.flows import ended, flows, places, stepped
from tests.core.play import DAY_MS, HOUR_MS, MONDAY_NINE_MS

FORM = """
w:
  start: on_create
  vars: {n: 5}
  steps:
    - {do: wait_for, event: form_submitted, form: brief, when: {trigger.size: {gte: 10}}, timeout: 3d,
       on_timeout: [{do: add_history, text: nobody answered}, {do: stop, reason: no answer}]}
    - {do: add_history, text: "{{ previous.type }} {{ previous.code }}: {{ previous.size }} of {{ vars.n }}"}
    - {do: add_history, text: "{% if previous.timed_out %}late{% else %}in time{% endif %}{{ trigger.size }}"}
"""


def form(size: int, code: str = "brief") -> RaiseEvent:
    return RaiseEvent("deal:1", type="form_submitted", code=code, payload={"size": size})


def test_s6_3_wait_for_goes_on_with_the_event_that_it_names() -> None:
    """W9: type, setting and conditions on the event; its payload is `previous.*`."""
    play = flows(FORM)
    play.create()
    play.submit(form(20, "other"))
    play.submit(form(5))
    assert play.effects() == []
    assert stepped(play, "wait_for") == [("", "waits", "condition")]
    play.submit(form(20))
    assert play.effects() == ["history form_submitted brief: 20 of 5", "history in time"]
    assert ended(play) == [("w", "done", "")]
    play.wait(9 * DAY_MS)
    assert play.effects() == []


def test_s6_3_a_wait_for_that_no_event_ends_times_out() -> None:
    """W9"""
    play = flows(FORM)
    play.create()
    assert [(w, s, due) for w, s, due in play.waiting()] == [
        ("wait_for", "listening", MONDAY_NINE_MS + 3 * DAY_MS)
    ]
    play.wait(3 * DAY_MS - 1)
    assert play.effects() == []
    play.wait(1)
    assert play.effects() == ["history nobody answered"]
    assert ended(play) == [("w", "stopped", "no answer")]


def test_s6_3_without_steps_for_it_a_time_out_is_seen_in_previous() -> None:
    play = flows(
        """
        w:
          start: on_create
          steps:
            - {do: wait_for, event: app, code: answer, timeout: 2h}
            - do: if
              branches: [{when: {previous.timed_out: {is: true}}, steps: [{do: add_history, text: late}]}]
              else: [{do: add_history, text: "{{ previous.word }}"}]
        """
    )
    play.create("deal:1")
    play.create("deal:2")
    play.event("answer", word="yes")
    play.wait(2 * HOUR_MS)
    assert play.effects() == ["history yes", "history late"]


def test_s6_3_wait_for_without_a_time_out_waits_however_long() -> None:
    play = flows(
        """
        w:
          start: on_create
          steps: [{do: wait_for, event: payment_received}, {do: add_history, text: paid}]
        """
    )
    play.create()
    play.wait(700 * DAY_MS)
    play.submit(RaiseEvent("deal:1", type="payment_received"))
    assert play.effects() == ["history paid"]


def test_s6_3_wait_for_a_status_of_a_task() -> None:
    """W9, G8"""
    play = flows(
        """
        w:
          start: on_create
          steps:
            - {do: wait_for, event: task_status, status: completed, when: {trigger.name: {contains: brief}}}
            - {do: add_history, text: "{{ previous.name }} by {{ previous.by }}"}
        """
    )
    play.create()
    for status, name in (("deferred", "the brief"), ("completed", "the call"), ("completed", "the brief")):
        payload = {"name": name, "by": 7}
        play.submit(RaiseEvent("deal:1", type="task_status", code=status, payload=payload))
    assert play.effects() == ["history the brief by 7"]


FIELDS = """
w:
  start: on_create
  steps:
    - {do: wait_for, fields: [size, paid], when: {size: {gt: 10}}}
    - {do: add_history, text: "size is {{ item.size }}, changed {{ previous.fields | join(' ') }}"}
"""


def test_s6_3_wait_for_a_change_of_given_fields() -> None:
    """W9"""
    play = flows(FIELDS)
    play.create(fields={"size": 20})
    play.update(note="x")
    play.update(size=5)
    assert play.effects() == []
    play.update(size=11, note="y")
    assert play.effects() == ["history size is 11, changed size note"]


def test_s6_3_wait_for_may_ask_what_the_field_was() -> None:
    """C4"""
    play = flows(
        """
        w:
          start: on_create
          steps:
            - {do: wait_for, fields: [size], when: {size: {changed_from: 1}}}
            - {do: add_history, text: "from 1 to {{ item.size }}"}
        """
    )
    play.create(fields={"size": 0})
    play.update(size=1)
    play.update(size=7)
    assert play.effects() == ["history from 1 to 7"]


def test_s6_6_a_field_that_a_rule_or_workflow_changes_is_a_change_for_wait_for() -> None:
    play = flows(
        FIELDS,
        """
        - {id: new}
        - {id: work, rules: [{id: r, action: {do: set_fields, fields: {size: 99}}}]}
        """,
    )
    play.create()
    play.move("work")
    assert play.effects() == ["history size is 99, changed size"]


def test_s6_3_wait_for_does_not_see_the_change_that_its_own_workflow_made_before() -> None:
    play = flows(
        """
        w:
          start: on_create
          steps:
            - {do: set_fields, fields: {size: 1}}
            - {do: wait_for, fields: [size]}
            - {do: add_history, text: "{{ item.size }}"}
        """
    )
    play.create()
    assert play.effects() == []
    play.update(size=2)
    assert play.effects() == ["history 2"]


def test_s6_3_one_event_ends_one_wait_of_a_loop_and_not_the_next_one() -> None:
    play = flows(
        """
        w:
          start: on_create
          vars: {n: 0}
          steps:
            - do: while
              when: {vars.n: {lt: 3}}
              steps:
                - {do: wait_for, event: app, code: ring}
                - {do: set, vars: {n: "{{ vars.n + 1 }}"}}
                - {do: add_history, text: "{{ vars.n }}"}
        """
    )
    play.create()
    for number in range(3):
        play.event("ring")
        assert play.effects() == [f"history {number + 1}"]
    assert ended(play) == [("w", "done", "")]


ORDERED = """
w:
  start: on_create
  steps: [{do: wait_for, event: app, code: go}, {do: add_history, text: "waiting one in {{ item.stage }}"}]
x:
  start: {on_event: app, code: go}
  steps: [{do: add_history, text: "started in {{ item.stage }}"}]
"""


def test_s2_10_triggers_come_first_then_waiting_workflows_then_starts() -> None:
    play = flows(
        ORDERED,
        """
        - {id: new}
        - id: work
          triggers: [{id: t, on: app, code: go}]
          rules: [{id: r, action: {do: add_history, text: rule}}]
        """,
    )
    play.create()
    assert isinstance(play.event("go"), Moved)
    assert play.effects() == [
        "history rule",
        "history waiting one in work",
        "history started in work",
    ]


def test_s2_10_a_changed_field_is_seen_by_the_entry_then_triggers_waiting_workflows_and_starts() -> None:
    play = flows(
        """
        w:
          start: on_create
          steps: [{do: wait_for, fields: [size]}, {do: add_history, text: "waiting one in {{ item.stage }}"}]
        x:
          start: {on_change: [size]}
          steps: [{do: add_history, text: "started in {{ item.stage }}"}]
        """,
        """
        - {id: new}
        - id: work
          triggers: [{id: t, on: field_changed, fields: [size]}]
          rules: [{id: r, action: {do: add_history, text: rule}}]
        """,
    )
    play.create()
    play.update(size=1)
    assert play.effects() == ["history rule", "history waiting one in work", "history started in work"]


def test_s6_3_an_event_that_moves_nothing_still_goes_to_those_who_wait() -> None:
    play = flows(ORDERED)
    play.create()
    assert isinstance(play.event("go"), NotMoved)
    assert play.effects() == ["history waiting one in new", "history started in new"]


def test_s6_3_a_move_by_a_waiting_workflow_is_made_before_the_next_message() -> None:
    play = flows(
        """
        w:
          start: on_create
          steps: [{do: wait_for, event: app, code: go}, {do: change_stage, stage: work}]
        """
    )
    play.create()
    play.event("go")
    assert play.stage() == "work"
    assert [one.rule for one in play.did(Entered)] == ["", "w"]


def test_s6_3_a_field_may_be_awaited_until_the_item_is_deleted() -> None:
    play = flows(FIELDS)
    play.create()
    play.submit(DeleteItem("deal:1"))
    assert ended(play) == [("w", "cancelled", "item deleted")]


def test_s6_3_an_expression_that_fails_does_not_hold_and_a_template_that_fails_fails_the_step() -> None:
    """C5"""
    play = flows(
        """
        w:
          start: on_create
          steps:
            - do: parallel
              on_failure: continue
              branches:
                - steps:
                    - {do: wait_for, event: app, code: go, when: {expr: "trigger.n / 0 > 1"}, timeout: 1h}
                - steps: [{do: pause, for: 1h}, {do: stop, when: {expr: "item.size / 0 > 1"}}]
                - steps: [{do: pause, for: 2h}, {do: add_history, text: "{{ item.size / 0 }}"}]
                - steps: [{do: pause, for: 3h}, {do: stop, reason: "{{ item.size / 0 }}"}]
            - {do: add_history, text: end}
        """
    )
    play.create(fields={"size": 1})
    play.event("go", n=1)
    play.wait(3 * HOUR_MS)
    assert stepped(play, "wait_for") == [("1", "waits", "condition"), ("1", "done", "timed out")]
    assert stepped(play, "stop")[0] == ("2", "done", "false")
    failed = [one for one in play.did(WorkflowStepped) if one.outcome == "branch failed"]
    assert [one.reason.split(":")[0] for one in failed] == ["branch 3", "branch 4"]
    assert all("division by zero" in one.reason for one in failed), failed
    assert play.effects() == ["history end"]
    assert [one.outcome for one in play.did(WorkflowEnded)] == ["done"]


def test_s6_3_who_waits_for_what_is_seen_in_the_item() -> None:
    play = flows(FORM + FIELDS.replace("w:", "x:"))
    play.create()
    assert places(play) == [
        ("", "wait_for", "event form_submitted brief"),
        ("", "wait_for", "change of size, paid"),
    ]


def test_s6_3_a_command_without_a_change_wakes_nobody() -> None:
    play = flows(FIELDS)
    play.create(fields={"size": 20})
    play.submit(UpdateItem("deal:1", fields={"size": 20}))
    assert play.effects() == []
