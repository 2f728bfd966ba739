"""Facts of tasks (E5, E6, 7.7). Laws: those of `journal.py`, from where everybody imports these names."""

from typing import Any

from stagewheel.protocol.facts import Fact


class TaskPut(Fact, tag=50):
    """A task came to be, or was replaced: all that it is (`task` has the names of `TaskView`, and no empty
    value).
    """

    rule: str  # or workflow; empty: a command
    number: int
    task: dict[str, Any]
    by: int = 0
    replaced: bool = False


class TaskChanged(Fact, tag=51):
    """New values of a task, by the names of `TaskView`. `before` is its status before, where that changed.

    `why`: "" a command, "deadline" it passed, or what moved it ("moved deadline").
    """

    number: int
    changes: dict[str, Any]
    before: str = ""
    rule: str = ""
    by: int = 0
    why: str = ""
    name: str = ""


class TasksClosed(Fact, tag=52):
    """What closing tasks found (E6): the numbers of those that it completed."""

    rule: str
    numbers: list[int]
