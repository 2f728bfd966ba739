"""Virtual time: in scenarios, simulations and tests a clock goes on when it is told to, moment by moment."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn


def advance(turn: "Turn", until_ms: int) -> None:
    """Virtual time: everything due until then happens at its own moment, in order."""
    engine = turn.engine
    while True:
        if engine.background.holds.has_work():
            engine.background.holds.slice(turn)
            continue
        if engine.background.relooks.has_work():
            engine.background.relooks.slice(turn)
            continue
        if engine.backlog.has_work():
            turn.flush()
            taken = engine.backlog.take(turn.transaction, 256)
            turn.load({key for key, _, _ in taken})
            turn.mailboxes(taken)
            continue
        due = engine.next_timers(turn, until_ms)
        if not due:
            break
        turn.now_ms = max(turn.now_ms, due[0][0])
        turn.flush()  # a batch deletes before it puts, and these rows may be of this very turn
        turn.timers(due)
    turn.now_ms = max(turn.now_ms, until_ms)
