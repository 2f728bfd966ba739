"""What the promises demand of a log, a journal and a heap of mails. Pure: what was observed goes in,
complaints come out.

    R1  what was acknowledged is in the journal
    R2  each command is there once at most, and an item's are there in the order in which they were sent
    R3  a step that waited has come to its one outcome, not before its moment, or waits for one to come
    R4  each action that was dispatched has a mail; its Message-ID is always the same, and nobody else's

Nothing here knows how the server does it: only the client's messages, the journal's facts and the mails.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from stagewheel.protocol.journal import (
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
)
from tests.crash.log import CREATE, FAILED, HOLDS, PAUSE, RESUME, Answered, Completed, Line, Meant, Sent

LATE_MS_MAX: Final = 60_000  # of the server's clock: a step that waits longer past its moment is lost
HELD: Final = {"paused": PAUSE, "resumed": RESUME}


class Mail(Struct, frozen=True):
    """A mail as the mail server took it; the subject names item, entry and the field `n` of the decision."""

    subject: str
    message_id: str
    rule: str


class Waiting(Struct, frozen=True):
    """A step that waits by now, as a query tells it."""

    item: str
    step: int
    due_ms: int


class Observed(Struct):
    """All there is to see from the outside, once nothing moves any more."""

    lines: list[Line]
    journal: list[tuple[int, Record]]
    mails: list[Mail]
    waiting: list[Waiting]
    now_ms: int
    dead_letters: int = 0
    poison: int = 0


Complaints = Iterator[str]


def judge(seen: Observed, duplicates: bool) -> list[str]:
    """What is wrong; `duplicates`: a mail may have come more than once."""
    return [
        *commands(seen),
        *chains(seen.journal),
        *steps(seen),
        *mails(seen, duplicates),
        *(f"R4: {seen.dead_letters} dead letters" for _ in range(seen.dead_letters > 0)),
        *(f"R5: {seen.poison} poison messages" for _ in range(seen.poison > 0)),
    ]


# ---------------------------------------------------------------- R1 and R2


def commands(seen: Observed) -> Complaints:
    """Each acknowledged command was applied exactly once, in order; a refused one never."""
    meant: dict[tuple[str, int], str] = {}  # every command that may have reached the server -> its kind
    batches: dict[int, list[Meant]] = {}
    acknowledged: set[tuple[str, int]] = set()
    refused: set[tuple[str, int]] = set()
    for line in seen.lines:
        if isinstance(line, Sent):
            batches[line.batch] = line.commands
            meant.update(((one.item, one.number), one.kind) for one in line.commands)
        elif isinstance(line, Answered | Completed):
            for one, result in zip(batches[line.batch], line.results, strict=True):
                place = (one.item, one.number)
                (refused if result.startswith(FAILED) else acknowledged).add(place)
    acknowledged -= refused  # accepted first, then failed
    found = list(marks(seen.journal))
    count = Counter((item, number) for item, number, _ in found)
    for item, number in sorted(acknowledged - count.keys()):
        yield f"R1: {item} #{number} ({meant[item, number]}) was acknowledged and is not in the journal"
    last: dict[str, int] = defaultdict(int)
    for item, number, kind in found:
        of_kind = meant.get((item, number))
        if of_kind is None:
            yield f"R2: {item} #{number} is in the journal and was never sent"
        elif of_kind in HOLDS and of_kind != kind:
            yield f"R2: {item} #{number} was sent as {of_kind} and is in the journal as {kind}"
        if (item, number) in refused:
            yield f"R2: {item} #{number} was refused and is in the journal"
        if kind in HOLDS:
            continue  # these do not wait in the mailbox, and so pass what does
        if number <= last[item]:
            yield f"R2: {item} #{number} was applied after #{last[item]}"
        last[item] = number
    for (item, number), times in count.items():
        if times > 1:
            yield f"R2: {item} #{number} was applied {times} times"


def marks(journal: Iterable[tuple[int, Record]]) -> Iterator[tuple[str, int, str]]:
    """(item, number, kind) of each command that the journal shows."""
    for _, record in journal:
        for fact in record.did:
            if isinstance(fact, ItemCreated):
                yield record.item, 1, CREATE
            elif isinstance(fact, FieldsChanged) and "n" in fact.fields:
                yield record.item, int(fact.fields["n"]), ""
            elif isinstance(fact, EventSeen):
                yield record.item, int(fact.code), ""
            elif isinstance(fact, Held):
                yield record.item, fact.by, HELD[fact.mode]


def chains(journal: Iterable[tuple[int, Record]]) -> Complaints:
    """The journal has no holes; an item's records name each other, and their time never runs backwards."""
    newest: dict[str, tuple[int, int]] = {}
    before = 0
    for position, record in journal:
        if position != before + 1:
            yield f"R1: after position {before} of the journal comes {position}"
        before = position
        previous, at_ms = newest.get(record.item, (0, 0))
        if record.prev != previous:
            yield f"R1: record {position} of {record.item} follows {record.prev}, not {previous}"
        if record.at_ms < at_ms:
            yield f"R3: record {position} of {record.item} runs {at_ms - record.at_ms} ms backwards"
        newest[record.item] = (position, record.at_ms)


# ---------------------------------------------------------------- R3


def steps(seen: Observed) -> Complaints:
    """Each step that waited has one outcome, in time, or still waits for a moment that is to come."""
    due: dict[tuple[str, int], int] = {}
    sending: set[tuple[str, int]] = set()
    ended: Counter[tuple[str, int]] = Counter()
    balance: Counter[tuple[str, str]] = Counter()  # (item, rule) -> texts written, less steps done
    for _, record in seen.journal:
        for fact in record.did:
            if isinstance(fact, HistoryAdded):
                balance[record.item, fact.rule] += 1
            if not isinstance(fact, StepWaits | StepEnded | Dispatched) or not fact.step:
                continue
            place = (record.item, fact.step)
            if isinstance(fact, StepWaits):
                due[place] = fact.due_ms
                continue
            if isinstance(fact, Dispatched):
                sending.add(place)
            else:
                ended[place] += 1
                if fact.outcome == "done" and place not in sending:
                    balance[record.item, fact.rule] -= 1
            acted = isinstance(fact, Dispatched) or fact.outcome != "cancelled"
            if acted and record.at_ms < due.get(place, 0):
                yield f"R3: step {place} acted {due[place] - record.at_ms} ms before its moment"
    yield from (f"R3: step {place} has {times} outcomes" for place, times in ended.items() if times > 1)
    yield from (
        f"R3: {place}: {left:+d} effects beside its outcomes" for place, left in balance.items() if left
    )
    yield from (f"R4: step {place} was dispatched and has no outcome" for place in sending - ended.keys())
    yield from _unfinished(
        seen, {place: at for place, at in due.items() if place not in ended.keys() | sending}
    )


def _unfinished(seen: Observed, due: dict[tuple[str, int], int]) -> Complaints:
    """Steps without an outcome: what the queries say must be the same, and their moments must lie ahead."""
    waiting = {(one.item, one.step): one.due_ms for one in seen.waiting}
    for place in sorted(due.keys() | waiting.keys()):
        if place not in waiting:
            yield f"R3: step {place} has no outcome and does not wait"
        elif waiting[place] != due.get(place):
            yield f"R3: step {place} waits for {waiting[place]}, its record says {due.get(place)}"
        elif waiting[place] < seen.now_ms - LATE_MS_MAX:
            yield f"R3: step {place} is lost: its moment passed {seen.now_ms - waiting[place]} ms ago"


# ---------------------------------------------------------------- R4


def mails(seen: Observed, duplicates: bool) -> Complaints:
    """For each dispatched action a mail, always under the same name; without a crash exactly one."""
    came: dict[tuple[str, str], list[str]] = defaultdict(list)  # (subject, rule) -> Message-IDs
    for mail in seen.mails:
        came[mail.subject, mail.rule].append(mail.message_id)
    wanted = set(dispatched(seen.journal))
    for subject, rule in sorted(wanted - came.keys()):
        yield f"R4: the mail {subject!r} of rule {rule} never came"
    for subject, rule in sorted(came.keys() - wanted):
        yield f"R4: the mail {subject!r} of rule {rule} came and nobody decided it"
    owner: dict[str, tuple[str, str]] = {}
    for action, names in came.items():
        if len(set(names)) > 1:
            yield f"R4: the mail {action} came under {len(set(names))} names"
        if len(names) > 1 and not duplicates:
            yield f"R4: the mail {action} came {len(names)} times, and nothing crashed"
        for name in set(names):
            if owner.setdefault(name, action) != action:
                yield f"R4: the mails {action} and {owner[name]} have one name"


def dispatched(journal: Iterable[tuple[int, Record]]) -> Iterator[tuple[str, str]]:
    """(subject, rule) of each mail that was decided."""
    entry: dict[str, int] = {}
    value: dict[str, int] = defaultdict(lambda: 1)
    for _, record in journal:
        for fact in record.did:
            if isinstance(fact, Entered):
                entry[record.item] = fact.entry
            elif isinstance(fact, FieldsChanged) and "n" in fact.fields:
                value[record.item] = int(fact.fields["n"])
            elif isinstance(fact, Dispatched):
                yield f"{record.item} {entry[record.item]} {value[record.item]}", fact.rule
