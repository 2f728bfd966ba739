"""Stored files over real sockets: three clients, a sender process, and a shard that goes away meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path

import trio

from stagewheel.client import Client, open_asyncio_client, open_trio_client
from stagewheel.clock import SystemClock
from stagewheel.protocol.files import CHUNK_BYTES, begin_file
from stagewheel.protocol.messages import PutFileChunk
from stagewheel.protocol.socket import RouterSocket
from stagewheel.server.actors.engine import Engine
from stagewheel.server.ingress.router import Router
from stagewheel.server.limits import FRAME_BYTES_MAX
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.store.memory import MemoryStore
from tests.senders.test_sender import sending

BYTES = bytes(range(256)) * 3000


@asynccontextmanager
async def served(address: str, store: MemoryStore) -> AsyncIterator[Router]:
    """A shard with its door, until the block ends; what it stored stays in the store."""
    engine = Engine(store, SystemClock(), compile_ruleset, shards=[address], free_bytes_min=0)
    with RouterSocket([address], FRAME_BYTES_MAX) as socket:
        router = Router(engine, socket)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(router.run)
            yield router
            nursery.cancel_scope.cancel()


def blocking(address: str, path: Path) -> list[str]:
    seen: list[tuple[int, int]] = []
    with Client(address) as client:
        view = client.put_file(
            path, file="of/blocking", progress=lambda there, size: seen.append((there, size))
        )
        assert seen[-1] == (len(BYTES), len(BYTES))
        into = BytesIO()
        found = client.get_file("of/blocking", into)
        assert found is not None
        assert (into.getvalue(), found.data, found.view.sha256) == (BYTES, b"", view.sha256)
        return [one.file for one in client.files("of/")]


def with_asyncio(address: str) -> bytes:
    async def main() -> bytes:
        async with open_asyncio_client(address) as client:
            await client.put_file(BytesIO(BYTES), "a.bin", file="of/asyncio")
            found = await client.get_file("of/asyncio")
            await client.drop_file("of/asyncio")
            assert await client.get_file("of/asyncio") is None
            assert found is not None
            return found.data

    return asyncio.run(main())


async def test_three_clients_and_a_sender_process_store_and_fetch_files(tmp_path: Path) -> None:
    """H1, M6."""
    address, path = f"ipc://{tmp_path}/shard", tmp_path / "big.bin"
    path.write_bytes(BYTES)
    with trio.fail_after(30):
        async with served(address, MemoryStore()), open_trio_client(address) as client:
            assert await trio.to_thread.run_sync(blocking, address, path) == ["of/blocking"]
            assert await trio.to_thread.run_sync(with_asyncio, address) == BYTES
            await client.put_file(BYTES[::-1], "b.bin", file="of/trio")
            assert [one.file async for one in client.files()] == ["of/blocking", "of/trio"]
            async with sending(address, tmp_path) as process:
                files = process._files
                found = await files.get("of/trio")
                assert found is not None
                assert (found.data, found.view.name) == (BYTES[::-1], "b.bin")
                assert await files.get("of/nobody") is None
                again = await files.get("of/trio")
                assert again is not None
                assert again.data is found.data, "it was kept"
                view = await files.put(BYTES * 2, "offer.pdf", file="documents/7")
                stored = await client.get_file("documents/7")
                assert stored is not None
                assert (stored.data, stored.view.type) == (BYTES * 2, "application/pdf")
                assert stored.view.sha256 == view.sha256


async def test_uploads_and_downloads_go_on_when_the_shard_went_away_in_the_middle(tmp_path: Path) -> None:
    """M6; nothing is sent twice from the beginning."""
    address, store = f"ipc://{tmp_path}/shard", MemoryStore()
    with trio.fail_after(30):
        begin, _ = begin_file(BYTES, "big.bin")
        async with open_trio_client(address) as client:
            async with served(address, store):
                first = await client.do(begin)
                chunk = PutFileChunk("", upload=1, offset=0, data=BYTES[:CHUNK_BYTES])
                assert (await client.submit([chunk])) != [first]
            async with served(address, store), sending(address, tmp_path) as process:
                offsets: list[int] = []
                await client.put_file(BYTES, "big.bin", progress=lambda there, _: offsets.append(there))
                assert offsets[0] == CHUNK_BYTES
                found = await process._files.get("big.bin")
                assert found is not None
                assert found.data == BYTES
