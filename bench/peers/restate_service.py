"""What a deal is under Restate: a virtual object with its state, as the Python SDK's documentation writes
one.

Served by Hypercorn in processes of its own: `python -m bench.peers.restate_service PORT`.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import Any

import restate
from hypercorn.asyncio import serve
from hypercorn.config import Config

from bench import deals

deal = restate.VirtualObject("Deal")
OPEN_STREAMS_MAX = 2_147_483_647


@deal.handler("move")
async def move(ctx: restate.ObjectContext, event: dict[str, Any]) -> int:
    """One event: state, outbox, timer for a day ahead; the timer of the entry before is cancelled by its
    number.
    """
    state = await ctx.get("state") or {"entry": 0}
    entry: int = state["entry"] + 1
    ctx.set("outbox", {"entry": entry, "text": f"We moved {ctx.key()} to {event['stage']}"})
    if event["amount"] > deals.AMOUNT_MAX:
        ctx.set("large", entry)
    ctx.object_send(later, ctx.key(), entry, send_delay=timedelta(days=1))
    ctx.set("state", {"entry": entry, "stage": event["stage"], "amount": event["amount"]})
    return entry


@deal.handler("later")
async def later(ctx: restate.ObjectContext, entry: int) -> None:
    """A timer: it acts only if the deal is still in the entry that set it."""
    state = await ctx.get("state")
    if state is not None and state["entry"] == entry:
        ctx.set("late", entry)


@deal.handler("stage", kind="shared")
async def stage(ctx: restate.ObjectSharedContext) -> str:
    """Where it is."""
    state = await ctx.get("state")
    return state["stage"] if state is not None else ""


def main(port: int) -> None:
    """Serve it as the documentation recommends for production, with one worker."""
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.h2_max_concurrent_streams = OPEN_STREAMS_MAX
    config.keep_alive_timeout = OPEN_STREAMS_MAX
    asyncio.run(serve(restate.app(services=[deal]), config))


if __name__ == "__main__":
    main(int(sys.argv[1]))
