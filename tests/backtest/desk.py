"""What several tests of back-testing share: a ruleset with every kind of outcome, and a small history."""

from collections.abc import Sequence

from stagewheel.protocol.messages import (
    Address,
    AnyCommand,
    ChangeStage,
    Client,
    CreateItem,
    Employee,
    PutEmployee,
    RaiseEvent,
    UpdateItem,
)
from stagewheel.server.backtest.history import packed
from stagewheel.server.backtest.run import Job, Outcome, Run

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 1_772_438_400_000  # 2026-03-02T08:00:00Z
RULES = """
ruleset: desk
timezone: UTC
entities: {ticket: {fields: {urgent: {type: boolean, default: false}, size: number, due: datetime}}}
pipelines:
  tickets:
    entity: ticket
    stages:
      - id: open
        rules:
          - id: hello
            action: {do: send_email, subject: "We got {{ item.title }}", body: "Dear {{ client.name }}"}
          - id: nag
            after_previous: true
            run: {after: 1d}
            when: {urgent: {is: true}}
            action: {do: notify, text: "{{ item.title }}!"}
          - id: due-soon
            run: {before: 1d, of: due}
            action: {do: add_history, text: "{{ item.title }} is due tomorrow"}
      - id: work
        triggers:
          - {id: taken, on: app, code: take, when: {any: [{urgent: {is: true}}, {trigger.force: {is: true}}]}}
        rules:
          - {id: once, repeat: once, action: {do: notify, text: "work on {{ item.title }}"}}
      - id: closed
        final: success
        triggers: [{id: solved, on: form_submitted, form: solved, when: {trigger.stars: {gte: 3}}}]
workflows:
  care:
    pipeline: tickets
    start: on_create
    steps:
      - {do: pause, for: 5d}
      - {do: stop, when: {urgent: {is: true}}, reason: "somebody looked"}
      - {do: add_history, text: "still there"}
"""


ROSA = PutEmployee("", employee=Employee(7, "Rosa", [Address("rosa@example.com")]))


def ticket(key: str, at_ms: int, *, mail: bool = True, urgent: bool = False) -> CreateItem:
    client = Client("Ada", [Address("ada@example.com")] if mail else [])
    fields = {"urgent": True} if urgent else {}
    return CreateItem(
        key, at_ms=at_ms, pipeline="tickets", title=key, client=client, responsible=7, fields=fields
    )


def story() -> list[AnyCommand]:
    """Four tickets: one runs through, one is taken over, one has no address, one never moves."""
    at = START_MS
    return [
        ROSA,
        ticket("t:1", at, urgent=True),
        ticket("t:2", at),
        ticket("t:3", at + 1, mail=False),
        ticket("t:4", at + 1),
        RaiseEvent("t:2", at_ms=at + HOUR_MS, code="take"),
        RaiseEvent("t:2", at_ms=at + 2 * HOUR_MS, code="take", payload={"force": True}),
        RaiseEvent("t:1", at_ms=at + 30 * HOUR_MS, code="take"),
        ChangeStage("t:1", at_ms=at + 40 * HOUR_MS, stage="open"),
        ChangeStage("t:1", at_ms=at + 41 * HOUR_MS, stage="work"),
        ChangeStage("t:2", at_ms=at + 41 * HOUR_MS, stage="nowhere"),
        UpdateItem("t:4", at_ms=at + 42 * HOUR_MS, fields={"size": 3}),
        RaiseEvent(
            "t:1", at_ms=at + 50 * HOUR_MS, type="form_submitted", code="solved", payload={"stars": 2}
        ),
        RaiseEvent(
            "t:1", at_ms=at + 51 * HOUR_MS, type="form_submitted", code="solved", payload={"stars": 4}
        ),
        UpdateItem("t:2", at_ms=at + 6 * DAY_MS, fields={"size": 1}),
    ]


def run(rules: str = RULES, commands: Sequence[AnyCommand] | None = None, *, then_ms: int = 0) -> Outcome:
    """Run a history under a ruleset, with trails."""
    history = packed("story", story() if commands is None else commands)
    job = Job({"rules.yaml": rules}, "rules.yaml", history, history.last_ms + then_ms, trails=True)
    return Run(job).play()
