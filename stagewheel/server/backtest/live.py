"""A history out of the journal of a store: the commands that its records say were decided.

Laws: only what came from outside is a command; what rules, timers, deliveries and other items caused is
left to the run, which causes it itself or does not. A record tells what a command did, not what it said, so
some of it can't be had again (`NOTES`, and docs/simulation.md): what an event carried besides the values that
tests of triggers saw, the variables a workflow was started with, who gave a command that is no move. Commands
come in the order of the journal, at the moments at which they were decided. Several stores, and the parts of
one that other stores wrote before the data was divided anew, are one history in the order of time; what every
store has (employees, versions) is read from the first.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, get_args

import msgspec
from msgspec import Struct

from stagewheel.protocol import journal as j
from stagewheel.protocol.codec import decode_record
from stagewheel.protocol.messages import (
    AnyCommand,
    ChangeStage,
    Client,
    CreateItem,
    Employee,
    EraseClient,
    HoldItem,
    PutClient,
    PutEmployee,
    RaiseEvent,
    SendChat,
    StartWorkflow,
    UpdateItem,
)
from stagewheel.protocol.partitions import first_of, lane_of
from stagewheel.server.actors.reference import Reference
from stagewheel.server.backtest.live_erasing import alias_item, delete_item
from stagewheel.server.backtest.live_tasks import brought, put_task, update_task
from stagewheel.server.core.chat import INVITED, Said
from stagewheel.server.core.plan import TriggerPlan, Version
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.store.base import Reads
from stagewheel.server.store.keys import read_u64, u64
from stagewheel.server.store.tables import Table

PAGE_ROWS: Final = 4_096
CLIENTS: Final = ("client", "company")
HOLDS: Final[Mapping[str, str]] = MappingProxyType(
    {"paused": "pause", "stopped": "stop", "resumed": "resume"}
)
NOTES: Final = (
    "events carry only what the tests of triggers saw of them",
    "employees are as they are now, and rules or pipelines were never held",
)
_decode_employee = msgspec.msgpack.Decoder(Employee).decode


class Commands:
    """Reads stores. `notes` are complete when the last command was taken."""

    def __init__(self, reads: Reads, *others: Reads) -> None:
        self._reads = reads
        self._stores = (reads, *others)
        self._reference = Reference(compile_ruleset)
        self._triggers: dict[int, dict[str, TriggerPlan]] = {}  # version -> its triggers by id
        self._caused: Counter[tuple[str, str]] = Counter()  # (item, cause) that another item's decision sent
        self._left_out: Counter[str] = Counter()
        self._begins_late = False

    def items(self) -> set[str]:
        """Keys of all items that came to be from outside."""
        found = set()
        for command in self:
            if type(command) is CreateItem:
                found.add(command.item)
        return found

    def __iter__(self) -> Iterator[AnyCommand]:
        self._caused.clear()
        self._left_out.clear()
        for employee in self._employees():
            yield PutEmployee("", employee=employee)
        for record in self._records():
            command = self._command(record)
            if command is not None:
                command.at_ms = record.at_ms
                yield command

    def notes(self) -> list[str]:
        """What the journal could not tell."""
        told = list(NOTES)
        if self._begins_late:
            told.append("the journal does not reach back to the creation of every item; those are refused")
        told += [f"{count} times {cause} is not run again" for cause, count in sorted(self._left_out.items())]
        return told

    # ---------------------------------------------------------------- reading

    def _employees(self) -> Iterator[Employee]:
        for _, value in _rows(self._reads, Table.EMPLOYEES):
            yield _decode_employee(value)

    def _records(self) -> Iterator[j.Record]:
        parts = [_part(reads, lane) for reads in self._stores for lane in _lanes(reads)]
        for number, record in enumerate(heapq.merge(*parts, key=lambda record: record.at_ms)):
            if number == 0 and record.prev:
                self._begins_late = True
            yield record

    # ---------------------------------------------------------------- a record

    def _command(self, record: j.Record) -> AnyCommand | None:
        """What was commanded; None where the engine or another item caused it."""
        self._remember(record)
        if record.cause not in MADE:
            if record.cause in COMMANDS:
                self._left_out[record.cause] += 1
            return None
        place = (record.item, record.cause)
        if self._caused[place]:
            self._caused[place] -= 1
            return None
        command = MADE[record.cause](self, record)
        if command is None:
            self._left_out[record.cause] += 1
        return command

    def _remember(self, record: j.Record) -> None:
        """What this decision sends to other items is no command when it arrives there."""
        for fact in record.did:
            if isinstance(fact, j.SentToItem):
                self._caused[fact.item, fact.what] += 1
            elif isinstance(fact, j.EventForwarded):
                for item in fact.items:
                    self._caused[item, "RaiseEvent"] += 1

    def _create(self, record: j.Record) -> AnyCommand | None:
        created, entered = _first(record, j.ItemCreated), _first(record, j.Entered)
        if created is None or entered is None:
            return None
        fields, built_in = _split(created.values, CreateItem)
        return CreateItem(
            record.item,
            entered.by,
            pipeline=created.pipeline,
            stage=entered.to_stage,
            title=created.title,
            source=created.source,
            fields=fields,
            automation=created.automation,
            entered_at_ms=created.entered_ms,
            **built_in,
        )

    def _update(self, record: j.Record) -> AnyCommand | None:
        changed = _by_command(record)
        if not changed:
            return None
        fields, built_in = _split(changed, UpdateItem)
        return UpdateItem(record.item, fields=fields, **built_in)

    def _move(self, record: j.Record) -> AnyCommand | None:
        changed = _by_command(record)
        moves = [
            fact for fact in record.did if isinstance(fact, j.Entered) and not (fact.rule or fact.trigger)
        ]
        if not moves:  # it was there already
            fields, built_in = _split(changed, UpdateItem)
            return UpdateItem(record.item, fields=fields, **built_in) if changed else None
        move = moves[0]
        restart = move.from_stage == move.to_stage and not move.pipeline
        return ChangeStage(
            record.item, move.by, stage=move.to_stage, fields=changed, restart=restart, pipeline=move.pipeline
        )

    def _event(self, record: j.Record) -> AnyCommand | None:
        forwarded = _first(record, j.EventForwarded)
        if forwarded is not None:
            return RaiseEvent(record.item, type=forwarded.type, code=forwarded.code)
        event = _first(record, j.EventSeen)
        if event is None:
            return None
        heard = _first(record, j.ChatReceived)
        payload = _said(record, heard) if heard is not None else {}
        payload |= self._payload(record, event)
        return RaiseEvent(record.item, type=event.type, code=event.code, payload=payload)

    def _chat(self, record: j.Record) -> AnyCommand | None:
        told = _first(record, j.ChatWritten)
        if told is None:
            return None
        files = list(told.files)
        return SendChat(
            record.item, told.by, text=told.text, files=files, hidden=told.hidden, provider=told.provider
        )

    def _payload(self, record: j.Record, event: j.EventSeen) -> dict[str, Any]:
        """What tests of triggers saw of the event."""
        payload: dict[str, Any] = {}
        for trigger, seen in [*((one[0], one[2]) for one in event.looked), (event.moved_by, event.seen)]:
            plan = self._trigger(record.version, trigger)
            if plan is None or plan.condition is None:
                continue
            for at in range(0, len(seen) - 1, 2):
                path = plan.condition.tests[seen[at]].path.split(".") if _known(plan, seen[at]) else [""]
                if path[0] == "trigger" and len(path) == 2 and seen[at + 1] is not None:
                    payload[path[1]] = seen[at + 1]
        return payload

    def _trigger(self, number: int, id_: str) -> TriggerPlan | None:
        if number not in self._triggers:
            found = self._version(number)
            groups = [
                group
                for plan in (found.pipelines.values() if found else ())
                for group in plan.triggers.values()
            ]
            self._triggers[number] = {one.id: one for group in groups for one in group}
        return self._triggers[number].get(id_)

    def _version(self, number: int) -> Version | None:
        return self._reference.need(self._reads, number) if self._reference.has(self._reads, number) else None

    def _start(self, record: j.Record) -> AnyCommand | None:
        started = _first(record, j.WorkflowStarted)
        return StartWorkflow(record.item, workflow=started.workflow) if started is not None else None

    def _hold(self, record: j.Record) -> AnyCommand | None:
        held = _first(record, j.Held)
        if held is None or held.mode not in HOLDS:
            return None
        again = _first(record, j.Entered) is not None
        return HoldItem(record.item, held.by, mode=HOLDS[held.mode], restart=again, stage=held.stage)

    def _client(self, record: j.Record) -> AnyCommand | None:
        put = _first(record, j.ClientPut)
        if put is None:
            return None
        return PutClient(record.item, client=msgspec.convert(put.client, Client), company=put.company)


def _lanes(reads: Reads) -> Iterator[int]:
    """The lanes whose records stand in a journal."""
    start = b""
    while rows := reads.range(Table.JOURNAL, start, None, 1):
        lane = lane_of(read_u64(rows[0][0]))
        yield lane
        start = u64(first_of(lane + 1))


def _part(reads: Reads, lane: int) -> Iterator[j.Record]:
    """The records of a lane, in order."""
    for _, value in _rows(reads, Table.JOURNAL, u64(first_of(lane)), u64(first_of(lane + 1))):
        yield decode_record(value)


def _rows(
    reads: Reads, table: Table, start: bytes = b"", end: bytes | None = None
) -> Iterator[tuple[bytes, bytes]]:
    while rows := reads.range(table, start, end, PAGE_ROWS):
        yield from rows
        start = rows[-1][0] + b"\x00"


def _first(record: j.Record, kind: type[Any]) -> Any:
    return next((fact for fact in record.did if type(fact) is kind), None)


def _said(record: j.Record, heard: j.ChatReceived) -> dict[str, Any]:
    """The event of a message in a chat."""
    bound = _first(record, j.ChatBound)
    invited = bound is not None and bound.how == INVITED
    told = Said(heard.channel, heard.chat, heard.text, heard.name, heard.message, heard.files, invited)
    return told.payload()


def _by_command(record: j.Record) -> dict[str, Any]:
    """The values that the command itself changed."""
    return next((fact.fields for fact in record.did if type(fact) is j.FieldsChanged and not fact.rule), {})


def _split(values: dict[str, Any], command: type[Struct]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields, and the command's own parameters; what was emptied is said among the fields."""
    own = [name for name in BUILT_IN if name in command.__struct_fields__ and values.get(name) is not None]
    fields = {name: value for name, value in values.items() if name not in own}
    built_in: dict[str, Any] = {name: values[name] for name in own}
    for name in CLIENTS:
        if name in built_in:
            built_in[name] = msgspec.convert(built_in[name], Client)
    return fields, built_in


def _known(plan: TriggerPlan, test: Any) -> bool:
    return isinstance(test, int) and plan.condition is not None and test < len(plan.condition.tests)


BUILT_IN: Final = ("title", "responsible", "client", "company", "observers", "timezone")
MADE: Final[Mapping[str, Callable[[Commands, j.Record], AnyCommand | None]]] = MappingProxyType(
    {
        "CreateItem": lambda commands, record: brought(record, commands._create(record)),
        "UpdateItem": Commands._update,
        "ChangeStage": Commands._move,
        "RaiseEvent": Commands._event,
        "DeleteItem": lambda commands, record: delete_item(record),
        "AliasItem": lambda commands, record: alias_item(record),
        "EraseClient": lambda commands, record: EraseClient(record.item),
        "StartWorkflow": Commands._start,
        "HoldItem": Commands._hold,
        "PutClient": Commands._client,
        "PutTask": lambda commands, record: put_task(record),
        "UpdateTask": lambda commands, record: update_task(record),
        "SendChat": Commands._chat,
    }
)
COMMANDS: Final = frozenset(one.__name__ for one in get_args(AnyCommand))
