"""What must hold of a journal and of what a client was told, whatever happened in between. Pure.

applied   each acknowledged command is in the journal exactly once, in the order of its item; a failed one
          never, and nothing that was not sent
chained   positions without a hole, records of an item linked, its time never backwards
steps     at most one outcome; none before its moment; none of an entry that is over; at the end exactly
          one, unless it waits for a field
"""

from collections import Counter, defaultdict
from collections.abc import Iterator

from stagewheel.protocol.codec import decode_record
from stagewheel.protocol.journal import (
    CapAwaited,
    Dispatched,
    Entered,
    EventSeen,
    FieldsChanged,
    Held,
    HistoryAdded,
    ItemCreated,
    Record,
    StepEnded,
    StepWaits,
    WorkflowEnded,
    WorkflowStarted,
)
from stagewheel.protocol.messages import AnyCommand, CreateItem, Failed, HoldItem, RaiseEvent
from stagewheel.server.store.tables import Table
from tests.simulation.world import World

Place = tuple[str, int]


def look(world: World, at_end: bool = False) -> list[str]:
    """What is wrong with a world."""
    journal = [(position, decode_record(raw)) for position, raw in world.journal()]
    return [
        *applied(world, journal, at_end),
        *chained(journal),
        *steps(world, journal, at_end),
        *(rest(world) if at_end else ()),
    ]


def mark_of(command: AnyCommand) -> int:
    """The serial number that a command carries."""
    if isinstance(command, CreateItem):
        return int(command.source)
    if isinstance(command, RaiseEvent):
        return int(command.code)
    return command.by if isinstance(command, HoldItem) else int(command.fields["n"])  # type: ignore[union-attr]


def marks(journal: list[tuple[int, Record]]) -> Iterator[tuple[str, int, bool]]:
    """(item, serial number, is it a hold) of each command that the journal shows."""
    for _, record in journal:
        if record.pipeline != "deals" or record.cause in ("TimerFired", "DeliveryReported"):
            continue
        for fact in record.did:
            if isinstance(fact, ItemCreated):
                yield record.item, int(fact.source), False
            elif isinstance(fact, FieldsChanged):
                yield record.item, int(fact.fields["n"]), False
            elif isinstance(fact, EventSeen):
                yield record.item, int(fact.code), False
            elif isinstance(fact, Held) and fact.by:
                yield record.item, fact.by, True


def applied(world: World, journal: list[tuple[int, Record]], at_end: bool) -> Iterator[str]:
    found = list(marks(journal))
    count = Counter(number for _, number, _ in found)
    known: set[int] = set()
    for seq, kept in list(world.sent.items())[1:]:  # the first is the ruleset
        known.update(mark_of(command) for command in kept.commands)
        for command, result in zip(kept.commands, kept.results or (), strict=kept.results is not None):
            number = mark_of(command)
            if isinstance(result, Failed):
                if count[number]:
                    yield f"applied: #{number} failed with {result.code} and is in the journal"
            elif kept.final and count[number] != 1:
                yield f"applied: #{number} was told {result} and is there {count[number]} times"
        if at_end and not kept.final:
            yield f"applied: Submit {seq} never came to its end"
    yield from (f"applied: #{number} {times} times" for number, times in count.items() if times > 1)
    yield from (f"applied: #{number} was never sent" for number in sorted(count.keys() - known))
    last: dict[str, int] = defaultdict(int)
    for item, number, is_hold in found:
        if not is_hold:
            if number < last[item]:
                yield f"applied: {item} took #{number} after #{last[item]}"
            last[item] = number


def chained(journal: list[tuple[int, Record]]) -> Iterator[str]:
    newest: dict[str, tuple[int, int]] = {}
    for wanted, (position, record) in enumerate(journal, 1):
        if position != wanted:
            yield f"chained: position {position} where {wanted} was to come"
        before, at_ms = newest.get(record.item, (0, 0))
        if record.prev != before:
            yield f"chained: {position} of {record.item} follows {record.prev}, not {before}"
        if record.at_ms < at_ms:
            yield f"chained: {position} of {record.item} goes back in time"
        newest[record.item] = (position, record.at_ms)


def steps(world: World, journal: list[tuple[int, Record]], at_end: bool) -> Iterator[str]:
    due: dict[Place, int] = {}  # steps that wait
    sending: set[Place] = set()
    ended: Counter[Place] = Counter()
    running: Counter[str] = Counter()
    for position, record in journal:
        for fact in record.did:
            if isinstance(fact, StepWaits):
                due[record.item, fact.step] = fact.due_ms
            elif isinstance(fact, CapAwaited) and fact.rule != "greet":
                due[record.item, fact.step] = fact.until_ms or record.at_ms
            elif isinstance(fact, Dispatched) and fact.rule != "greet":
                sending.add((record.item, fact.step))
                yield from _early(record, (record.item, fact.step), due)
            elif isinstance(fact, StepEnded) and fact.step:
                place = (record.item, fact.step)
                ended[place] += 1
                if fact.outcome in ("done", "failed") and place not in sending:
                    yield from _early(record, place, due)
                due.pop(place, None)
                sending.discard(place)
            elif isinstance(fact, Entered):
                yield from (
                    f"steps: {place} outlives its entry at {position}"
                    for place in due
                    if place[0] == record.item
                )
            elif isinstance(fact, HistoryAdded) and fact.text == "greeted":
                running[record.item + " greeted"] += 1
            elif isinstance(fact, WorkflowStarted | WorkflowEnded):
                running[record.item] += 1 if isinstance(fact, WorkflowStarted) else -1
        for place in sending:
            due.pop(place, None)
    yield from (f"steps: {place} has {times} outcomes" for place, times in ended.items() if times > 1)
    shown = {(view.key, w.step): w for view in world.items() for w in view.waiting if not w.workflow}
    waiting = {place: w.due_ms for place, w in shown.items() if w.state != "sending"}
    if waiting != due:
        yield f"steps: the journal lets wait {due}, the items {waiting}"
    if at_end:
        yield from (f"steps: {place} waits for {at} since long" for place, at in due.items() if at)
        yield from (f"steps: {place} never came back from its channel" for place in sending)
        yield from (
            f"steps: a workflow of {item} never ended" for item, n in running.items() if n and " " not in item
        )


def _early(record: Record, place: Place, due: dict[Place, int]) -> Iterator[str]:
    at_ms = due.get(place)
    if at_ms == 0:
        yield f"steps: {place} acted while it waited for a field"
    elif at_ms is not None and record.at_ms < at_ms:
        yield f"steps: {place} acted {at_ms - record.at_ms} ms before its moment"


def rest(world: World) -> Iterator[str]:
    """Nothing is left over at the end."""
    for table in (
        Table.MAILBOX,
        Table.TIMERS,
        Table.PARKED,
        Table.OUTBOX_EMAIL,
        Table.OUTBOX_WEBHOOK,
        Table.POISON,
    ):
        if count := world.count(table):
            yield f"rest: {count} rows of {table.name}"
