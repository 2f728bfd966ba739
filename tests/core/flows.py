"""For tests of workflows: a ruleset with one, and what became of its instances."""

import textwrap
from typing import Any

from stagewheel.protocol.journal import WorkflowEnded, WorkflowStepped
from tests.core.play import Play, deals

STAGES = """
- {id: new}
- {id: work, rules: [{id: r, action: {do: add_history, text: stage rule}}]}
- {id: end}
"""


def flows(workflows: str, stages: str = STAGES) -> Play:
    """A play with these workflows of deals; `workflows` is YAML from the margin, without `pipeline`."""
    lines = textwrap.dedent(workflows).strip("\n").splitlines()
    body = "".join(
        f"  {line}\n" + ("    pipeline: deals\n" if line[:1] not in ("", " ", "#") else "") for line in lines
    )
    return Play(deals(stages, "workflows:\n" + body))


def ended(play: Play, key: str = "deal:1") -> list[tuple[str, str, str]]:
    """(workflow, outcome, reason) of every instance that ended, in order."""
    return [(one.workflow, one.outcome, one.reason) for one in play.did(WorkflowEnded, key)]


def stepped(play: Play, what: str) -> list[tuple[str, str, str]]:
    """(branch, outcome, reason) of every step of this name that was decided."""
    steps: list[Any] = play.did(WorkflowStepped)
    return [(one.branch, one.outcome, one.reason) for one in steps if one.what == what]


def places(play: Play, key: str = "deal:1") -> list[tuple[str, str, str]]:
    """(branch, step, what it waits for or its state) of all that waits."""
    item = play.drive.item(key)
    assert item is not None
    return [(one.branch, one.rule, one.what or one.state) for one in item.waiting]
