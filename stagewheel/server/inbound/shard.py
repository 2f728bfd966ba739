"""The listener's way to the shard: commands go to a client of the client library, and what comes back is the
shard's durable answer or `Away`.

Laws: those of the edge's gate (`edge/shard.py`), in asyncio. When a mail has waited in vain the shard is
away: the next ones are refused at once, and nothing of them is sent, until a question is answered again. A
session that is over for good ends the process, and the supervisor begins another.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Protocol

from stagewheel.errors import CallerError, StagewheelError
from stagewheel.protocol.errors import NotTaken, TimedOut, TooLarge, TooMuchOutstanding
from stagewheel.protocol.messages import AnyCommand, Result

log = logging.getLogger("stagewheel.inbound")


class Shard(Protocol):
    """What mail in needs of a client."""

    async def submit(self, commands: Sequence[AnyCommand], wait_applied: bool = False) -> list[Result]:
        """Send a batch and wait for its results. Raises StagewheelError."""

    async def statistics(self) -> dict[str, Any]:
        """What the shard has done. Raises StagewheelError."""


class Away(Exception):
    """There is no answer; the mail has to come again. What was sent may still be taken, once."""


class Unfit(Exception):
    """What the mail became can't be sent: the mail's fault."""


class Gate:
    """The shard as the listener sees it."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self.away = False
        self._look = asyncio.Event()  # set when the shard is away and has to be asked

    async def submit(self, commands: Sequence[AnyCommand]) -> list[Result]:
        """The results, which are durable. Raises `Away`, `Unfit`."""
        if self.away:
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
            log.warning("no answer of the shard: %s", type(error).__name__)
            self.away = True
            self._look.set()
            raise Away from None

    async def watch(self) -> StagewheelError:
        """While the shard is away, ask until it answers. Returns why there will be no answer any more."""
        while True:
            await self._look.wait()
            try:
                await self._shard.statistics()
            except (TimedOut, TooMuchOutstanding):
                continue  # each question waits by itself
            except StagewheelError as error:  # fenced, or a server that breaks the protocol
                return error
            log.info("the shard answers again")
            self.away = False
            self._look.clear()
