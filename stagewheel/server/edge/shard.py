"""The edge's way to the shards: commands go to a client, within bounds, and what comes back is known or 503.

Laws: an answer is the shard's durable one or there is none. No more than `EDGE_UNDER_WAY_MAX` requests wait
for it. When one has waited in vain its shard is *away*: whoever comes to that shard then is refused at once
and nothing of his is sent, until a question is answered again; so nothing piles up that would be done hours
later. What is another shard's goes on. A session that is over for good ends the process, and the supervisor
begins another.

Why a protocol and not the client: a server's room must not import the client library; `cli/edge_process.py`,
which may import both, opens a client and hands it in. The client has its own bounds and resends by itself;
its name makes that safe, also over restarts of the shard.
"""

import logging
from collections.abc import Sequence
from io import BytesIO
from typing import Any, BinaryIO, Final, Protocol

import trio

from stagewheel.errors import CallerError, StagewheelError
from stagewheel.protocol.errors import NotTaken, QueryRefused, TimedOut, TooLarge, TooMuchOutstanding
from stagewheel.protocol.files import FileChanged, FileDamaged, FileView
from stagewheel.protocol.messages import AnyCommand, Result
from stagewheel.protocol.partitions import DIRECTORY, even_owners
from stagewheel.protocol.routing import needed
from stagewheel.server.edge.answers import Refusal
from stagewheel.server.limits import EDGE_UNDER_WAY_MAX

log = logging.getLogger("stagewheel.edge")
BUSY_AGAIN_S: Final = 1
AWAY_AGAIN_S: Final = 5


class Stored(Protocol):
    """A stored file without its bytes."""

    @property
    def view(self) -> FileView:
        """What is known of it."""


class Shard(Protocol):
    """What the edge needs of a client."""

    async def submit(self, commands: Sequence[AnyCommand], wait_applied: bool = False) -> list[Result]:
        """Send a batch and wait for its results. Raises StagewheelError."""

    async def statistics(self, shard: int = -1) -> dict[str, Any]:
        """What a shard has done. Raises StagewheelError."""

    async def get_file(self, file: str, into: BinaryIO | None = None) -> Stored | None:
        """A stored file, written to `into`; None if there is none. Raises StagewheelError."""


class _Bounded(BytesIO):
    """Takes so many bytes."""

    def __init__(self, bytes_max: int) -> None:
        super().__init__()
        self._bytes_max = bytes_max

    def write(self, data: Any) -> int:
        """Raises _TooMuch."""
        if self.tell() + memoryview(data).nbytes > self._bytes_max:
            raise _TooMuch
        return super().write(data)


class _TooMuch(Exception):
    """A file is larger than it may be."""


class Gate:
    """The shards as the routes see them."""

    def __init__(self, shard: Shard, under_way_max: int = EDGE_UNDER_WAY_MAX, shards: int = 1) -> None:
        self._shard, self._under_way_max = shard, under_way_max
        self._owners = even_owners(shards)
        self.count = shards
        self.under_way = 0
        self.away: set[int] = set()
        self.error: StagewheelError | None = None  # why there will be no answer any more
        self._look = trio.Event()  # set when a shard is away and has to be asked

    async def submit(self, commands: Sequence[AnyCommand]) -> list[Result]:
        """The results, which are durable. Raises `Refusal`."""
        wanted = needed(commands, self._owners)
        if self.away & wanted:
            raise Refusal(
                503, "shard_away", "the server does not answer; nothing was sent to it", AWAY_AGAIN_S
            )
        if self.under_way >= self._under_way_max:
            raise Refusal(503, "busy", "too many requests wait; nothing of this one was done", BUSY_AGAIN_S)
        self.under_way += 1
        try:
            return await self._shard.submit(commands)
        except TooMuchOutstanding:
            raise Refusal(
                503, "busy", "too many requests wait; nothing of this one was done", BUSY_AGAIN_S
            ) from None
        except TooLarge:
            raise Refusal(413, "too_large", "the event does not fit into one message") from None
        except NotTaken:
            raise Refusal(422, "bad_value", "the event holds what can't be taken") from None
        except StagewheelError as error:
            if type(error) is CallerError:  # its values, not the session
                raise Refusal(422, "bad_value", "the event holds a value that can't be sent") from None
            log.warning("no answer of shard %s: %s", shown(wanted), type(error).__name__)
            self._lose(wanted)
            why = "the server did not answer in time; the event may still be taken"
            raise Refusal(503, "unknown", why, AWAY_AGAIN_S) from None
        finally:
            self.under_way -= 1

    async def statistics(self, wait_s: float) -> list[dict[str, Any] | None]:
        """The numbers of each shard; None where it does not answer in time."""
        found: list[dict[str, Any] | None] = [None] * self.count

        async def ask(shard: int) -> None:
            with trio.move_on_after(wait_s):
                try:
                    found[shard] = await self._shard.statistics(shard)
                except StagewheelError:
                    self._lose({shard})

        async with trio.open_nursery() as nursery:
            for shard in {*range(self.count)} - self.away:
                nursery.start_soon(ask, shard)
        return found

    async def file(self, file: str, bytes_max: int) -> tuple[FileView, bytes] | None:
        """A stored file of at most so many bytes; None: it is not there, or larger. Raises `Refusal`."""
        if DIRECTORY in self.away:
            raise Refusal(503, "shard_away", "the server does not answer", AWAY_AGAIN_S)
        into = _Bounded(bytes_max)
        try:
            found = await self._shard.get_file(file, into)
        except _TooMuch:
            return None
        except (FileChanged, FileDamaged, TooMuchOutstanding, QueryRefused):
            raise Refusal(503, "busy", "the file can't be read now", BUSY_AGAIN_S) from None
        except StagewheelError as error:
            log.warning("no answer of the shard: %s", type(error).__name__)
            self._lose({DIRECTORY})
            raise Refusal(503, "unknown", "the server did not answer in time", AWAY_AGAIN_S) from None
        return (found.view, into.getvalue()) if found is not None else None

    async def watch(self) -> None:
        """While a shard is away, ask until it answers. Returns when the session is over, with `error`."""
        while True:
            await self._look.wait()
            for shard in sorted(self.away):
                try:
                    await self._shard.statistics(shard)
                except (TimedOut, TooMuchOutstanding):
                    continue  # each question waits by itself
                except StagewheelError as error:  # fenced, or a server that breaks the protocol
                    self.error = error
                    return
                log.info("shard %s answers again", shard)
                self.away.discard(shard)
            if not self.away:
                self._look = trio.Event()

    def _lose(self, shards: set[int]) -> None:
        self.away |= shards
        self._look.set()


def shown(shards: set[int]) -> str:
    """For the log."""
    return ", ".join(map(str, sorted(shards)))
