"""The listener's way to the shards: commands go to a client of the client library, and what comes back is a
shard's durable answer or `Away`.

Laws: those of the edge's gate (`edge/shard.py`), in asyncio. When a mail has waited in vain its shard is
away: the next ones for it are refused at once, and nothing of them is sent, until a question is answered
again; what is another shard's goes on. A session that is over for good ends the process, and the supervisor
begins another.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Protocol

from stagewheel.errors import CallerError, StagewheelError
from stagewheel.protocol.errors import NotTaken, TimedOut, TooLarge, TooMuchOutstanding
from stagewheel.protocol.messages import AnyCommand, Result
from stagewheel.protocol.partitions import even_owners
from stagewheel.protocol.routing import needed

log = logging.getLogger("stagewheel.inbound")


class Shard(Protocol):
    """What mail in needs of a client."""

    async def submit(self, commands: Sequence[AnyCommand], wait_applied: bool = False) -> list[Result]:
        """Send a batch and wait for its results. Raises StagewheelError."""

    async def statistics(self, shard: int = -1) -> dict[str, Any]:
        """What a shard has done. Raises StagewheelError."""


class Away(Exception):
    """There is no answer; the mail has to come again. What was sent may still be taken, once."""


class Unfit(Exception):
    """What the mail became can't be sent: the mail's fault."""


class Gate:
    """The shards as the listener sees them."""

    def __init__(self, shard: Shard, shards: int = 1) -> None:
        self._shard = shard
        self._owners = even_owners(shards)
        self.away: set[int] = set()
        self._look = asyncio.Event()  # set when a shard is away and has to be asked

    async def submit(self, commands: Sequence[AnyCommand]) -> list[Result]:
        """The results, which are durable. Raises `Away`, `Unfit`."""
        wanted = needed(commands, self._owners)
        if self.away & wanted:
            raise Away
        try:
            return await self._shard.submit(commands)
        except TooMuchOutstanding:
            raise Away from None
        except (TooLarge, NotTaken):
            raise Unfit from None
        except StagewheelError as error:
            if type(error) is CallerError:  # its values, not the session
                raise Unfit from None
            which = ", ".join(map(str, sorted(wanted)))
            log.warning("no answer of shard %s: %s", which, type(error).__name__)
            self.away |= wanted
            self._look.set()
            raise Away from None

    async def watch(self) -> StagewheelError:
        """While a shard is away, ask until it answers. Returns why there will be no answer any more."""
        while True:
            await self._look.wait()
            for shard in sorted(self.away):
                try:
                    await self._shard.statistics(shard)
                except (TimedOut, TooMuchOutstanding):
                    continue  # each question waits by itself
                except StagewheelError as error:  # fenced, or a server that breaks the protocol
                    return error
                log.info("shard %s answers again", shard)
                self.away.discard(shard)
            if not self.away:
                self._look.clear()
