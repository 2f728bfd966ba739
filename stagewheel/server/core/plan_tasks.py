"""Plans of the actions on tasks. Laws: those of `plan_actions.py`."""

from stagewheel.server.core.plan_actions import ActionPlan, ChoicePlan, People, Text, Value
from stagewheel.server.core.plan_steps import Wait


class CreateTaskPlan(ActionPlan):
    """E5. `named` is the one responsible who is meant, where it is one (7.9)."""

    name: Text
    responsible: ChoicePlan
    named: Value | None = None
    description: Text | None = None
    deadline: Wait | None = None
    participants: People | None = None
    observers: People | None = None
    workgroup: Text | None = None
    time_tracking: bool = False
    checklist: tuple[Text, ...] = ()


class CompleteTasksPlan(ActionPlan):
    """E6: of those that rules made in a pipeline (empty: the item's own), in these stages (none: in any)."""

    pipeline: str = ""
    stages: tuple[str, ...] = ()
