"""The assignment of jobs to senders: its laws, over random pools."""

from collections import Counter
from typing import NamedTuple

from hypothesis import given, strategies as st

from stagewheel.server.limits import POOL_LOOK_MAX
from stagewheel.server.senders.assign import Idle, View, assign

NOW_MS = 1_000_000
GROUPS = st.sampled_from(["", "a.example", "b.example", "c.example"])


class Waiting(NamedTuple):
    """A job."""

    number: int
    group: str


@st.composite
def pools(draw: st.DrawFn) -> tuple[list[Waiting], View]:
    waiting = [Waiting(number, group) for number, group in enumerate(draw(st.lists(GROUPS, max_size=30)))]
    senders = draw(st.permutations(range(draw(st.integers(0, 12)))))
    warm = draw(st.integers(0, len(senders)))
    since = sorted(draw(st.lists(st.integers(0, NOW_MS), min_size=warm, max_size=warm)))
    view = View(
        idle=[Idle(sender, since_ms) for sender, since_ms in zip(senders[:warm], since, strict=True)],
        unopened=senders[warm:],
        group_busy=draw(st.dictionaries(GROUPS.filter(bool), st.integers(1, 4))),
        group_max=draw(st.integers(0, 4)),
        admitted=draw(st.integers(0, 15)),
        idle_ms_max=draw(st.integers(1, NOW_MS)),
    )
    return waiting, view


@given(pools())
def test_no_job_and_no_sender_is_taken_twice_and_all_exist(pool: tuple[list[Waiting], View]) -> None:
    waiting, view = pool
    handed, opened, closed = assign(waiting, view, NOW_MS)
    numbers, senders = [number for number, _ in handed], [sender for _, sender in handed]
    assert len(set(numbers)) == len(numbers)
    assert len({*senders, *closed}) == len(senders) + len(closed)
    assert set(numbers) <= {job.number for job in waiting}
    assert set(senders) <= {idle.sender for idle in view.idle} | set(view.unopened)
    assert set(opened) == set(senders) & set(view.unopened)


@given(pools())
def test_rate_breaker_and_groups_are_never_exceeded(pool: tuple[list[Waiting], View]) -> None:
    waiting, view = pool
    handed, _, _ = assign(waiting, view, NOW_MS)
    assert len(handed) <= view.admitted
    group_of = {job.number: job.group for job in waiting}
    for group, count in Counter(group_of[number] for number, _ in handed).items():
        if group and view.group_max:
            assert count + view.group_busy.get(group, 0) <= view.group_max


@given(pools())
def test_no_job_waits_for_anything_but_a_sender_its_group_rate_or_breaker(
    pool: tuple[list[Waiting], View],
) -> None:
    waiting, view = pool
    handed, _, _ = assign(waiting, view, NOW_MS)
    if len(handed) == min(view.admitted, len(view.idle) + len(view.unopened)):
        return
    done = {number for number, _ in handed}
    group_of = {job.number: job.group for job in waiting}
    busy = Counter(view.group_busy) + Counter(group_of[number] for number in done)
    for job in waiting:
        if job.number not in done:
            assert job.group
            assert busy[job.group] >= view.group_max > 0


@given(pools())
def test_jobs_of_one_group_keep_their_order(pool: tuple[list[Waiting], View]) -> None:
    waiting, view = pool
    done = {number for number, _ in assign(waiting, view, NOW_MS).handed}
    for group in {job.group for job in waiting}:
        ended = [job.number in done for job in waiting if job.group == group]
        assert ended == sorted(ended, reverse=True)


@given(pools())
def test_the_warmest_connection_is_used_first_and_one_is_opened_only_when_none_is_left(
    pool: tuple[list[Waiting], View],
) -> None:
    waiting, view = pool
    handed, opened, _ = assign(waiting, view, NOW_MS)
    senders = [sender for _, sender in handed]
    warm = [idle.sender for idle in reversed(view.idle)]
    assert senders == [*warm, *reversed(view.unopened)][: len(senders)]
    assert len(opened) == max(0, len(senders) - len(warm))


@given(pools())
def test_exactly_the_connections_that_are_too_cold_and_not_used_are_closed(
    pool: tuple[list[Waiting], View],
) -> None:
    waiting, view = pool
    handed, _, closed = assign(waiting, view, NOW_MS)
    used = {sender for _, sender in handed}
    assert closed == [
        idle.sender
        for idle in view.idle
        if NOW_MS - idle.since_ms >= view.idle_ms_max and idle.sender not in used
    ]


def test_it_looks_at_no_more_jobs_than_it_hands_out_and_at_few_of_full_groups() -> None:
    looked = 0

    def jobs(group: str) -> object:
        nonlocal looked
        for number in range(1_000_000):
            looked += 1
            yield Waiting(number, group)

    view = View([], [2, 1, 0], {"full.example": 1}, 1, 100, 1)
    handed, _, _ = assign(jobs(""), view, 0)  # type: ignore[arg-type]
    assert (handed, looked) == ([(0, 0), (1, 1), (2, 2)], 3)
    looked = 0
    assert assign(jobs("full.example"), view, 0).handed == []  # type: ignore[arg-type]
    assert looked == POOL_LOOK_MAX
