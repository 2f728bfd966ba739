"""How a child process learns that it is to end: SIGTERM, or the end of its lifeline.

The lifeline is a pipe whose other end only the supervisor holds (the child's standard input). When the
supervisor dies, by whatever means, the kernel closes it, and the child reads its end at once. Why not
PR_SET_PDEATHSIG: that signal comes when the *thread* that started the child ends, and a pool's thread ends
after ten idle seconds.
"""

import os
import signal

import trio

LIFELINE_FD = 0


async def wait_end(lifeline_fd: int = LIFELINE_FD) -> None:
    """Returns when this process is to end."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_wait_signal, nursery.cancel_scope)
        while True:
            await trio.lowlevel.wait_readable(lifeline_fd)
            if not os.read(lifeline_fd, 4096):
                break
        nursery.cancel_scope.cancel()


async def _wait_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()
            return
