"""Far timers in the real engine: restarts between slices, jumps of the clock, what has ended, sweeps."""

import datetime as dt
import random
from itertools import pairwise

import pytest

from stagewheel.protocol.journal import StepEnded
from stagewheel.protocol.messages import (
    AnyCommand,
    ChangeStage,
    Client,
    DeleteItem,
    PutClient,
    PutTask,
    StatisticsQuery,
    UpdateItem,
)
from stagewheel.server.actors.timing import CHUNKS_A_READ, Pace
from stagewheel.server.actors.waiting import still_waiting
from stagewheel.server.core.item import NOTHING_MORE, decode_item
from stagewheel.server.store.keys import timer_key
from stagewheel.server.store.tables import Table
from stagewheel.server.timers.far import DAY_MS, HOUR_MS, MINUTE_MS, unpack
from tests.actors.shard import MONDAY_NINE_MS, Peer, Shard, deal

RULES = """
ruleset: sales
timezone: Europe/Rome
entities: {deal: {fields: {n: number, due: datetime, day: date}}}
pipelines:
  deals:
    entity: deal
    stages:
      - {id: new}
      - id: nag
        rules: [{id: nag, run: {at: due}, action: {do: add_history, text: nagged}}]
      - id: days
        rules: [{id: days, run: {at: day, time: "09:00"}, action: {do: add_history, text: nagged}}]
"""
SMALL = Pace(move_rows_min=1, move_rows_max=1, sweep_rows=1, sweep_rows_a_decision=0.5, sweep_rows_min=40)
BUSY = SMALL._replace(sweep_rows=500, sweep_busy_rows=100)
LONG = "x" * 150  # of a key, so that a chunk holds few rows


@pytest.fixture
def shard() -> Shard:
    return Shard(RULES)


@pytest.fixture
def peer(shard: Shard) -> Peer:
    return Peer(shard, b"peer")


def moment(delay_ms: int) -> str:
    """As a field says it."""
    return dt.datetime.fromtimestamp((MONDAY_NINE_MS + delay_ms) / 1000, dt.UTC).isoformat()


def nag(key: str, delay_ms: int) -> AnyCommand:
    return deal(key, "nag", fields={"due": moment(delay_ms)})


def nagged(shard: Shard) -> list[tuple[str, int]]:
    """Whose rule was done, and how long after nine o'clock."""
    return [
        (record.item, record.at_ms - MONDAY_NINE_MS)
        for _, record in shard.records
        for did in record.did
        if isinstance(did, StepEnded) and did.outcome == "done"
    ]


def far_rows(shard: Shard) -> int:
    counted = sum(len(unpack(chunk, {})) for _, chunk in shard.stored()[Table.TIMERS_FAR])
    assert counted == shard.engine.timers.far.rows, "what is counted is what is stored"
    return counted


def run_out(shard: Shard, *, restarts: bool = False) -> None:
    """Turn after turn until nothing is due; after each the process may be killed."""
    while (due_ms := shard.engine.next_due_ms()) is not None and due_ms <= shard.engine.now_ms():
        shard.turn()
        if restarts:
            shard.restart()
            shard.engine.timers.pace = SMALL


@pytest.mark.parametrize("restarts", [False, True])
def test_every_timer_fires_once_at_its_moment_whenever_the_process_is_killed_between_slices(
    shard: Shard, peer: Peer, restarts: bool
) -> None:
    shard.engine.timers.pace = SMALL
    rng = random.Random(3)
    delays = {f"d:{n}:{LONG}": rng.randrange(3 * DAY_MS) for n in range(60)}
    peer.submit(*[nag(key, delay_ms) for key, delay_ms in delays.items()])
    assert far_rows(shard) > 50
    seen = {far_rows(shard)}
    while (due_ms := shard.engine.next_due_ms()) is not None:
        shard.clock.moment_ms = max(shard.clock.moment_ms, due_ms)
        run_out(shard, restarts=restarts)
        seen.add(far_rows(shard))
    assert nagged(shard) == sorted(delays.items(), key=lambda one: (one[1], one[0]))
    assert (shard.timers(), shard.stored()[Table.TIMER_BUCKETS]) == (0, [])
    assert len(seen) > 30, "slices are small"


@pytest.mark.parametrize("jump_ms", [MINUTE_MS + 1, 5 * HOUR_MS, 40 * DAY_MS, 400 * DAY_MS])
def test_after_a_jump_of_the_clock_all_that_is_overdue_fires_once_and_in_due_order(
    shard: Shard, peer: Peer, jump_ms: int
) -> None:
    rng = random.Random(jump_ms)
    delays = {f"d:{n}": 1 + int(400 * DAY_MS * rng.random() ** 6) for n in range(80)}
    peer.submit(*[nag(key, delay_ms) for key, delay_ms in delays.items()])
    shard.engine.timers.pace = SMALL
    shard.clock.moment_ms += jump_ms
    run_out(shard)
    due = sorted((delay_ms, key) for key, delay_ms in delays.items() if delay_ms <= jump_ms)
    assert [key for key, _ in nagged(shard)] == [key for _, key in due]
    assert shard.timers() == 80 - len(due)
    shard.wait(400 * DAY_MS)
    assert len(nagged(shard)) == 80


def test_a_timer_of_many_years_waits_in_one_bucket_and_comes_at_its_moment(shard: Shard, peer: Peer) -> None:
    years_ms = 100 * 365 * DAY_MS
    peer.submit(nag("d:far", years_ms), nag("d:next", 10 * DAY_MS))
    assert far_rows(shard) == 2
    shard.restart()
    shard.wait(years_ms - 1)
    assert [key for key, _ in nagged(shard)] == ["d:next"]
    shard.wait(1)
    assert nagged(shard)[1:] == [("d:far", years_ms)]


def test_what_is_set_anew_while_its_bucket_is_moved_comes_at_its_new_moment_and_only_then(
    shard: Shard, peer: Peer
) -> None:
    shard.engine.timers.pace = SMALL
    start_ms = 2 * DAY_MS + 15 * HOUR_MS  # midnight in UTC
    peer.submit(*[nag(f"d:{n:02d}:{LONG}", start_ms + HOUR_MS + n) for n in range(40)])
    while len(shard.engine.timers.far.buckets) == 1:  # until it is being moved
        shard.clock.moment_ms = max(shard.clock.moment_ms, shard.engine.next_due_ms() or 0)
        shard.turn()
    before = far_rows(shard)
    peer.submit(
        UpdateItem(f"d:39:{LONG}", fields={"due": moment(start_ms + HOUR_MS - 5)}),
        UpdateItem(f"d:00:{LONG}", fields={"due": moment(start_ms + 30 * HOUR_MS)}),
        nag("d:new", start_ms + 2 * HOUR_MS),
        nag("d:soon", shard.clock.moment_ms - MONDAY_NINE_MS + 1000),
    )
    assert far_rows(shard) == before + 3
    while (due_ms := shard.engine.next_due_ms()) is not None:
        shard.clock.moment_ms = max(shard.clock.moment_ms, due_ms)
        run_out(shard)
    order = ["d:soon", f"d:39:{LONG}", *[f"d:{n:02d}:{LONG}" for n in range(1, 39)], "d:new", f"d:00:{LONG}"]
    assert [key for key, _ in nagged(shard)] == order
    assert nagged(shard)[1][1] == start_ms + HOUR_MS - 5


def test_another_time_zone_moves_what_waits_in_a_far_bucket(shard: Shard, peer: Peer) -> None:
    peer.submit(*[deal(f"d:{n}", "days", fields={"day": "2026-03-20"}) for n in range(2)])
    rome_ms = 18 * DAY_MS
    peer.submit(UpdateItem("d:0", timezone="Asia/Tokyo"), UpdateItem("d:1", timezone="America/New_York"))
    assert shard.timers() == 4
    for _ in range(20 * 24):
        shard.wait(HOUR_MS)
    assert nagged(shard) == [("d:0", rome_ms - 8 * HOUR_MS), ("d:1", rome_ms + 5 * HOUR_MS)]
    assert shard.engine.timers.statistics().dropped_count == 2, "what waited before was dropped when it moved"


def test_rows_of_ended_steps_go_when_their_bucket_moves_and_never_fire(shard: Shard, peer: Peer) -> None:
    peer.submit(*[nag(f"d:{n}", 3 * DAY_MS) for n in range(30)])
    peer.submit(*[ChangeStage(f"d:{n}", stage="new") for n in range(10)])
    peer.submit(*[DeleteItem(f"d:{n}") for n in range(10, 20)])
    assert shard.timers() == 30, "to cancel writes nothing"
    shard.wait(3 * DAY_MS)
    assert [key for key, _ in nagged(shard)] == [f"d:{n}" for n in range(20, 30)]
    assert shard.engine.tally.timers_fired == 10
    assert shard.engine.timers.statistics().dropped_count == 20


@pytest.mark.parametrize("restarts", [False, True])
def test_a_bucket_whose_rows_have_mostly_ended_is_swept_in_slices(
    shard: Shard, peer: Peer, restarts: bool
) -> None:
    peer.submit(*[nag(f"d:{n:03d}:{LONG}", 100 * DAY_MS + n) for n in range(200)])
    peer.submit(*[ChangeStage(f"d:{n:03d}:{LONG}", stage="new") for n in range(150)])
    assert far_rows(shard) == 200
    shard.engine.timers.pace = SMALL
    shard.turn()  # one without a decision
    shard.clock.moment_ms += HOUR_MS
    shard.turn()
    counts = [far_rows(shard)]
    for _ in range(40 if restarts else 30):
        if restarts:
            shard.restart()
            shard.engine.timers.pace = SMALL
        shard.turn()
        counts.append(far_rows(shard))
        if not restarts and not shard.engine.timers.is_sweeping:
            break
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) > 8, "in slices"
    assert counts[-1] == 50 if not restarts else counts[-1] <= 100
    assert shard.rows(StatisticsQuery())[0]["timers_stored"] == counts[-1]
    shard.wait(101 * DAY_MS)
    assert [key for key, _ in nagged(shard)] == [f"d:{n:03d}:{LONG}" for n in range(150, 200)]


def test_under_load_a_large_bucket_is_swept_in_pace_with_what_is_decided_and_the_rest_when_nobody_comes(
    shard: Shard, peer: Peer
) -> None:
    peer.submit(*[nag(f"d:{n:03d}:{LONG}", 100 * DAY_MS + n) for n in range(200)])
    peer.submit(*[ChangeStage(f"d:{n:03d}:{LONG}", stage="new") for n in range(200)])
    shard.turn()
    shard.engine.timers.pace = BUSY
    shard.clock.moment_ms += HOUR_MS
    peer.submit(deal("d:begin"))
    assert shard.engine.timers.is_sweeping
    assert far_rows(shard) == 200, "nobody waits for more than his own"
    counts = [200]
    for number in range(300):
        shard.clock.moment_ms += 1
        peer.submit(deal(f"d:other:{number}"))
        counts.append(far_rows(shard))
        assert counts[-1] >= counts[-2] - 11, "at most a chunk"
        if number == 99:
            swept = 100 * BUSY.sweep_rows_a_decision
            assert counts[-1] == pytest.approx(200 - swept, abs=11), "a chunk now and then"
    assert BUSY.sweep_busy_rows - 11 <= counts[-1] < BUSY.sweep_busy_rows, "what is left can wait"
    due_ms = shard.engine.next_due_ms()
    assert due_ms is not None
    assert 0 < due_ms - shard.clock.moment_ms <= 20
    shard.turn()
    assert far_rows(shard) > 0, "somebody may come just now"
    shard.wait(20)
    assert far_rows(shard) == 0
    assert not shard.engine.timers.is_sweeping


def test_a_sweep_that_waits_for_a_quiet_moment_holds_up_no_larger_one(shard: Shard, peer: Peer) -> None:
    for first, days, count in ((0, 100, 100), (100, 200, 200)):
        keys = [f"d:{first + number:03d}:{LONG}" for number in range(count)]
        peer.submit(*[nag(key, days * DAY_MS) for key in keys])
        peer.submit(*[ChangeStage(key, stage="new") for key in keys])
    shard.engine.timers.pace = BUSY._replace(sweep_busy_rows=150)
    counts = []
    for number in range(150):
        shard.clock.moment_ms += MINUTE_MS
        peer.submit(deal(f"d:other:{number}"))
        counts.append(far_rows(shard))
    assert counts[0] == 300
    assert 240 <= counts[-1] < 250, "the larger one, until it can wait as well"


def test_a_sweep_ends_where_its_last_slice_is_as_many_chunks_as_are_read_at_once(
    shard: Shard, peer: Peer
) -> None:
    for number in range(CHUNKS_A_READ):  # a timer that comes alone is a chunk of its own
        peer.submit(nag(f"d:{number}", 100 * DAY_MS))
    peer.submit(*[ChangeStage(f"d:{number}", stage="new") for number in range(CHUNKS_A_READ)])
    shard.turn()
    shard.engine.timers.pace = BUSY._replace(sweep_rows=CHUNKS_A_READ)
    shard.clock.moment_ms += HOUR_MS
    shard.turn()
    assert far_rows(shard) == 0
    shard.turn()
    assert not shard.engine.timers.is_sweeping
    due_ms = shard.engine.next_due_ms()
    assert due_ms is None or due_ms > shard.engine.now_ms(), "there is nothing left to do"


def test_a_bucket_is_moved_in_small_slices_while_somebody_waits(shard: Shard, peer: Peer) -> None:
    peer.submit(*[nag(f"d:{n:03d}:{LONG}", 3 * DAY_MS + n) for n in range(200)])
    shard.turn()
    timers = shard.engine.timers
    timers.pace = SMALL._replace(move_rows_busy=5, move_rows_min=60, move_rows_max=1_000)
    shard.clock.moment_ms += 3 * DAY_MS - 12 * HOUR_MS
    taken = [timers.far.statistics().taken_count]
    for number in range(3):
        peer.submit(deal(f"d:other:{number}"))
        taken.append(timers.far.statistics().taken_count)
    assert all(0 < after - before <= 11 for before, after in pairwise(taken)), "a chunk a turn"
    shard.turn()
    taken.append(timers.far.statistics().taken_count)
    assert taken[-1] - taken[-2] <= 11, "somebody may come just now"
    shard.clock.moment_ms += 20
    shard.turn()
    assert timers.far.statistics().taken_count - taken[-1] >= 60, "nobody waits"


def test_a_bucket_that_is_needed_is_left_alone(shard: Shard, peer: Peer) -> None:
    peer.submit(*[nag(f"d:{n:03d}:{LONG}", 100 * DAY_MS + n) for n in range(200)])
    peer.submit(*[ChangeStage(f"d:{n:03d}:{LONG}", stage="new") for n in range(0, 200, 4)])
    shard.engine.timers.pace = SMALL
    for _ in range(5):
        shard.clock.moment_ms += MINUTE_MS
        shard.turn()
    assert shard.engine.timers.statistics().sweep_count == 0
    assert far_rows(shard) == 200


def test_who_waits_is_seen_in_the_bytes_of_the_item(shard: Shard, peer: Peer) -> None:
    """A deadline outlives its entry and is known by its number; a client has timers of its own."""
    peer.submit(
        nag("d:waits", DAY_MS), deal("d:none"), deal("d:task"), PutClient("c:1", client=Client("Ada"))
    )
    due_ms = MONDAY_NINE_MS + DAY_MS
    peer.submit(PutTask("d:task", name="Call", deadline_ms=due_ms))
    snapshot = shard.store.snapshot()
    [task] = (decode_item(snapshot.get(Table.ITEMS, b"d:task") or b"").more or NOTHING_MORE).deadlines
    waiting = [(due_ms, "d:waits", 1), (1, "d:task", task), (due_ms, "c:1", 1), (5, "d:none", 1)]
    ended = [(due_ms + 1, "d:waits", 1), (due_ms, "d:task", task + 1), (due_ms, "d:none", 1)]
    ended.append((due_ms, "d:gone", 1))
    keys = [timer_key(at_ms, key.encode(), step) for at_ms, key, step in (*waiting, *ended)]
    assert still_waiting(snapshot, keys) == keys[:4]
    snapshot.close()


def test_a_row_of_a_delivery_is_never_dropped(shard: Shard) -> None:
    keys = [timer_key(1, b"\x00" + bytes(8), 0), timer_key(1, b"nobody", 1)]
    snapshot = shard.store.snapshot()
    assert still_waiting(snapshot, keys) == keys[:1]
    snapshot.close()
