"""Instructions of a mail that is delivered: its hand-out, the frame of its report, the turn that decides it.

It is what `with_senders` of `hot_path` adds to a change of stage (why instructions: `instructions.py`).
The sender is the one of `reporter.py`, in this process: it offers what a real one has capacity for, and
reports in frames as full as a real one's.

Laws: what happens between the readings is what `serve` does between its sockets; every mail of the changes
before is handed out once and reported once, and the outbox is empty behind a round.
"""

from __future__ import annotations

from typing import Final

from bench import report
from bench.alone import Shard
from bench.counting import Counter
from bench.reporter import LANE, REPORTS, decode_jobs, reports_of
from stagewheel.protocol.frames import decode
from stagewheel.protocol.messages import Hello, Reports
from stagewheel.server.actors.inbound import Inbound
from stagewheel.server.actors.outboxes import OUTBOX_TABLES
from stagewheel.server.actors.taking import give
from stagewheel.server.limits import FRAME_BYTES_MAX, REPORTS_FRAME_MAX, SENDER_CAPACITY_MAX

ROUTE: Final = b"sender"


def counted(shard: Shard, counter: Counter, turns: int) -> dict[str, int]:
    """Instructions a mail of each part, over so many turns of changes; their sum is the whole. The mails that
    wait already are delivered before.
    """
    hello = Hello(1, 1, b"bench-reporter", "bench", role="sender", instance=bytes(16))
    shard.engine.turn(Inbound([(ROUTE, hello)]))
    _drain(shard, counter)
    spent, mails = {"hand_out": 0, "frames": 0, "turns": 0}, 0
    for _ in range(turns):  # so that mails do not wait longer than they do in a loaded server
        shard.round(counter, 1)
        one, count = _drain(shard, counter)
        spent = {part: spent[part] + cost for part, cost in one.items()}
        mails += count
    snapshot = shard.store.snapshot()
    left = snapshot.count(OUTBOX_TABLES[LANE])
    snapshot.close()
    if left or not mails or shard.engine.tally.turns_failed:
        raise report.Failed(f"{mails} mails were reported, {left} are left in the outbox, or a turn failed")
    return {part: round(cost / mails) for part, cost in spent.items()}


def _drain(shard: Shard, counter: Counter) -> tuple[dict[str, int], int]:
    """Hand out and report until the outbox is empty; what that costs, and how many mails it were."""
    engine, mails = shard.engine, 0
    spent = {"hand_out": 0, "frames": 0, "turns": 0}

    def cost_since(before: int) -> int:
        return counter.read() - before - counter.overhead

    while True:
        engine.handout.pull(ROUTE, LANE, SENDER_CAPACITY_MAX)
        before = counter.read()
        payloads = [payload for given in give(engine) for payload in given.payloads()]
        spent["hand_out"] += cost_since(before)
        numbers = [job.number for payload in payloads for job in decode_jobs(payload).jobs]
        if not numbers:
            return spent, mails
        frames = [
            reports_of(start, numbers[start : start + REPORTS_FRAME_MAX])
            for start in range(0, len(numbers), REPORTS_FRAME_MAX)
        ]
        before = counter.read()
        inbound = Inbound()
        for payload in frames:
            message = decode(REPORTS, payload, FRAME_BYTES_MAX)
            assert isinstance(message, Reports), "a frame of reports"
            inbound.delivered += message.delivered
        spent["frames"] += cost_since(before)
        before = counter.read()
        engine.turn(inbound)
        spent["turns"] += cost_since(before)
        mails += len(numbers)
