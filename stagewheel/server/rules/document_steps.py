"""The documents of workflow steps that are no actions.

Laws: those of `document.py`.
"""

from typing import Any, ClassVar, Literal

from msgspec import field

from stagewheel.server.rules.document import Condition, Doc, Hours, Id, Name, Steps


class StepFrame(Doc):
    """What an action has besides when it is a step."""

    what: ClassVar[str] = "a step"
    name: str = ""
    when: Condition = None
    on_failure: Literal["stop", "continue"] = "stop"
    wait: bool = True


class BranchDoc(Doc):
    """One branch of an `if`."""

    what: ClassVar[str] = "a branch"
    when: Condition
    steps: Steps


class IfDoc(Doc):
    """W2."""

    what: ClassVar[str] = "an 'if' step"
    do: str
    branches: list[Any]  # BranchDoc
    otherwise: Steps = field(name="else", default_factory=list)
    name: str = ""


class WhileDoc(Doc):
    """W7."""

    what: ClassVar[str] = "a 'while' step"
    do: str
    when: Condition
    steps: Steps
    name: str = ""


class PauseDoc(Doc):
    """W5."""

    what: ClassVar[str] = "a 'pause' step"
    do: str
    length: str | None = field(name="for", default=None)
    until: str | None = None
    time: str | None = None
    hours: Hours | None = None
    name: str = ""


class StopDoc(Doc):
    """W6."""

    what: ClassVar[str] = "a 'stop' step"
    do: str
    when: Condition = None
    reason: str = ""
    name: str = ""


class ThreadDoc(Doc):
    """One branch of a `parallel`."""

    what: ClassVar[str] = "a branch of 'parallel'"
    steps: Steps


class ParallelDoc(Doc):
    """W8."""

    what: ClassVar[str] = "a 'parallel' step"
    do: str
    branches: list[Any]  # ThreadDoc
    wait: Literal["all", "first"] = "all"
    on_failure: Literal["stop", "continue"] = "stop"
    name: str = ""


class WaitForDoc(Doc):
    """W9. The setting of its event (`form`, `status`, …) stands beside, as in a trigger."""

    what: ClassVar[str] = "a 'wait_for' step"
    do: str
    event: str = ""
    code: str = ""
    fields: list[Name] = []
    when: Condition = None
    timeout: str | None = None
    on_timeout: Steps = []
    name: str = ""


class RunStepDoc(Doc):
    """W10, as a step."""

    what: ClassVar[str] = "a 'run_workflow' step"
    do: str
    workflow: Id
    vars: dict[Name, Any] = {}
    wait: bool = False
    when: Condition = None
    on_failure: Literal["stop", "continue"] = "stop"
    name: str = ""


STEPS: dict[str, type[Doc]] = {
    "if": IfDoc,
    "while": WhileDoc,
    "pause": PauseDoc,
    "stop": StopDoc,
    "parallel": ParallelDoc,
    "wait_for": WaitForDoc,
    "run_workflow": RunStepDoc,
}
FRAMED: tuple[type[Doc], ...] = (BranchDoc, ThreadDoc)  # read where they stand, so that no Struct names them
