"""The process around a sender: its beginning and its end.

Laws: when it is told to end (`server/lifeline.py`) it takes no more, ends what is under way, sees its reports
committed, and goes.
"""

import functools
import logging
from collections.abc import Callable, Mapping

import trio

from stagewheel.errors import StagewheelError, first_of
from stagewheel.server.core.plan import Version
from stagewheel.server.lifeline import LIFELINE_FD, wait_end
from stagewheel.server.links import Links
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.senders.config import ChannelsConfig
from stagewheel.server.senders.sender import SenderProcess

_log = logging.getLogger(__name__)


def run_sender(
    shard_address: str,
    config: ChannelsConfig,
    store_id: str,
    name: str = "sender-0",
    lifeline_fd: int = LIFELINE_FD,
    links: Links | None = None,
) -> None:
    """The life of a sender process, to be called in a process of its own; it ends with its lifeline
    (`server/lifeline.py`). Raises `OperatorError` for settings that can't work.
    """
    process = functools.partial(
        SenderProcess, shard_address, config, store_id, name.encode(), _compile_version, links=links
    )
    try:
        trio.run(serve, process, lifeline_fd)
    except* StagewheelError as errors:
        raise first_of(errors) from None


async def serve(build: Callable[[], SenderProcess], lifeline_fd: int) -> None:
    """Run a sender process until it is told to end, and let it end its work."""
    process = build()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(process.run)
        await wait_end(lifeline_fd)
        await process.close()
        for statistics in process.statistics():
            _log.info("%s", statistics)
        nursery.cancel_scope.cancel()


def _compile_version(files: Mapping[str, str], number: int) -> Version:
    version, _ = compile_ruleset(dict(files), number)
    return version
