"""Builds the processes that work: a shard with its store, engine and door, or a sender.

Only this module knows all rooms. Such a process is `python -m stagewheel.server.app ROLE`, started by the
supervisor (`server/supervisor.py`), which tells it who it is in one line of JSON on standard input (so that
no secret stands in a list of processes); that input then is its lifeline.
"""

import contextlib
import functools
import secrets
import sys
import time

import trio

from stagewheel.clock import Clock, ReplayClock, ScaledClock, SystemClock
from stagewheel.protocol.socket import RouterSocket
from stagewheel.server.actors import counters as counters_row
from stagewheel.server.actors.engine import Engine
from stagewheel.server.actors.relay import Place
from stagewheel.server.child import run_child, say
from stagewheel.server.config import ServerConfig, channels_of, shard_address, shard_folder
from stagewheel.server.ingress.relay import Links
from stagewheel.server.ingress.router import Router
from stagewheel.server.lifeline import wait_end
from stagewheel.server.limits import FRAME_BYTES_MAX
from stagewheel.server.links import open_links, served_links
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.tracking import LINKS
from stagewheel.server.senders.config import served
from stagewheel.server.senders.process import run_sender
from stagewheel.server.store.base import Batch, Store
from stagewheel.server.store.lmdb_store import LmdbStore
from stagewheel.server.store.tables import Table
from stagewheel.server.supervisor import Role

STORE_ID_KEY = b"store_id"


def make_clock(config: ServerConfig, last_ms: int) -> Clock:
    """The clock that the configuration names; one that runs ahead of real time goes on where it was."""
    if config.clock == "replay":
        return ReplayClock(max(config.clock_start_ms, last_ms))
    if clock_name(config) == "scaled":
        start_ms = config.clock_start_ms or time.time_ns() // 1_000_000
        return ScaledClock(config.clock_rate, max(start_ms, last_ms))
    return SystemClock()


def clock_name(config: ServerConfig) -> str:
    """As clients are told."""
    if config.clock == "replay":
        return "replay"
    return "system" if config.clock_rate == 1.0 and not config.clock_start_ms else "scaled"


def store_id(store: Store, given: str = "") -> str:
    """The store's own name, set once: part of every Message-ID, so that two servers never make the same. All
    stores of a server have the one that it was `given`; their numbers are unique over all of them.
    """
    transaction = store.begin()
    try:
        row = transaction.get(Table.META, STORE_ID_KEY)
        if row is not None:
            return row.decode()
        batch, name = Batch(), given or secrets.token_hex(8)
        batch.put(Table.META, STORE_ID_KEY, name.encode())
        transaction.apply(batch)
        transaction.commit()
        return name
    finally:
        transaction.abort()


def last_moment(store: Store) -> int:
    """The last moment that a turn recorded in this store."""
    snapshot = store.snapshot()
    try:
        return counters_row.load(snapshot).now_ms
    finally:
        snapshot.close()


# ---------------------------------------------------------------- the shard process


def run_shard(role: Role) -> None:
    """The life of a shard process. Prints one line of JSON when it takes commands."""
    config = role.config
    store = LmdbStore.open(shard_folder(config, role.shard))
    try:
        own = shard_address(config, role.shard)
        name = store_id(store, role.store_id)
        addresses = [own, *role.listen[role.shard]]
        known = {**served(config.channels), LINKS: served_links(config.edge)}
        engine = Engine(
            store,
            make_clock(config, last_moment(store)),
            compile_ruleset,
            compile_new=functools.partial(compile_ruleset, served=known),
            served=known,
            shards=[each[-1] for each in role.listen],
            clock_name=clock_name(config),
            free_bytes_min=config.free_bytes_min,
            place=Place(role.shard, role.lanes, role.secret),
        )
        others = {
            other: shard_address(config, other) for other in range(len(role.lanes)) if other != role.shard
        }
        with contextlib.ExitStack() as open_, RouterSocket(addresses, FRAME_BYTES_MAX) as socket:
            engine.shards[role.shard] = socket.last_address  # of a free port only now is known which
            listen = [*role.listen[role.shard][:-1], socket.last_address]
            say({"ready": role.name, "listen": listen, "address": own, "store_id": name})
            links = open_.enter_context(Links(engine, others)) if others else None
            trio.run(_serve_shard, Router(engine, socket, links))
    finally:
        store.close()


async def _serve_shard(router: Router) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(router.run)
        if router.links is not None:
            nursery.start_soon(router.links.watch, router.wake)
        await wait_end()
        nursery.cancel_scope.cancel()


# ---------------------------------------------------------------- the entry


def _work(arguments: list[str], role: Role) -> None:
    if arguments == ["shard"]:
        run_shard(role)
    else:
        say({"ready": role.name})
        own = shard_address(role.config, role.shard)
        links = open_links(role.config.edge)
        run_sender(own, channels_of(role.config), role.store_id, role.name, links=links)


def main(arguments: list[str]) -> int:
    """The entry of a child process."""
    return run_child(functools.partial(_work, arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
