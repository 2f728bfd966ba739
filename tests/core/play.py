"""A small stage for tests of decisions: one ruleset, the real engine on the memory store, virtual time."""

import textwrap
from typing import Any

from stagewheel.protocol.journal import Record, StepEnded
from stagewheel.protocol.messages import (
    Address,
    AnyCommand,
    ChangeStage,
    Client,
    CreateItem,
    Employee,
    Published,
    PutEmployee,
    PutRuleset,
    RaiseEvent,
    Result,
    UpdateItem,
)
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.scenarios.drive import Drive
from stagewheel.server.scenarios.recorder import Recorder
from stagewheel.server.scenarios.steps import ChannelDoc

MONDAY_NINE_MS = 1_772_438_400_000  # 2026-03-02T09:00:00+01:00
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
ADA = Client("Ada", [Address("ada@example.com", "work")])


class Play:
    """Commands in, journal and effects out."""

    def __init__(self, rules: str = "", *, at_ms: int = MONDAY_NINE_MS) -> None:
        self.records: list[Record] = []
        self.recorder = Recorder({})
        self.drive = Drive(at_ms, compile_ruleset, self.recorder, self._seen)
        self.put_employee(Employee(7, "Ines", [Address("ines@example.com")], supervisor=9))
        self.put_employee(Employee(9, "Boss", [Address("boss@example.com")]))
        if rules:
            self.publish(rules)

    def _seen(self, records: list[tuple[int, bytes, Record]]) -> None:
        self.records += [record for _, _, record in records]

    def publish(self, rules: str) -> Result:
        answer = self.submit(PutRuleset("", files={"rules.yaml": textwrap.dedent(rules)}))
        assert isinstance(answer, Published), answer
        return answer

    def put_employee(self, employee: Employee) -> None:
        self.submit(PutEmployee("", employee=employee))

    def submit(self, command: AnyCommand) -> Result:
        return self.drive.submit(command)

    def create(self, key: str = "deal:1", stage: str = "new", **more: Any) -> Result:
        values = {"pipeline": "deals", "title": "Roof", "client": ADA, "responsible": 7, **more}
        return self.submit(CreateItem(key, stage=stage, **values))

    def move(self, stage: str, key: str = "deal:1", **more: Any) -> Result:
        return self.submit(ChangeStage(key, stage=stage, **more))

    def update(self, key: str = "deal:1", **fields: Any) -> Result:
        return self.submit(UpdateItem(key, fields=fields))

    def event(self, code: str, key: str = "deal:1", **payload: Any) -> Result:
        return self.submit(RaiseEvent(key, type="app", code=code, payload=payload))

    def wait(self, ms: int) -> None:
        self.drive.advance_to(self.drive.engine.now_ms() + ms)

    def channel(self, name: str, **answer: Any) -> None:
        self.recorder.channels[name] = ChannelDoc(**answer)

    def effects(self) -> list[str]:
        """What was done since the last call, a line each: `email SUBJECT`, `history TEXT`, …"""
        out = []
        for effect in self.recorder.take():
            ((kind, values),) = effect.items()
            out.append(f"{kind} {values.get('subject') or values.get('text') or values.get('url')}")
        return out

    def outcomes(self, key: str = "deal:1") -> list[tuple[str, str, str]]:
        """(rule, outcome, reason) of every step that ended, in order."""
        return [
            (did.rule, did.outcome, did.reason)
            for record in self.records
            if record.item == key
            for did in record.did
            if isinstance(did, StepEnded)
        ]

    def did(self, kind: type, key: str = "deal:1") -> list[Any]:
        return [
            did for record in self.records if record.item == key for did in record.did if type(did) is kind
        ]

    def stage(self, key: str = "deal:1") -> str:
        item = self.drive.item(key)
        assert item is not None
        return item.stage

    def waiting(self, key: str = "deal:1") -> list[tuple[str, str, int]]:
        item = self.drive.item(key)
        assert item is not None
        return [(w.rule, w.state, w.due_ms) for w in item.waiting]


def deals(stages: str, head: str = "") -> str:
    """A ruleset with one pipeline of deals; `stages` and `head` are YAML, indented from the margin."""
    fields = "{size: number, paid: boolean, due: date, meeting: datetime, note: text}"
    return (
        "ruleset: sales\ntimezone: Europe/Rome\n"
        f"entities: {{deal: {{fields: {fields}}}}}\n"
        + textwrap.dedent(head)
        + "pipelines:\n  deals:\n    entity: deal\n    stages:\n"
        + textwrap.indent(textwrap.dedent(stages).strip("\n"), "      ")
        + "\n"
    )
