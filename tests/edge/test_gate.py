"""The gate to the shard: its bound refuses, a shard that is away is left alone, and the end of a
session is told."""

from collections.abc import Sequence
from typing import Any, BinaryIO

import pytest
import trio
import trio.testing

from stagewheel.client.files import StoredFile
from stagewheel.errors import CallerError, StagewheelError
from stagewheel.protocol.errors import Fenced, NotTaken, TimedOut, TooLarge, TooMuchOutstanding
from stagewheel.protocol.files import FileView
from stagewheel.protocol.messages import AnyCommand, Applied, RaiseEvent, Result
from stagewheel.protocol.partitions import partition_of
from stagewheel.server.edge.answers import Refusal
from stagewheel.server.edge.metrics import Metrics
from stagewheel.server.edge.shard import Gate

EVENT = RaiseEvent("deal:1")


class SlowShard:
    """Answers when `go` is set, with an error if it has one."""

    def __init__(self) -> None:
        self.go = trio.Event()
        self.error: StagewheelError | None = None
        self.sent = 0
        self.data = b""  # of its one file

    async def submit(self, commands: Sequence[AnyCommand], wait_applied: bool = False) -> list[Result]:
        self.sent += len(commands)
        await self.statistics()
        return [Applied() for _ in commands]

    async def get_file(self, file: str, into: BinaryIO | None = None) -> StoredFile | None:
        self.sent += 1
        await self.statistics()
        assert into is not None
        into.write(self.data)
        view = FileView(file, "offer.html", "text/html", len(self.data), "", 0, 0)
        return StoredFile(view, b"") if self.data else None

    async def statistics(self, shard: int = -1) -> dict[str, Any]:
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return {}


async def refused(gate: Gate) -> str:
    with pytest.raises(Refusal) as raised:
        await gate.submit([EVENT])
    return raised.value.code


async def test_more_than_may_wait_are_refused_and_nothing_of_them_is_sent() -> None:
    shard = SlowShard()
    gate = Gate(shard, under_way_max=3)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(gate.submit, [EVENT])
        await trio.testing.wait_all_tasks_blocked()
        assert await refused(gate) == "busy"
        assert (shard.sent, gate.under_way) == (3, 3)
        shard.go.set()
    assert await gate.submit([EVENT]) == [Applied()]
    assert gate.under_way == 0


async def test_after_a_wait_in_vain_nothing_is_sent_until_a_question_is_answered() -> None:
    shard = SlowShard()
    shard.go.set()
    shard.error = TimedOut("no answer")
    gate = Gate(shard)
    assert await refused(gate) == "unknown"
    assert await refused(gate) == "shard_away"
    assert (shard.sent, await gate.statistics(1.0)) == (1, [None])
    shard.error, shard.go = None, trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gate.watch)
        await trio.testing.wait_all_tasks_blocked()
        assert await refused(gate) == "shard_away"
        shard.go.set()
        await trio.testing.wait_all_tasks_blocked()
        assert await gate.submit([EVENT]) == [Applied()]
        nursery.cancel_scope.cancel()


class OneIsDead:
    """Shard 1 of two answers nothing."""

    async def submit(self, commands: Sequence[AnyCommand], wait_applied: bool = False) -> list[Result]:
        if any(partition_of(one.item) % 2 for one in commands):
            raise TimedOut("no answer")
        return [Applied() for _ in commands]

    async def get_file(self, file: str, into: BinaryIO | None = None) -> StoredFile | None:
        return None

    async def statistics(self, shard: int = -1) -> dict[str, Any]:
        if shard == 1:
            await trio.sleep_forever()
        return {"items_stored": 3}


async def test_a_dead_shard_is_told_and_what_is_of_another_one_goes_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gate = Gate(OneIsDead(), shards=2)
    own = {partition_of(key) % 2: key for key in ("deal:1", "deal:2", "deal:3", "deal:4")}
    for code in ("unknown", "shard_away"):
        with pytest.raises(Refusal) as raised:
            await gate.submit([RaiseEvent(own[1])])
        assert raised.value.code == code
    assert await gate.submit([RaiseEvent(own[0])]) == [Applied()]
    found = await gate.statistics(2.0)
    assert found == [{"items_stored": 3}, None]
    lines = Metrics().text(found, 0).decode().splitlines()
    assert {
        "stagewheel_up 0.0",
        'stagewheel_shard_up{shard="0"} 1.0',
        'stagewheel_shard_up{shard="1"} 0.0',
    } < {*lines}
    assert [one for one in lines if one.startswith("stagewheel_items{")] == [
        'stagewheel_items{shard="0"} 3.0'
    ]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TooLarge("more than a frame"), "too_large"),
        (NotTaken("malformed", "not an event"), "bad_value"),
        (CallerError("holds a value that cannot be sent"), "bad_value"),
        (TooMuchOutstanding("enough"), "busy"),
    ],
)
async def test_an_event_that_can_not_be_sent_is_refused_and_the_shard_is_not_away(
    error: StagewheelError, code: str
) -> None:
    shard = SlowShard()
    shard.go.set()
    shard.error = error
    gate = Gate(shard)
    assert await refused(gate) == code
    assert not gate.away


async def test_a_session_that_is_over_ends_the_watch_with_its_error() -> None:
    shard = SlowShard()
    shard.go.set()
    shard.error = Fenced("another one")
    gate = Gate(shard)
    assert await refused(gate) == "unknown"
    await gate.watch()
    assert gate.error is shard.error
