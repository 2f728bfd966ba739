"""The actors of the Dramatiq peer: what its worker processes import. Its documentation's way: a broker,
functions.

Run by `python -m dramatiq bench.peers.dramatiq_tasks`; the broker's socket comes in the environment.
"""

from __future__ import annotations

import os
import time

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

from bench import deals
from bench.peers import work

STATES, OUTBOX, TIMERS, DONE = "states", "outbox", "timers", "done"
client = redis.Redis(unix_socket_path=os.environ["BENCH_REDIS"])
broker = RedisBroker(client=client)
dramatiq.set_broker(broker)


@dramatiq.actor(max_retries=3)
def move(item: str, stage: str, amount: int) -> None:
    """One event: the state is read, and state, outbox and timer are written in one MULTI."""
    held = client.hget(STATES, item)
    entry = int(held.split(b"|")[2]) + 1 if isinstance(held, bytes) else 1
    pipeline = client.pipeline(transaction=True)
    pipeline.hset(STATES, item, f"{stage}|{amount}|{entry}")
    pipeline.xadd(OUTBOX, {"k": f"{item}/{entry}", "t": f"We moved {item} to {stage}"})
    pipeline.zadd(TIMERS, {item: time.time_ns() // 1_000_000 + work.DAY_MS})
    if amount > deals.AMOUNT_MAX:
        pipeline.xadd(OUTBOX, {"k": f"{item}/{entry}/large", "t": "A large deal"})
    pipeline.incr(DONE)
    pipeline.execute()


@dramatiq.actor
def later(item: str) -> None:
    """A timer."""
