"""PDFs, made in processes of their own: one for each sender of the pool, begun when it is needed.

Laws: a document that takes longer than its time is given up, and its process killed: no template holds up a
sender process, or uses up its memory. A process gets no environment but where programs lie, so it knows no
secret. Who dies on a document dies for that document alone.
"""

import os
import struct
import subprocess
import sys
from typing import Final

import msgspec
import trio

from stagewheel.server.limits import MADE_BYTES_MAX

LENGTH: Final = struct.Struct(">I")
HEAD: Final = struct.Struct(">BI")
CHILD: Final = "stagewheel.server.channels.pdf_process"
KEPT: Final = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG")
REASON_BYTES_MAX: Final = 10_000


class PdfJob(msgspec.Struct):
    """As `pdf.PdfJob`, which only the process that makes them loads."""

    html: str
    title: str
    page: str
    at_ms: int
    pictures: dict[str, bytes] = {}
    fonts: dict[str, str] = {}


class Broken(Exception):
    """The process died, or answers nonsense."""


class Press:
    """The processes of a channel, by sender."""

    def __init__(self, render_s: float) -> None:
        self._render_s = render_s
        self._processes: dict[int, trio.Process] = {}

    async def make(self, sender: int, job: PdfJob) -> bytes | str:
        """The PDF, or why there is none. Raises Broken."""
        process = self._processes.pop(sender, None)
        try:
            with trio.fail_after(self._render_s):
                if process is None or process.poll() is not None:
                    process = await _begin()
                answer = await _ask(process, msgspec.msgpack.encode(job))
        except trio.TooSlowError:
            await _end(process)
            return f"making the document took longer than {self._render_s:g} s"
        except (trio.BrokenResourceError, trio.ClosedResourceError, Broken):
            await _end(process)
            raise Broken from None
        except BaseException:
            await _end(process)
            raise
        self._processes[sender] = process
        return answer

    async def close_sender(self, sender: int) -> None:
        """End the process of a sender."""
        await _end(self._processes.pop(sender, None))

    async def aclose(self) -> None:
        """End all of them."""
        for sender in list(self._processes):
            await self.close_sender(sender)


async def _begin() -> trio.Process:
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    return await trio.lowlevel.open_process(
        [sys.executable, "-m", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )


async def _ask(process: trio.Process, job: bytes) -> bytes | str:
    assert process.stdin is not None
    await process.stdin.send_all(LENGTH.pack(len(job)) + job)  # it reads all before it answers
    is_made, length = HEAD.unpack(await _exactly(process, HEAD.size))
    if length > (MADE_BYTES_MAX if is_made else REASON_BYTES_MAX):
        raise Broken
    answer = await _exactly(process, length)
    return answer if is_made else answer.decode("utf-8", "replace")


async def _exactly(process: trio.Process, count: int) -> bytes:
    assert process.stdout is not None
    data = bytearray()
    while len(data) < count:
        part = await process.stdout.receive_some(count - len(data))
        if not part:
            raise Broken
        data += part
    return bytes(data)


async def _end(process: trio.Process | None) -> None:
    if process is None:
        return
    with trio.CancelScope(shield=True):
        process.kill()
        await process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                await stream.aclose()
