"""Clocks with sources of time that the test sets."""

import math
import time

import pytest

from stagewheel.clock import (
    JUMP_MS,
    SLEEP_SECONDS_MAX,
    Clock,
    ReplayClock,
    ScaledClock,
    SystemClock,
    VirtualClock,
)

T0_MS = 1_790_000_000_000
MS = 1_000_000


class Machine:
    """The two clocks of a machine."""

    def __init__(self) -> None:
        self.wall = T0_MS * MS
        self.monotonic = 5 * MS
        self.held_up_ns = 0

    def wall_ns(self) -> int:
        self.monotonic += self.held_up_ns
        return self.wall

    def monotonic_ns(self) -> int:
        return self.monotonic

    def passes_ms(self, elapsed_ms: float) -> None:
        self.wall += round(elapsed_ms * MS)
        self.monotonic += round(elapsed_ms * MS)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def system(machine: Machine) -> SystemClock:
    return SystemClock(wall_ns=machine.wall_ns, monotonic_ns=machine.monotonic_ns)


def test_the_system_clock_goes_with_the_wall_clock(machine: Machine, system: SystemClock) -> None:
    assert system.now_ms() == T0_MS
    machine.passes_ms(1234.5)
    assert system.now_ms() == T0_MS + 1234
    machine.passes_ms(0.5)
    assert system.now_ms() == T0_MS + 1235


def test_a_small_step_of_the_wall_clock_is_ignored(machine: Machine, system: SystemClock) -> None:
    for step_ms in (JUMP_MS, -JUMP_MS, 3):
        machine.wall = T0_MS * MS + (machine.monotonic - 5 * MS) + step_ms * MS
        machine.passes_ms(10)
        assert system.now_ms() == T0_MS + (machine.monotonic - 5 * MS) // MS
    assert system.statistics().jumps_forward_count == 0


def test_a_forward_jump_is_followed_at_once(machine: Machine, system: SystemClock) -> None:
    machine.wall += 3_600_000 * MS
    assert system.now_ms() == T0_MS + 3_600_000
    assert system.wall_seconds_until(T0_MS + 3_000_000) == 0
    machine.passes_ms(7)
    assert system.now_ms() == T0_MS + 3_600_007
    assert system.statistics().jumps_forward_count == 1


def test_after_a_sleep_of_the_machine_it_is_as_late_as_the_wall_clock_says(
    machine: Machine, system: SystemClock
) -> None:
    machine.passes_ms(10)
    machine.wall += 8 * 3_600_000 * MS  # monotonic time stood still
    assert system.now_ms() == T0_MS + 10 + 8 * 3_600_000


def test_after_a_backward_jump_the_clock_stands_until_the_wall_clock_caught_up(
    machine: Machine, system: SystemClock
) -> None:
    machine.passes_ms(1000)
    assert system.now_ms() == T0_MS + 1000
    machine.wall -= 5000 * MS
    assert system.now_ms() == T0_MS + 1000
    assert system.statistics().held_ms == 5000
    assert system.statistics().jumps_backward_count == 1
    machine.passes_ms(4999)
    assert system.now_ms() == T0_MS + 1000
    machine.passes_ms(2)
    assert system.now_ms() == T0_MS + 1001
    assert system.statistics().held_ms == 0


def test_while_the_clock_stands_a_sleep_is_as_long_as_the_wall_clock_needs(
    machine: Machine, system: SystemClock
) -> None:
    machine.wall -= 500 * MS
    assert system.now_ms() == T0_MS
    assert system.wall_seconds_until(T0_MS) == 0
    assert system.wall_seconds_until(T0_MS + 100) == pytest.approx(0.6)
    machine.passes_ms(600)
    assert system.now_ms() == T0_MS + 100


def test_sources_that_were_read_far_apart_are_not_compared(machine: Machine, system: SystemClock) -> None:
    machine.held_up_ns = 300 * MS  # the process lost the processor between two readings
    assert system.now_ms() == T0_MS + 300
    machine.held_up_ns = 0
    machine.wall += 300 * MS
    assert system.now_ms() == T0_MS + 300
    assert system.statistics().jumps_backward_count == 0


def test_no_sleep_is_longer_than_the_longest_and_none_is_negative(
    machine: Machine, system: SystemClock
) -> None:
    assert system.wall_seconds_until(T0_MS + 10 * 31_557_600_000) == SLEEP_SECONDS_MAX
    assert system.wall_seconds_until(T0_MS + 250) == 0.25
    assert system.wall_seconds_until(T0_MS) == 0
    assert system.wall_seconds_until(0) == 0
    machine.passes_ms(300)
    assert system.wall_seconds_until(T0_MS + 250) == 0


def test_after_the_sleep_the_moment_has_come(machine: Machine, system: SystemClock) -> None:
    machine.passes_ms(0.7)
    due_ms = T0_MS + 10
    while (seconds := system.wall_seconds_until(due_ms)) > 0:
        machine.passes_ms(seconds * 1000)
    assert system.now_ms() >= due_ms


def test_the_system_clock_reads_this_machine_by_default() -> None:
    before_ms = time.time_ns() // MS
    assert 0 <= SystemClock().now_ms() - before_ms < 60_000


def test_a_scaled_clock_runs_at_its_rate_and_sleeps_the_less(machine: Machine) -> None:
    scaled = ScaledClock(3600, wall_ns=machine.wall_ns, monotonic_ns=machine.monotonic_ns)
    assert scaled.now_ms() == T0_MS
    machine.passes_ms(1000)
    assert scaled.now_ms() == T0_MS + 3_600_000
    assert scaled.wall_seconds_until(T0_MS + 5_400_000) == 0.5
    assert scaled.wall_seconds_until(T0_MS) == 0
    assert scaled.wall_seconds_until(T0_MS + 10**12) == SLEEP_SECONDS_MAX


def test_a_scaled_clock_begins_where_it_is_told_and_ignores_jumps(machine: Machine) -> None:
    scaled = ScaledClock(0.5, 1000, wall_ns=machine.wall_ns, monotonic_ns=machine.monotonic_ns)
    machine.wall += 10**15
    machine.passes_ms(10)
    assert scaled.now_ms() == 1005


@pytest.mark.parametrize("rate", [0, -1, math.inf, math.nan])
def test_a_rate_that_leads_nowhere_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        ScaledClock(rate)


def test_a_virtual_clock_moves_only_when_it_is_moved() -> None:
    virtual = VirtualClock(T0_MS)
    assert virtual.now_ms() == T0_MS
    assert virtual.wall_seconds_until(T0_MS) == 0
    assert virtual.wall_seconds_until(T0_MS + 1) == math.inf
    virtual.advance_to(T0_MS)
    virtual.advance_to(T0_MS + 86_400_000)
    assert virtual.now_ms() == T0_MS + 86_400_000
    with pytest.raises(ValueError, match="does not go back"):
        virtual.advance_to(T0_MS)
    assert virtual.now_ms() == T0_MS + 86_400_000


def test_a_replay_clock_follows_later_times_and_ignores_earlier_ones() -> None:
    replay = ReplayClock()
    for moment_ms, expected_ms in ((5, 5), (9, 9), (7, 9), (9, 9), (12, 12)):
        replay.advance_to(moment_ms)
        assert replay.now_ms() == expected_ms
    assert replay.wall_seconds_until(12) == 0
    assert replay.wall_seconds_until(13) == math.inf


def test_only_clocks_that_the_engine_moves_are_exact() -> None:
    clocks: list[tuple[Clock, bool]] = [
        (SystemClock(), False),
        (ScaledClock(60), False),
        (VirtualClock(0), True),
        (ReplayClock(), True),
    ]
    assert [clock.exact for clock, _ in clocks] == [exact for _, exact in clocks]
