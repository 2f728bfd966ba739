"""The process around a sender: signals, the parent, the end.

Laws: on SIGTERM or SIGINT it takes no more, ends what is under way, sees its reports committed, and goes.
When its parent dies the kernel sends it SIGTERM; it also looks for itself, since a parent that died before
the request can't send any.
"""

import ctypes
import functools
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping

import trio

from stagewheel.errors import StagewheelError
from stagewheel.server.core.plan import Version
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.senders.config import ChannelsConfig
from stagewheel.server.senders.sender import SenderProcess

PARENT_LOOK_S = 1.0
PR_SET_PDEATHSIG = 1

_log = logging.getLogger(__name__)


def run_sender(
    shard_address: str,
    config: ChannelsConfig,
    store_id: str,
    name: str = "sender-0",
    parent_pid: int = 0,
) -> None:
    """The life of a sender process, to be called in a process of its own. `parent_pid`: end when it is gone
    (0: whoever the parent is now). Raises `OperatorError` for settings that can't work.
    """
    end_with_parent()
    process = functools.partial(
        SenderProcess, shard_address, config, store_id, name.encode(), _compile_version
    )
    try:
        trio.run(serve, process, parent_pid or os.getppid())
    except* StagewheelError as errors:
        raise _first(errors) from None


async def serve(build: Callable[[], SenderProcess], parent_pid: int) -> None:
    """Run a sender process until SIGTERM or SIGINT comes or its parent is gone, and let it end its work."""
    process = build()
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            nursery.start_soon(process.run)
            async with trio.open_nursery() as watchers:
                watchers.start_soon(_wait_orphaned, parent_pid, watchers.cancel_scope)
                async for _ in signals:
                    watchers.cancel_scope.cancel()
                    break
            await process.close()
        for statistics in process.statistics():
            _log.info("%s", statistics)
        nursery.cancel_scope.cancel()


async def _wait_orphaned(parent_pid: int, scope: trio.CancelScope) -> None:
    """Cancel the scope when the parent is gone."""
    while os.getppid() == parent_pid:  # noqa: ASYNC110 - a parent's death is no event of ours
        await trio.sleep(PARENT_LOOK_S)
    scope.cancel()


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent dies. Linux only; elsewhere the look at the parent has to
    do.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _compile_version(files: Mapping[str, str], number: int) -> Version:
    version, _ = compile_ruleset(dict(files), number)
    return version


def _first(errors: BaseExceptionGroup[StagewheelError]) -> StagewheelError:
    """Nurseries wrap what ends them; one of our errors is all there is to say."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, StagewheelError)
    return error
