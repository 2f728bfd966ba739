"""What came of an action, and who asked for it: the words that rules, workflows and actions share."""

from typing import Any

from msgspec import Struct

DONE, SKIPPED, FAILED, SENDING, MOVING, WAITS = "done", "skipped", "failed", "sending", "moving", "waits"
CANCELLED = "cancelled"
LEFT, PASSED_BY = "left stage", "moment has passed"  # reasons
RUNS = "runs"  # a workflow, whose end will be told
ASKS = "asks"  # its client, whether a cap leaves room (8.5)


class Acted(Struct, gc=False, frozen=True):
    """What came of an action. `values` are its results (`previous.*`, or a workflow's new variables).

    `due_ms`, of one that asks, is when it did, or when it asks again.
    """

    outcome: str
    reason: str = ""
    values: dict[str, Any] | None = None
    due_ms: int = 0


class Asked(Struct, gc=False, frozen=True):
    """Who asks for an action: the rule or workflow, its step and what its condition saw."""

    rule: str
    step: int
    seen: list[Any]
    workflow: bool = False
    granted: bool = False  # its client has said that a cap leaves room


ACTED_DONE, ACTED_SENDING, ACTED_MOVING = Acted(DONE), Acted(SENDING), Acted(MOVING)
