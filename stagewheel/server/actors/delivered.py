"""The way of nearly every report: an action was delivered, and nothing waits for that, all in one loop.

Laws: what is written is what `Turn.deliver` and `Turn.collect` would have written, in the same order; where
anything out of the ordinary turns up (another outcome, a mailbox, a row that moved or is bound to a process,
an item with rare parts), that report goes their way, and the run begins anew behind it. A run decides what
`decide` would: where something else decides, or a turn writes with care, there is none.

Rows that leave the outbox side by side go as one range: of actions that a sender was given in their order
nearly all do.
"""

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from stagewheel.protocol.codec import decode_record
from stagewheel.protocol.messages import Report
from stagewheel.server.actors.outboxes import NAMED, OUTBOX_TABLES, is_lane, place, rows_of
from stagewheel.server.core.decide import decide
from stagewheel.server.core.effects import decode_outbox_row
from stagewheel.server.core.plain_report import PLAIN_LANES, Sent, plain_delivered, plain_sent
from stagewheel.server.store.base import Batch
from stagewheel.server.store.keys import LOW_BYTES, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn

ITEMS = Table.ITEMS  # an enum's member costs 120 ns to name
SPARSE: Final = 4  # numbers of a lane are read as a range where no more than so many lie in one's place
Entry = tuple[bytes, bytes, Sent | None]  # the row that a report ends, its item; None: not for a run


class Held(Struct):
    """What reports are decided on, read at once: as good as stored until the batch is written."""

    batch: Batch
    first: int  # the report that `entries` begin with
    entries: list[Entry | None]
    items: dict[bytes, bytes]
    counts: dict[str, int]  # of lanes where no other row lies between these
    loaded: bool = False  # are the items decoded, for reports that are not for a run?


def hold(turn: "Turn", reports: list[Report], first: int) -> Held:
    """Read what the reports from `first` on need, in one ordered read a lane and one of items."""
    lanes: dict[str, dict[int, bytes]] = {}
    for report in reports[first:]:
        lanes.setdefault(report.channel, {})[report.number] = b""
    counts: dict[str, int] = {}
    for lane, rows in lanes.items():
        if is_lane(lane):
            _read_lane(turn, lane, rows, counts)
    entries: list[Entry | None] = []
    keys: set[bytes] = set()
    for report in reports[first:]:
        number, lane = report.number, report.channel
        if not (row := lanes[lane][number]) or report.outcome == "returned":
            entries.append(None)
            continue
        plain = report.outcome == "delivered" and lane in PLAIN_LANES
        sent = plain_sent(number, row) if plain else None
        key = (sent or decode_outbox_row(row)).key.encode()
        keys.add(key)
        entries.append((row, key, sent))
    return Held(turn.batch, first, entries, dict(turn.transaction.getmulti(ITEMS, sorted(keys))), counts)


def _read_lane(turn: "Turn", lane: str, rows: dict[int, bytes], counts: dict[str, int]) -> None:
    """Fill in the rows with these numbers. Those that lie side by side are read without a search for each."""
    numbers, table = sorted(rows), OUTBOX_TABLES.get(lane)
    low, high, count = numbers[0], numbers[-1], len(numbers)
    if table is not None and high - low < SPARSE * count:
        found = turn.transaction.range(table, u64(low), u64(high) + b"\0", count + 1)
        if len(found) == count and [key for key, _ in found] == list(map(u64, numbers)):
            counts[lane] = count
            rows.update(zip(numbers, [row for _, row in found], strict=True))
            return
    rows.update(rows_of(turn.transaction, lane, numbers))


def deliver_run(turn: "Turn", held: Held, reports: list[Report], first: int) -> int:
    """Decide and collect from report `first` on, while they are ordinary; the first that is not decided."""
    engine = turn.engine
    if turn.care is not None or engine.decide is not decide:
        return first
    facts, counters, now_ms, backlog = turn.facts, turn.counters, turn.now_ms, turn.backlog
    rows, items, stored, entries = turn.rows, turn.items, held.items, held.entries
    add_record, followers = turn.append_journal, turn.records if engine.followed else None
    reported, used = turn.reported, engine.reference.used
    position, offset, done = counters.position, held.first, dict[str, list[int]]()
    high = u64(position)[:7]
    for at in range(first, len(reports)):
        report, entry = reports[at], entries[at - offset]
        if entry is None or (sent := entry[2]) is None:
            break
        lane, number, key = report.channel, report.number, entry[1]
        row = rows.get(key) or stored.get(key)
        if row is None or key in backlog or number in reported[lane]:
            break
        facts.position = position
        if (decision := plain_delivered(row, sent, facts, now_ms)) is None:
            break
        rows[key], record = decision
        if items:
            items.pop(key, None)  # nobody has built it: who needs it in this turn reads its row
        if not (low := position & 255):
            high = u64(position)[:7]
        add_record((high + LOW_BYTES[low], record))
        if followers is not None:
            followers.append((position, record, decode_record(record)))
        if used is not None:
            used.add(sent.version)
        position += 1
        reported[lane].add(number)
        if lane in done:
            done[lane].append(number)
        else:
            done[lane] = [number]
    else:
        at = len(reports)
    counters.position = position
    turn.decided_count += at - first
    for lane, numbers in done.items():
        _leave(turn, lane, numbers, held.counts.get(lane, 0))
    return at


def _leave(turn: "Turn", lane: str, numbers: list[int], together: int) -> None:
    """Rows leave the outbox. `together`: so many of the lane lie side by side, and these are some of them."""
    engine, batch, count = turn.engine, turn.batch, len(numbers)
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
