"""What came of an action, and who asked for it: the words that rules, workflows and actions share."""

from typing import Any

from msgspec import Struct

DONE, SKIPPED, FAILED, SENDING, MOVING, WAITS = "done", "skipped", "failed", "sending", "moving", "waits"
CANCELLED = "cancelled"


class Acted(Struct, gc=False, frozen=True):
    """What came of an action. `values` are its results (`previous.*`, or a workflow's new variables)."""

    outcome: str
    reason: str = ""
    values: dict[str, Any] | None = None


class Asked(Struct, gc=False, frozen=True):
    """Who asks for an action: the rule or workflow, its step and what its condition saw."""

    rule: str
    step: int
    seen: list[Any]
    workflow: bool = False


ACTED_DONE, ACTED_SENDING, ACTED_MOVING = Acted(DONE), Acted(SENDING), Acted(MOVING)
