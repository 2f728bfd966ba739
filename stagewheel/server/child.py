"""What the entry of every child process does: hears who it is, works, and tells why it could not.

Laws: the first line of standard input is the role, and nothing of the lifeline behind it is read; an error
that starting again can't mend ends the process with `EXIT_FINAL`. What was imported stays until the end, so
the collector of cycles never looks at it again: its pauses and the end of the process are shorter.
"""

import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from stagewheel.errors import StagewheelError
from stagewheel.server.lifeline import LIFELINE_FD
from stagewheel.server.supervisor import EXIT_FINAL, Role

log = logging.getLogger("stagewheel")


def run_child(work: Callable[[Role], None], final: type[StagewheelError] = StagewheelError) -> int:
    """The whole life; its exit status. Errors that are not `final` may be mended by starting again."""
    # Ctrl-C reaches the whole group; the supervisor decides the order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    role = msgspec.json.decode(_first_line(), type=Role)
    gc.freeze()
    try:
        work(role)
    except StagewheelError as error:
        log.error("%s: %s", role.name, error)
        return EXIT_FINAL if isinstance(error, final) else 1
    return 0


def say(what: dict[str, Any]) -> None:
    """One line of JSON for the supervisor."""
    try:
        os.write(sys.stdout.fileno(), json.dumps(what).encode() + b"\n")
    except BrokenPipeError:
        pass  # it is gone, which the lifeline tells in a moment


def _first_line() -> bytes:
    """What the supervisor says first; read byte by byte, so that nothing of the lifeline is buffered."""
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(LIFELINE_FD, 1)):
        line += byte
    return line
