"""`import --dry-run`: what would be sent, by the real engine on a store in memory, with recorded channels.

Laws: it is the turn of `serve`, with the server's ruleset and employees, at a moment that is named; the same
file and moment give the same answer, byte for byte. Items are decided `CHUNK_ITEMS` at a time, each chunk by
an engine of its own, so that memory stays bounded; so what counts over items (caps of a client, turns taken)
is counted within a chunk.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import Struct, field
from rich.console import Console
from rich.markup import escape

from stagewheel.cli.output import counted, moment, table
from stagewheel.errors import InternalError
from stagewheel.protocol.journal import Dispatched, Record, StepEnded, StepWaits, WorkflowStarted
from stagewheel.protocol.messages import CreateItem, Employee, Failed, PutEmployee, PutRuleset
from stagewheel.server.actors.reference import Compile
from stagewheel.server.scenarios.drive import Drive
from stagewheel.server.scenarios.recorder import Recorder

CHUNK_ITEMS: Final = 20_000
BATCH_COMMANDS: Final = 64
EFFECTS_SHOWN: Final = 5
ITEMS_SHOWN: Final = 3
COLUMNS: Final = ("rule", "what", "items", "earliest", "first items")


class Line(Struct):
    """What one rule does at once, or will: how often, and for whom first."""

    rule: str
    what: str
    count: int = 0
    earliest_ms: int = 0
    first: list[str] = field(default_factory=list)


class Forecast(Struct):
    """What an import would do."""

    at_ms: int
    items: int = 0
    refused: dict[str, int] = {}
    lines: dict[tuple[str, str], Line] = {}
    effects: list[dict[str, Any]] = []

    def data(self) -> dict[str, Any]:
        """For JSON."""
        rules = list(self.lines.values())
        return {
            "at_ms": self.at_ms,
            "items": self.items,
            "refused": self.refused,
            "rules": rules,
            "effects": self.effects,
        }


def forecast(
    commands: Iterable[CreateItem],
    rulesets: Sequence[dict[str, str]],
    employees: Sequence[Employee],
    at_ms: int,
    compile_ruleset: Compile,
) -> Forecast:
    """Decide all commands at one moment. Raises InternalError where the ruleset is not one."""
    told = Forecast(at_ms, refused={}, lines={}, effects=[])
    drive: Drive | None = None
    batch: list[CreateItem] = []
    for command in commands:
        if drive is None:
            drive = _drive(told, rulesets, employees, at_ms, compile_ruleset)
        batch.append(command)
        if len(batch) == BATCH_COMMANDS:
            _take(told, drive, batch)
            batch = []
            drive = None if told.items % CHUNK_ITEMS < BATCH_COMMANDS else drive
    if batch and drive is not None:
        _take(told, drive, batch)
    return told


def _drive(
    told: Forecast,
    rulesets: Sequence[dict[str, str]],
    employees: Sequence[Employee],
    at_ms: int,
    compile_ruleset: Compile,
) -> Drive:
    drive = Drive(
        at_ms,
        compile_ruleset,
        Recorder({}),
        lambda records: _count(told, [record for _, _, record in records]),
    )
    setup: list[PutEmployee | PutRuleset] = [
        *(PutEmployee("", employee=one) for one in employees),
        *(PutRuleset("", files=one) for one in rulesets),
    ]
    for command in setup:
        result = drive.submit(command)
        if isinstance(result, Failed):
            raise InternalError(f"what a server took is refused: {result.message}")
    return drive


def _take(told: Forecast, drive: Drive, batch: list[CreateItem]) -> None:
    for result in drive.submit_all(list(batch)):
        told.items += 1
        if isinstance(result, Failed):
            told.refused[result.code] = told.refused.get(result.code, 0) + 1
    effects = drive.recorder.take()
    told.effects += effects[: max(0, EFFECTS_SHOWN - len(told.effects))]


def _count(told: Forecast, records: list[Record]) -> None:
    for record in records:
        sent = {fact.step for fact in record.did if isinstance(fact, Dispatched)}
        for fact in record.did:
            if isinstance(fact, Dispatched):
                _add(told, fact.rule, f"{fact.channel} at once", record.item)
            elif isinstance(fact, StepWaits):
                _add(
                    told,
                    fact.rule,
                    "waits" if fact.due_ms else "waits for its date",
                    record.item,
                    fact.due_ms,
                )
            elif isinstance(fact, WorkflowStarted):
                _add(told, fact.workflow, "workflow starts", record.item)
            elif isinstance(fact, StepEnded) and fact.step not in sent and record.cause != "DeliveryReported":
                what = f"{fact.outcome}: {fact.reason}" if fact.reason else fact.outcome
                _add(told, fact.rule, what, record.item)


def _add(told: Forecast, rule: str, what: str, item: str, due_ms: int = 0) -> None:
    line = told.lines.setdefault((rule, what), Line(rule, what))
    line.count += 1
    if len(line.first) < ITEMS_SHOWN:
        line.first.append(item)
    if due_ms:
        line.earliest_ms = min(line.earliest_ms or due_ms, due_ms)


def show_forecast(out: Console, told: Forecast) -> None:
    """As a table, with the first things that would be sent."""
    out.print(f"{counted(told.items, 'item')} would be created at {moment(told.at_ms)}")
    for code, count in sorted(told.refused.items()):
        out.print(f"[red]{counted(count, 'item')} would be refused[/red]: {code}")
    rows = [
        (
            escape(one.rule),
            escape(one.what),
            f"{one.count:,}",
            moment(one.earliest_ms) if one.earliest_ms else "",
            escape(", ".join(one.first)),
        )
        for one in told.lines.values()
    ]
    out.print(table(COLUMNS, rows, right="items") if rows else "no rule would do anything")
    if told.effects:
        out.print("\nthe first that would be sent:")
    for effect in told.effects:
        for kind, values in effect.items():
            shown = ", ".join(f"{name} {value}" for name, value in values.items() if value not in ("", [], 0))
            out.print(f"  {kind}: {escape(shown[:300])}", soft_wrap=True)
