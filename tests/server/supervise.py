"""The process of a supervisor that a test starts, on loopback: what `harness.py` talks with.

Laws: it ends with the test that started it, whose end closes its standard input. It is a module of its own
because a supervisor knows neither clients nor sockets: it starts in two thirds of the time without them.
"""

import json
import os
import signal
import sys

import msgspec

from stagewheel.errors import StagewheelError
from stagewheel.server.config import ServerConfig


class Start(msgspec.Struct):
    """What the supervisor's process is told on its standard input."""

    config: ServerConfig
    child: str = ""
    arguments: tuple[str, ...] = ()


def main() -> int:
    """The life of the supervisor."""
    # Imported here: tests that only say what to start need none of it.
    import trio

    from stagewheel.server.supervisor import Supervisor

    async def serve(supervisor: Supervisor) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(end_with_test)
            await supervisor.run()
            nursery.cancel_scope.cancel()

    async def end_with_test() -> None:
        """The standard input stays open as long as the test lives."""
        await trio.lowlevel.wait_readable(sys.stdin.fileno())
        os.kill(os.getpid(), signal.SIGTERM)

    start = msgspec.json.decode(sys.stdin.buffer.readline(), type=Start)
    command = (sys.executable, "-m", start.child or "stagewheel.server.app", *start.arguments)
    edge = (sys.executable, "-m", "stagewheel.cli.edge_process")
    inbound = (sys.executable, "-m", "stagewheel.cli.inbound_process")
    supervisor = Supervisor(
        start.config, lambda ready: print(json.dumps(ready), flush=True), command, edge, inbound
    )
    try:
        trio.run(serve, supervisor)
    except StagewheelError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
