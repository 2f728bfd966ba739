"""Two runs at once: the second in a process of its own, so that two processors are used.

Laws: a run's outcome is the same bytes in whichever process it ran; an error of ours in the other process is
raised here, and the other process ends with this one: it stops at the next word that nobody reads.
"""

from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Final

import msgspec

from stagewheel.errors import CallerError, InternalError, RuleError, StagewheelError
from stagewheel.server.backtest.run import Job, OnProgress, Outcome, Run

PROGRESS: Final = b"p"
OUTCOME: Final = b"o"
RULES_WRONG: Final = b"r"
FAILED: Final = b"f"

_encode = msgspec.msgpack.Encoder().encode
_decode_outcome = msgspec.msgpack.Decoder(Outcome).decode
_decode_job = msgspec.msgpack.Decoder(Job).decode


def run_both(here: Job, there: Job, on_progress: Callable[[int, int], None]) -> tuple[Outcome, Outcome]:
    """Run both jobs. `on_progress` is told (0 or 1, commands so far). Raises what the runs raise."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=run_there, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        ours.send_bytes(_encode(there))
        other: list[Outcome] = []

        def progressed(count: int) -> None:
            on_progress(0, count)
            while not other and ours.poll():
                _hear(ours, other, on_progress)

        first = Run(here).play(progressed)
        on_progress(0, here.history.commands)
        while not other:
            _hear(ours, other, on_progress)
        on_progress(1, there.history.commands)
        return first, other[0]
    except (EOFError, BrokenPipeError, ConnectionResetError):
        process.join()
        raise InternalError(f"the process of the other run ended with status {process.exitcode}") from None
    finally:
        ours.close()
        process.terminate()
        process.join()


def _hear(ours: Connection, other: list[Outcome], on_progress: Callable[[int, int], None]) -> None:
    """One message of the other process."""
    message = ours.recv_bytes()
    kind, rest = message[:1], message[1:]
    if kind == PROGRESS:
        on_progress(1, int(rest))
    elif kind == OUTCOME:
        other.append(_decode_outcome(rest))
    elif kind == RULES_WRONG:
        raise RuleError(rest.decode())
    else:
        raise CallerError(rest.decode())


def run_there(pipe: Connection) -> None:
    """The life of the other process."""
    try:
        job = _decode_job(pipe.recv_bytes())
        outcome = Run(job).play(_teller(pipe))
        pipe.send_bytes(OUTCOME + _encode(outcome))
    except StagewheelError as error:
        pipe.send_bytes((RULES_WRONG if isinstance(error, RuleError) else FAILED) + str(error).encode())
    except (EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        return  # whoever wanted this has gone


def _teller(pipe: Connection) -> OnProgress:
    def tell(count: int) -> None:
        pipe.send_bytes(PROGRESS + b"%d" % count)

    return tell
