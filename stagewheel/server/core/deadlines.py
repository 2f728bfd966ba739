"""Deadlines of what an item holds besides its steps (tasks, activities): timers of the item, not of its entry
(7.7).

Laws: a deadline is a timer under a step number of its own, and `More.deadlines` says whose it is ("task:12",
"activity:7"). What is not there any more fires for nobody: to stop a deadline is to forget its number, and to
move one is to stop it and start another, so no two moments share a number. An entry that ends, a restart of
the server, an enrolment, a hold: none of them looks here. A deleted item forgets all of them with its row; a
key that is created again goes on with its step numbers, so an old timer finds nobody.

`decide.py` holds the table of what a deadline does, by kind. A moment that has passed fires at once, as a
message of its own, and not within the decision that started it.
"""

from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import StartTimer

TASK, ACTIVITY = "task", "activity"  # kinds


def start(d: Deciding, kind: str, number: int, due_ms: int) -> int:
    """Let the deadline of task or activity `number` fire at `due_ms`; the step number that stops it."""
    step = d.next_step()
    d.set_more(deadlines={**d.more.deadlines, step: f"{kind}:{number}"})
    d.effects.append(StartTimer(max(due_ms, 1), step))  # a timer's row knows no moment before 1970
    return step


def stop(d: Deciding, step: int) -> None:
    """Forget a deadline. One that has fired, or 0, is none."""
    if step in d.more.deadlines:
        d.set_more(deadlines={no: whose for no, whose in d.more.deadlines.items() if no != step})


def take(d: Deciding, step: int) -> tuple[str, int] | None:
    """The deadline of a timer that fired: its kind, and whose it is. It is forgotten with that. None: the
    timer is no deadline's, or its deadline was stopped.
    """
    whose = d.more.deadlines.get(step)
    if whose is None:
        return None
    stop(d, step)
    kind, _, number = whose.partition(":")
    return kind, int(number)
