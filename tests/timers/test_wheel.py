"""The wheel against a sorted list, mostly tiny wheels, so that all levels and the list beyond have work.

M3.
"""

import bisect
import random
from operator import itemgetter

import pytest
from hypothesis import given, settings, strategies as st

from stagewheel.server.timers.wheel import Timer, Wheel

YEAR_MS = 31_557_600_000


class SortedModel:
    """What the wheel promises, in the plainest way: a list kept sorted, equals in order of insertion."""

    def __init__(self, start_ms: int, tick_ms: int) -> None:
        self.tick_ms = tick_ms
        self.now = start_ms // tick_ms
        self.timers: list[Timer[int]] = []

    def tick(self, due_ms: int) -> int:
        return -(-due_ms // self.tick_ms)

    def insert(self, due_ms: int, payload: int) -> bool:
        if self.tick(due_ms) <= self.now:
            return False
        self.put(due_ms, payload)
        return True

    def put(self, due_ms: int, payload: int) -> None:
        bisect.insort(self.timers, (due_ms, payload), key=itemgetter(0))

    def poll(self, now_ms: int, limit: int) -> list[Timer[int]]:
        self.now = max(self.now, now_ms // self.tick_ms)
        taken = [timer for timer in self.timers if self.tick(timer[0]) <= self.now][:limit]
        del self.timers[: len(taken)]
        return taken

    def drop_latest(self, count: int) -> list[Timer[int]]:
        elapsed_count = sum(self.tick(timer[0]) <= self.now for timer in self.timers)
        keep_count = max(elapsed_count, len(self.timers) - count)
        dropped = self.timers[keep_count:]
        del self.timers[keep_count:]
        return dropped


def assert_laws(timers: Wheel[int]) -> None:
    """The laws of the module's docstring, on the inside of a wheel."""
    digit_count = 1 << timers._digit_bits
    dues = [due_ms for due_ms, _ in timers._run]
    assert dues == sorted(dues)
    assert all(-(-due_ms // timers._tick_ms) <= timers._hand for due_ms in dues)
    for index, slot in enumerate(timers._slots):
        assert bool(slot) == bool(timers._occupied >> index & 1)
        for due_ms, _ in slot:
            tick = -(-due_ms // timers._tick_ms)
            assert tick > timers._hand
            level, digit = divmod(index, digit_count)
            if index == timers._beyond:
                assert tick >> level * timers._digit_bits != timers._hand >> level * timers._digit_bits
            else:
                assert tick >> level * timers._digit_bits == (
                    timers._hand >> (level + 1) * timers._digit_bits << timers._digit_bits | digit
                )
    assert len(timers) == len(timers._run) + sum(map(len, timers._slots))


def test_the_example_of_the_docstring_happens_as_written() -> None:
    timers: Wheel[str] = Wheel(start_ms=0, slots=4, levels=3)
    for due_ms in (2, 9, 10, 40, 45, 100):
        assert timers.insert(due_ms, f"t{due_ms}")
    assert timers.poll(5, 9) == [(2, "t2")]
    assert timers._hand == 5
    assert timers.poll(9, 9) == [(9, "t9")]
    assert timers._hand == 11
    assert timers._run == [(10, "t10")]
    assert timers.insert(11, "t11")
    assert timers._run == [(10, "t10"), (11, "t11")]
    assert timers.poll(33, 9) == [(10, "t10"), (11, "t11")]
    assert timers._slots[4 + 2] == [(40, "t40")]  # level 1, slot 40-43
    assert timers._slots[4 + 3] == [(45, "t45")]
    assert timers.statistics().cascaded_count == 2
    assert timers.poll(60, 9) == [(40, "t40"), (45, "t45")]
    assert timers.poll(200, 9) == [(100, "t100")]
    assert len(timers) == 0


SHAPES = [(4, 3, 1), (2, 1, 1), (2, 4, 1), (4, 1, 3), (4, 3, 10), (8, 2, 1), (256, 6, 1)]


@pytest.mark.parametrize("opened_count_max", [0, 2, 1024])
@pytest.mark.parametrize(("slots", "levels", "tick_ms"), SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_a_wheel_does_what_a_sorted_list_does(
    slots: int, levels: int, tick_ms: int, seed: int, opened_count_max: int
) -> None:
    rng = random.Random(f"{slots} {levels} {tick_ms} {seed}")
    start_ms = rng.choice([0, 1, 61, 1_790_000_000_123])
    real: Wheel[int] = Wheel(
        start_ms=start_ms, slots=slots, levels=levels, tick_ms=tick_ms, opened_count_max=opened_count_max
    )
    model = SortedModel(start_ms, tick_ms)
    now_ms = start_ms
    for number in range(400):
        match rng.choice(["insert", "insert", "insert", "many", "put", "poll", "poll", "drop"]):
            case "insert":
                due_ms = now_ms + rng.choice(
                    [-3, 0, 1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, rng.randrange(900)]
                )
                if due_ms >= 0:
                    assert real.insert(due_ms, number) == model.insert(due_ms, number)
            case "many":
                batch = [(now_ms + rng.randrange(100), number * 1000 + i) for i in range(rng.randrange(12))]
                refused = [timer for timer in batch if not model.insert(*timer)]
                assert real.insert_many(batch) == refused
            case "put":
                due_ms = max(0, now_ms + rng.randrange(-50, 50))
                real.put(due_ms, number)
                model.put(due_ms, number)
            case "poll":
                now_ms += rng.choice([-5, 0, 0, 1, 1, 2, 3, 7, 16, 64, rng.randrange(300)])
                now_ms = max(0, now_ms)
                limit = rng.choice([0, 1, 2, 5, 1000])
                assert real.poll(now_ms, limit) == model.poll(now_ms, limit)
            case "drop":
                count = rng.randrange(4)
                assert sorted(real.drop_latest(count), key=itemgetter(0)) == model.drop_latest(count)
        assert real.peek() == (model.timers[0] if model.timers else None)
        due_ms_or_none = model.tick(model.timers[0][0]) * tick_ms if model.timers else None
        assert real.next_due_ms() == due_ms_or_none
        assert len(real) == len(model.timers)
        assert_laws(real)
    assert real.poll(now_ms + 100_000, 10_000) == model.poll(now_ms + 100_000, 10_000)
    assert len(real) == 0


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    start_ms=st.integers(0, 2**45),
    gaps=st.lists(st.one_of(st.integers(0, 300), st.integers(0, 10 * YEAR_MS)), max_size=40),
    steps=st.lists(st.one_of(st.integers(0, 300), st.integers(0, YEAR_MS)), max_size=20),
)
def test_dues_of_ten_years_come_in_order_and_never_early(
    start_ms: int, gaps: list[int], steps: list[int]
) -> None:
    timers: Wheel[int] = Wheel(start_ms=start_ms)
    expected = sorted(((start_ms + 1 + gap, i) for i, gap in enumerate(gaps)), key=itemgetter(0))
    assert timers.insert_many([(start_ms + 1 + gap, i) for i, gap in enumerate(gaps)]) == []
    polled: list[Timer[int]] = []
    now_ms = start_ms
    for step in steps:
        now_ms += step
        assert timers.peek() == (expected[len(polled)] if len(polled) < len(expected) else None)
        polled += timers.poll(now_ms, 1000)
        assert polled == [timer for timer in expected if timer[0] <= now_ms]
        assert_laws(timers)
    assert polled + timers.poll(2**47, 1000) == expected


def test_equal_dues_keep_the_order_of_insertion_on_every_way_through_the_wheel() -> None:
    timers: Wheel[int] = Wheel(start_ms=0, slots=4, levels=3)
    for i in range(3):
        assert timers.insert(500, i)  # beyond
    timers.poll(450, 9)
    for i in range(3, 6):
        assert timers.insert(500, i)  # a slot, or beyond still
    timers.poll(497, 9)
    assert timers.insert(500, 6)
    timers.poll(499, 9)
    assert timers.insert(500, 7)
    assert timers.poll(500, 4) == [(500, i) for i in range(4)]
    timers.put(500, 8)
    assert timers.poll(500, 9) == [(500, i) for i in range(4, 9)]


def test_an_order_of_its_own_decides_between_equals() -> None:
    timers: Wheel[bytes] = Wheel(start_ms=0, slots=4, levels=3, order=itemgetter(0, 1))
    for key in (b"c", b"a", b"d", b"b"):
        assert timers.insert(40, key)
    assert timers.peek() == (40, b"a")
    assert timers.poll(40, 3) == [(40, b"a"), (40, b"b"), (40, b"c")]
    timers.put(40, b"a")
    assert timers.poll(40, 3) == [(40, b"a"), (40, b"d")]


def test_a_due_time_between_two_ticks_rounds_up() -> None:
    timers: Wheel[str] = Wheel(start_ms=0, tick_ms=10)
    assert timers.insert(21, "later")
    assert timers.insert(20, "sooner")
    assert timers.next_due_ms() == 20
    assert timers.poll(19, 9) == []
    assert timers.poll(20, 9) == [(20, "sooner")]
    assert timers.next_due_ms() == 30
    assert timers.poll(29, 9) == []
    assert timers.poll(30, 9) == [(21, "later")]


def test_what_a_full_limit_left_over_comes_first_at_the_next_poll() -> None:
    timers: Wheel[int] = Wheel(start_ms=0, slots=4, levels=3)
    for due_ms in range(30, 0, -1):
        assert timers.insert(due_ms, due_ms)
    assert [due_ms for due_ms, _ in timers.poll(30, 7)] == list(range(1, 8))
    assert not timers.insert(30, 99)
    timers.put(5, 5)
    assert [due_ms for due_ms, _ in timers.poll(30, 7)] == [5, *range(8, 14)]
    assert [due_ms for due_ms, _ in timers.poll(30, 70)] == list(range(14, 31))


def test_a_timer_cascades_at_most_once_a_level() -> None:
    timers: Wheel[int] = Wheel(start_ms=0, slots=4, levels=6)
    assert timers.insert(4**6 - 1, 0)
    for now_ms in range(4**6 - 1):
        assert timers.poll(now_ms, 9) == []
    assert timers.poll(4**6 - 1, 9) == [(4**6 - 1, 0)]
    assert timers.statistics().cascaded_count == 4  # levels 5 to 2; narrow slots are opened


def test_a_jump_over_years_cascades_nothing_that_passes_whole() -> None:
    timers: Wheel[int] = Wheel(start_ms=1_790_000_000_000)
    dues = [1_790_000_000_000 + 1 + i * 86_400_000 for i in range(3650)]
    timers.insert_many([(due_ms, 0) for due_ms in dues])
    assert [due_ms for due_ms, _ in timers.poll(dues[-1] + 2**44, 5000)] == dues
    assert timers.statistics().cascaded_count == 0


def test_the_latest_are_dropped_and_those_elapsed_stay() -> None:
    timers: Wheel[int] = Wheel(start_ms=0, slots=4, levels=3)
    for due_ms in (3, 5, 20, 21, 22, 300):
        assert timers.insert(due_ms, due_ms)
    assert sorted(timers.drop_latest(3)) == [(21, 21), (22, 22), (300, 300)]
    assert timers.poll(6, 1) == [(3, 3)]
    assert timers.drop_latest(9) == [(20, 20)]
    assert timers.drop_latest(9) == []
    assert timers.poll(6, 9) == [(5, 5)]


def test_a_cleared_wheel_is_empty_and_begins_again_at_the_time_it_is_told() -> None:
    timers: Wheel[int] = Wheel(start_ms=0, slots=4, levels=3)
    for due_ms in (3, 5, 20, 300):
        assert timers.insert(due_ms, due_ms)
    timers.poll(18, 9)
    timers.clear(7)
    assert (len(timers), timers.peek(), timers.next_due_ms()) == (0, None, None)
    assert timers.poll(7, 9) == []
    assert not timers.insert(7, 1)
    assert timers.insert(8, 1)
    assert_laws(timers)
    assert timers.poll(8, 9) == [(8, 1)]


def test_statistics_count_every_way_in_and_out() -> None:
    timers: Wheel[int] = Wheel(start_ms=0, slots=4, levels=3)
    timers.insert_many([(due_ms, 0) for due_ms in (1, 2, 3, 40, 50)])
    timers.put(0, 0)
    timers.poll(2, 9)
    timers.drop_latest(1)
    found = timers.statistics()
    assert (found.inserted_count, found.polled_count, found.dropped_count) == (6, 3, 1)
    assert (found.pending_count, found.pending_count_peak) == (2, 6)
    timers.clear(0)
    assert timers.statistics().dropped_count == 3
