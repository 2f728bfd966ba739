"""The way of nearly every report: an action was delivered, and nothing waits for that, all in one loop.

Laws: what is written is what `Turn.deliver` and `Turn.collect` would have written, in the same order; where
anything out of the ordinary turns up (another outcome, a mailbox, a row that moved or is bound to a process,
an item with rare parts), that report goes their way, and the run begins anew behind it. A run decides what
`decide` would: where something else decides, or a turn writes with care, there is none.

Rows that leave the outbox side by side go as one range: of actions that a sender was given in their order
nearly all do.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from stagewheel.protocol.codec import decode_record
from stagewheel.protocol.messages import Report
from stagewheel.server.actors.outboxes import NAMED, OUTBOX_TABLES, is_lane, place, rows_of
from stagewheel.server.core.decide import decide
from stagewheel.server.core.effects import decode_outbox_row
from stagewheel.server.core.lanes import PLAIN_LANES
from stagewheel.server.core.plain_report import Entry, plain_delivered, plain_sent
from stagewheel.server.store.base import Batch
from stagewheel.server.store.keys import LOW_BYTES, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn

ITEMS = Table.ITEMS  # an enum's member costs 120 ns to name
SPARSE: Final = 4  # numbers of a lane are read as a range where no more than so many lie in one's place


class Held(Struct):
    """What reports are decided on, read at once: as good as stored until the batch is written."""

    batch: Batch
    entries: list[Entry | None]  # one a report
    items: dict[bytes, bytes]
    counts: dict[str, int]  # of lanes where no other row lies between these
    loaded: bool = False  # are the items decoded, for reports that are not for a run?


def hold(turn: "Turn", reports: list[Report], first: int) -> Held:
    """Read what the reports from `first` on need, in one ordered read a lane and one of items. A row is ended
    by the first of its reports; those behind it have no entry.
    """
    lanes: dict[str, dict[int, int]] = {}
    places: dict[int, int] = {}
    entries: list[Entry | None] = [None] * len(reports)
    keys: set[bytes] = set()
    counts: dict[str, int] = {}
    lane, plain = "", True
    for at in range(first, len(reports)):
        report = reports[at]
        if (outcome := report.outcome) != "delivered":
            plain = False
        if report.channel != lane:
            lane = report.channel
            places = lanes.setdefault(lane, {})
        if outcome != "returned" and report.number not in places:
            places[report.number] = at
    for lane, places in lanes.items():
        if not places or not is_lane(lane):
            continue
        rows, reported = _rows_of(turn, lane, sorted(places), counts), turn.reported[lane]
        if reported:
            rows = [one for one in rows if one[0] not in reported]
        for number, row, sent in plain_sent(rows) if lane in PLAIN_LANES else ((n, r, None) for n, r in rows):
            at = places[number]
            if not plain and reports[at].outcome != "delivered":
                sent = None
            key = (decode_outbox_row(row) if sent is None else sent).key.encode()
            keys.add(key)
            entries[at] = (row, key, sent)
    return Held(turn.batch, entries, dict(turn.transaction.getmulti(ITEMS, sorted(keys))), counts)


def _rows_of(
    turn: "Turn", lane: str, numbers: list[int], counts: dict[str, int]
) -> Iterable[tuple[int, bytes]]:
    """The rows with these numbers. Those that lie side by side are read without a search for each."""
    low, high, count = numbers[0], numbers[-1], len(numbers)
    table = OUTBOX_TABLES.get(lane)
    if table is not None and high - low < SPARSE * count:
        found = turn.transaction.range(table, u64(low), u64(high) + b"\0", count + 1)
        if len(found) == count and (
            high - low + 1 == count or [key for key, _ in found] == list(map(u64, numbers))
        ):
            counts[lane] = count
            return zip(numbers, [row for _, row in found], strict=True)
    return rows_of(turn.transaction, lane, numbers)


def deliver_run(turn: "Turn", held: Held, reports: list[Report], first: int) -> int:
    """Decide and collect from report `first` on, while they are ordinary; the first that is not decided."""
    engine, counters, entries = turn.engine, turn.counters, held.entries
    if turn.care is not None or engine.decide is not decide:
        return first
    turn.facts.position = position = counters.position
    records: list[bytes] = []
    end = plain_delivered(
        entries, first, held.items, turn.rows, turn.backlog, turn.facts, turn.now_ms, records
    )
    if end == first:
        return first
    high, add_record = u64(position)[:7], turn.append_journal
    for at, record in enumerate(records, position):
        if not (low := at & 255):
            high = u64(at)[:7]
        add_record((high + LOW_BYTES[low], record))
    if engine.followed:
        turn.records += [(at, record, decode_record(record)) for at, record in enumerate(records, position)]
    counters.position = position + len(records)
    turn.decided_count += len(records)
    used, items = engine.reference.used, turn.items
    if used is not None or items:
        for entry in entries[first:end]:
            assert entry is not None, "it was decided"
            items.pop(entry[1], None)  # nobody has built it: who needs it in this turn reads its row
            if used is not None and entry[2] is not None:
                used.add(entry[2].version)
    part = reports[first:end]
    for lane in {report.channel for report in part}:
        numbers = [report.number for report in part if report.channel == lane]
        leave(turn, lane, numbers, held.counts.get(lane, 0))
    return end


def leave(turn: "Turn", lane: str, numbers: list[int], together: int = 0) -> None:
    """Rows leave the outbox. `together`: so many of the lane lie side by side, and these are some of them."""
    engine, batch, count = turn.engine, turn.batch, len(numbers)
    turn.reported[lane].update(numbers)
    engine.tally.reported(lane, "delivered", count)
    engine.handout.gone_plainly(lane, numbers)
    table = OUTBOX_TABLES.get(lane)
    if table is None:
        batch.deletes[NAMED] += [place(lane, number)[1] for number in numbers]
        return
    low, high = min(numbers), max(numbers)
    if count == together or high - low + 1 == count:
        batch.delete_range(table, u64(low), u64(high) + b"\0")
    else:
        batch.deletes[table] += map(u64, numbers)
