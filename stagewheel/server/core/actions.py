"""What each action does within the turn: one small function a kind, found by the plan's type.

Laws: an action either is done at once (`done`, `failed`), or went to the outbox (`sending`), or asks for a
move that the end of the list decides (`moving`). A rule author's mistake (a template that fails on this
item's values) is a `failed` with its reason; anything else that goes wrong here is our bug and leaves as an
exception. An action's function stands in a file with others of its kind, here is only the table.
"""

from collections.abc import Callable
from typing import Any

from stagewheel.errors import RuleError
from stagewheel.server.core.acting import FAILED, Acted, Asked
from stagewheel.server.core.activity_actions import plan_activity
from stagewheel.server.core.activity_plans import ActivityPlan
from stagewheel.server.core.app_actions import call_app
from stagewheel.server.core.chatting import invite, write_hidden
from stagewheel.server.core.create_actions import create_client, create_from
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.documents import create_file
from stagewheel.server.core.item_actions import (
    add_observers,
    change_responsible,
    change_stage,
    delete_item,
    set_fields,
    set_vars,
)
from stagewheel.server.core.plan_actions import (
    ActionPlan,
    AddObserversPlan,
    ChangeResponsiblePlan,
    ChangeStagePlan,
    ChannelPlan,
    CreateClientPlan,
    CreateFromPlan,
    DeleteItemPlan,
    HiddenChatPlan,
    HistoryPlan,
    InvitePlan,
    NotifyPlan,
    SetFieldsPlan,
    SetVarsPlan,
    StreamPlan,
)
from stagewheel.server.core.plan_app import AppPlan
from stagewheel.server.core.plan_documents import FilePlan
from stagewheel.server.core.plan_tasks import CompleteTasksPlan, CreateTaskPlan
from stagewheel.server.core.record_actions import add_history, notify, post_stream
from stagewheel.server.core.sending import send
from stagewheel.server.core.task_actions import complete_tasks, create_task


def perform(d: Deciding, action: ActionPlan, asked: Asked) -> Acted:
    """Do an action, or say why not."""
    try:
        return HANDLERS[type(action)](d, action, asked)
    except RuleError as error:
        return Acted(FAILED, str(error))


HANDLERS: dict[type[ActionPlan], Callable[[Deciding, Any, Asked], Acted]] = {
    ChannelPlan: send,
    AppPlan: call_app,
    ChangeStagePlan: change_stage,
    DeleteItemPlan: delete_item,
    ChangeResponsiblePlan: change_responsible,
    SetFieldsPlan: set_fields,
    SetVarsPlan: set_vars,
    NotifyPlan: notify,
    HistoryPlan: add_history,
    StreamPlan: post_stream,
    CreateFromPlan: create_from,
    CreateClientPlan: create_client,
    AddObserversPlan: add_observers,
    CreateTaskPlan: create_task,
    CompleteTasksPlan: complete_tasks,
    InvitePlan: invite,
    FilePlan: create_file,
    HiddenChatPlan: write_hidden,
    ActivityPlan: plan_activity,
}
