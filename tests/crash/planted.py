"""Children with a mistake planted in them, or that die at an exact moment: what the crash test must see.

    python -m tests.crash.planted NAME[,NAME…] ROLE

The supervisor starts this in place of `stagewheel.server.app` (its `command`); the product has no switch for
any of it. Each name replaces one method or two, the rest of the process is the real one. A moment to die at
comes once in the life of a data folder: a file in it remembers, so that the next life goes on.
"""

import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from stagewheel.protocol.messages import RaiseEvent, UpdateItem
from stagewheel.server import app
from stagewheel.server.actors import engine as engine_module
from stagewheel.server.actors.engine import Engine
from stagewheel.server.actors.turn import Turn
from stagewheel.server.core import decide as deciding
from stagewheel.server.ingress import admission
from stagewheel.server.ingress.admission import Admit, Repeat
from stagewheel.server.ingress.router import Router
from stagewheel.server.supervisor import Role
from stagewheel.server.timers.near import NearWindow, Read

LOST_WINDOW_MS: Final = 60_000  # of the server's clock
DYING_TURN: Final = 12  # the turn with commands in which a moment to die comes
SLOW_COMMIT_MS: Final = 100  # a disk that takes its time: the answers are with the client before it fails
BOOM: Final = -1  # a value of the field `n` that a planted decision can't bear

engines: dict[int, Router] = {}  # id of an engine -> its router, which holds the socket


# ---------------------------------------------------------------- mistakes


def answer_before_commit() -> None:
    """A turn's answers leave before its commit."""
    remember_routers()
    write = Engine._write

    def write_late(self: Engine, turn: Turn) -> bool:
        for frame in turn.frames:
            engines[id(self)].socket.send_nowait(*frame)
        turn.frames.clear()
        return write(self, turn)

    replace(Engine, "_write", write_late)


def lost_timer_window() -> None:
    """A shard that starts reads the timer table from a minute ahead."""
    reset = NearWindow.reset

    def reset_ahead(self: NearWindow, read: Read, now_ms: int) -> None:
        mark = (now_ms + LOST_WINDOW_MS).to_bytes(8, "big")
        reset(self, lambda start, end, limit: read(max(start, mark), end, limit), now_ms)

    replace(NearWindow, "reset", reset_ahead)


def sequence_used_twice() -> None:
    """A Submit that was taken already is taken once more."""
    judge = admission.judge

    def judge_anew(producer: Any, *others: Any) -> Any:
        verdict = judge(producer, *others)
        if isinstance(verdict, Repeat) and producer is not None:
            return Admit(producer, producer.acknowledged, producer.acknowledged)
        return verdict

    replace(engine_module, "judge", judge_anew)


def failing_decide() -> None:
    """Deciding an update that sets `n` to BOOM fails with a bug."""
    decide = deciding.decide

    def decide_or_fail(item: Any, message: Any, *others: Any) -> Any:
        if isinstance(message, UpdateItem) and message.fields.get("n") == BOOM:
            raise ZeroDivisionError("planted")
        return decide(item, message, *others)

    replace(engine_module, "decide", decide_or_fail)


# ---------------------------------------------------------------- moments to die at


def dies_before_commit() -> None:
    """SIGKILL in the middle of a commit that takes long."""
    write = Engine._write

    def write_and_die(self: Engine, turn: Turn) -> bool:
        wrote = write(self, turn)
        if turn.admitted and self.tally.submits >= DYING_TURN:
            die_once("before-commit")
        return wrote

    replace(Engine, "_write", write_and_die)


def dies_after_commit() -> None:
    """SIGKILL between a commit and its answers; one is of an event, which shows when it comes twice."""
    turn = Engine.turn

    def turn_and_die(self: Engine, inbound: Any) -> Any:
        outbound = turn(self, inbound)
        commands = [type(command) for _, submit, _ in inbound.submits for command in submit.commands]
        if RaiseEvent in commands and self.tally.submits >= DYING_TURN:
            die_once("after-commit")
        return outbound

    replace(Engine, "turn", turn_and_die)


def dies_after_accepted() -> None:
    """SIGKILL after a turn that left messages in mailboxes which the next one would decide."""
    step = Router._turn

    def step_and_die(self: Router, inbound: Any) -> None:
        step(self, inbound)
        if self.engine.backlog.counts and self.engine.backlog.has_work():
            die_once("after-accepted")

    replace(Router, "_turn", step_and_die)


PLANTED: Final[dict[str, Callable[[], None]]] = {
    "answer-before-commit": answer_before_commit,
    "lost-timer-window": lost_timer_window,
    "sequence-used-twice": sequence_used_twice,
    "failing-decide": failing_decide,
    "dies-before-commit": dies_before_commit,
    "dies-after-commit": dies_after_commit,
    "dies-after-accepted": dies_after_accepted,
}

# ---------------------------------------------------------------- how it is done

folder = Path()


def replace(owner: Any, name: str, by: Any) -> None:
    """Put a function in the place of another one, which must be there."""
    assert hasattr(owner, name), f"nothing to plant in: {owner} has no {name} any more"
    setattr(owner, name, by)


def remember_routers() -> None:
    """Let an engine's replacement find the socket."""
    begin = Router.__init__

    def begin_known(self: Router, engine: Engine, *others: Any) -> None:
        begin(self, engine, *others)
        engines[id(engine)] = self

    replace(Router, "__init__", begin_known)


def die_once(name: str) -> None:
    """End as by a loss of power, after a moment in which what was sent arrives; only in one life."""
    mark = folder / f"died-{name}"
    if not mark.exists():
        mark.touch()
        select.select([], [], [], SLOW_COMMIT_MS / 1000)
        os.kill(os.getpid(), signal.SIGKILL)


def knows_folder(run_shard: Callable[[Role], None]) -> Callable[[Role], None]:
    """A shard's life, with the data folder known to what was planted."""

    def run(role: Role) -> None:
        global folder
        folder = Path(role.config.data)
        run_shard(role)

    return run


def main(arguments: list[str]) -> int:
    """Plant, then live as the product's own child does."""
    names, *role = arguments
    replace(app, "run_shard", knows_folder(app.run_shard))
    for name in names.split(","):
        PLANTED[name]()
    return app.main(role)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
