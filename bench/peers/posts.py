"""POST requests of JSON over connections that are kept open, as cheap as Python can make them, so that the
server is what is measured: one task a connection, HTTP/1.1, no library around it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from bench import report


class Post(NamedTuple):
    """A request; `body` is JSON."""

    path: str
    body: bytes


async def post_for(
    port: int, connections: int, seconds: float, drawn: Iterator[Post], look: Callable[[int, bytes], None]
) -> tuple[int, float]:
    """Send for so long, wait for every answer; how many, and in what time. `look` is told status and body."""
    count = 0
    started_s = time.perf_counter()

    async def one() -> None:
        nonlocal count
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while time.perf_counter() - started_s < seconds:
                post = next(drawn)
                writer.write(
                    b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                    b"Content-Length: %d\r\n\r\n%b" % (post.path.encode(), len(post.body), post.body)
                )
                look(*await _answer(reader))
                count += 1
        finally:
            writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(one())
    return count, time.perf_counter() - started_s


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    status = int(head.split(" ", 2)[1])
    lines = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    if "content-length" in lines:
        return status, await reader.readexactly(int(lines["content-length"]))
    if lines.get("transfer-encoding") != "chunked":
        return status, b""
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return status, body


def must_be_good(status: int, body: bytes) -> None:
    """Raises `Failed` for an answer that is none of success."""
    if not 200 <= status < 300:
        raise report.Failed(f"a request was answered {status}: {body[:200]!r}")
