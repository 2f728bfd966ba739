"""The plan of an action that plans an activity (E7–E9). Laws: those of `plan.py`."""

from msgspec import Struct

from stagewheel.server.core.calendar import Duration
from stagewheel.server.core.plan_actions import (
    ActionPlan,
    ChannelPlan,
    ChoicePlan,
    People,
    Recipients,
    Text,
    Value,
)
from stagewheel.server.core.plan_steps import Wait


class Deadline(Struct, frozen=True):
    """When it is due: counted from the decision, around a date field, or what a template gives."""

    wait: Wait | None = None
    value: Value | None = None


class ActivityPlan(ActionPlan, kw_only=True):
    """E7; with `tells` E8, and as a meeting E9. `choice` None: the responsible of the item.

    `invite` is the mail to those who take part; its sender process renders it from what the decision says of
    the meeting. `files` are names of fields and ids of stored files.
    """

    kind: str
    text: Text
    deadline: Deadline | None = None
    duration: Duration | None = None
    responsible: Recipients
    choice: ChoicePlan | None = None
    colour: str = ""
    calendar: bool = False
    clients: str = "one"  # one | all | none
    invited: People | None = None
    address: Text | None = None
    room: Text | None = None
    link: Text | None = None
    files: tuple[tuple[str, str], ...] = ()  # (field | file, its name)
    complete_on_leave: bool = True
    tells: bool = False
    item_link: Text | None = None  # of the notice
    invite: ChannelPlan | None = None
