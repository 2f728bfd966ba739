"""Back-off, rate and breaker: integers in, integers out."""

import pytest
from hypothesis import given, strategies as st

from stagewheel.server.core import backoff
from stagewheel.server.senders import breaker, rate

# ---------------------------------------------------------------- back-off


def test_s8_2_the_longest_delay_doubles_with_each_attempt_up_to_the_cap() -> None:
    delays = [backoff.delay_max_ms(attempt, base_ms=1_000, cap_ms=10_000) for attempt in range(1, 7)]
    assert delays == [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]
    assert backoff.delay_max_ms(10**9) == backoff.CAP_MS


@given(st.integers(0, 200), st.floats(0, 1, exclude_max=True))
def test_s8_2_full_jitter_draws_from_the_whole_range(attempt: int, random01: float) -> None:
    assert 0 <= backoff.draw(attempt, random01) <= backoff.delay_max_ms(attempt)
    assert backoff.draw(attempt, 0.0) == 0
    assert backoff.draw(attempt, 1 - 2**-53) == backoff.delay_max_ms(attempt)


# ---------------------------------------------------------------- rate


@given(st.floats(0.01, 5_000), st.lists(st.integers(0, 2_000), max_size=60))
def test_s8_4_a_rate_is_not_exceeded_in_any_window(per_s: float, steps_ms: list[int]) -> None:
    now_ms, taken = 0, []
    bucket = rate.full(per_s, now_ms)
    for step_ms in steps_ms:
        now_ms += step_ms
        count = rate.available(bucket, now_ms)
        bucket = rate.take(bucket, count, now_ms)
        taken.append((now_ms, count))
        assert rate.available(bucket, now_ms) == 0
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            window_s = (taken[last][0] - taken[first][0]) / 1000
            count = sum(count for _, count in taken[first : last + 1])
            assert count <= bucket.burst + window_s * per_s * 1.001 + 0.001 * window_s


@given(st.floats(0.01, 5_000), st.integers(0, 10_000))
def test_next_ms_is_the_first_moment_with_a_token(per_s: float, taken_ms: int) -> None:
    bucket = rate.full(per_s, 0)
    bucket = rate.take(bucket, rate.available(bucket, taken_ms), taken_ms)
    moment_ms = rate.next_ms(bucket, taken_ms)
    assert rate.available(bucket, moment_ms) >= 1
    assert rate.available(bucket, moment_ms - 1) == 0


def test_no_rate_is_no_limit_and_a_clock_that_jumps_back_adds_nothing() -> None:
    free = rate.full(0, 0)
    assert rate.take(free, 10_000, 0) == free
    assert rate.available(free, 0) == rate.UNLIMITED
    bucket = rate.take(rate.full(10, 1_000), 1, 1_000)
    assert rate.available(bucket, 0) == 0
    assert rate.available(bucket, 1_100) == 1


def test_more_than_there_is_cannot_be_taken() -> None:
    with pytest.raises(AssertionError):
        rate.take(rate.full(10, 0), 2, 0)


# ---------------------------------------------------------------- breaker

FAILURES_MAX, PAUSE_MS = 3, 1_000


def opened(now_ms: int = 0) -> breaker.Breaker:
    found = breaker.Breaker(FAILURES_MAX, PAUSE_MS)
    for _ in range(FAILURES_MAX):
        found = breaker.failed(found, now_ms)
    return found


def test_s8_4_it_opens_after_so_many_failures_in_a_row_and_not_before() -> None:
    found = breaker.Breaker(FAILURES_MAX, PAUSE_MS)
    for _ in range(5):
        for _ in range(FAILURES_MAX - 1):
            found = breaker.failed(found, 0)
        assert breaker.admitted(found, 0, 9) == 9
        found = breaker.succeeded(found)
    assert breaker.state(opened(), 0) == breaker.OPEN
    assert breaker.admitted(opened(), PAUSE_MS - 1, 9) == 0


def test_s8_4_after_the_pause_one_probe_goes_and_its_outcome_decides() -> None:
    found = opened()
    assert breaker.admitted(found, PAUSE_MS, 9) == 1
    found = breaker.handed(found, PAUSE_MS)
    assert breaker.admitted(found, PAUSE_MS, 9) == 0, "one probe at a time"
    closed = breaker.succeeded(found)
    assert breaker.admitted(closed, PAUSE_MS, 9) == 9
    again = breaker.failed(found, PAUSE_MS)
    assert breaker.admitted(again, PAUSE_MS * 3 - 1, 9) == 0, "the pause has doubled"
    assert breaker.admitted(again, PAUSE_MS * 3, 9) == 1


def test_the_pause_doubles_up_to_its_maximum_and_starts_anew_after_a_success() -> None:
    found, now_ms = opened(), 0
    pauses = []
    for _ in range(12):
        pauses.append(found.until_ms - now_ms)
        now_ms = found.until_ms
        found = breaker.failed(breaker.handed(found, now_ms), now_ms)
    assert pauses[:4] == [1_000, 2_000, 4_000, 8_000]
    assert pauses[-1] == breaker.PAUSE_MS_MAX
    assert breaker.succeeded(found) == breaker.Breaker(FAILURES_MAX, PAUSE_MS)


def test_failures_of_jobs_that_were_under_way_when_it_opened_say_nothing_new() -> None:
    found = opened()
    assert breaker.failed(found, 10).until_ms == found.until_ms


def test_a_breaker_without_a_maximum_never_opens() -> None:
    found = breaker.Breaker(0, PAUSE_MS)
    for _ in range(1_000):
        found = breaker.failed(found, 0)
    assert breaker.state(found, 0) == breaker.CLOSED
