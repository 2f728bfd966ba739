"""Which actions there are: each kind's document, and the function that makes its plan.

Adding an action is its document in a `document_*.py`, its maker beside others of its kind, its plan and
handler in `core/`, and one line in each table here.
"""

from collections.abc import Callable
from typing import Any, Final

from stagewheel.server.core.plan_actions import ActionPlan
from stagewheel.server.rules import (
    activities,
    compile_actions as items,
    compile_creating as creating,
    compile_records as records,
    tasks,
)
from stagewheel.server.rules.ads import ad_audience
from stagewheel.server.rules.app import app
from stagewheel.server.rules.chat import invite, send_chat
from stagewheel.server.rules.document import Doc
from stagewheel.server.rules.document_actions import (
    AddHistoryDoc,
    AddObserversDoc,
    CallDoc,
    ChangePipelineDoc,
    ChangeResponsibleDoc,
    ChangeStageDoc,
    CopyItemDoc,
    CreateFromDoc,
    DeleteItemDoc,
    NotifyDoc,
    PostStreamDoc,
    RunWorkflowDoc,
    SendEmailDoc,
    SendSmsDoc,
    SetDoc,
    SetFieldsDoc,
    WebhookDoc,
)
from stagewheel.server.rules.document_activities import CallActivityDoc, MeetingDoc, PlanActivityDoc
from stagewheel.server.rules.document_ads import AdAudienceDoc
from stagewheel.server.rules.document_app import AppDoc
from stagewheel.server.rules.document_chat import InviteDoc, SendChatDoc
from stagewheel.server.rules.document_files import CreateDocumentDoc, CreateQrDoc
from stagewheel.server.rules.document_tasks import CompleteTasksDoc, CreateTaskDoc
from stagewheel.server.rules.email import send_email
from stagewheel.server.rules.files import create_document, create_qr
from stagewheel.server.rules.mistakes import nearest
from stagewheel.server.rules.phone import call, send_sms
from stagewheel.server.rules.reader import NOT_YET, read, shown
from stagewheel.server.rules.webhook import webhook
from stagewheel.server.rules.where import Where

ACTIONS: Final[dict[str, type[Doc]]] = {
    "change_stage": ChangeStageDoc,
    "change_pipeline": ChangePipelineDoc,
    "delete_item": DeleteItemDoc,
    "change_responsible": ChangeResponsibleDoc,
    "set_fields": SetFieldsDoc,
    "set": SetDoc,
    "create_from": CreateFromDoc,
    "copy_item": CopyItemDoc,
    "add_observers": AddObserversDoc,
    "notify": NotifyDoc,
    "notify_supervisor": NotifyDoc,
    "post_stream": PostStreamDoc,
    "add_history": AddHistoryDoc,
    "send_email": SendEmailDoc,
    "webhook": WebhookDoc,
    "send_sms": SendSmsDoc,
    "call": CallDoc,
    "send_chat": SendChatDoc,
    "invite": InviteDoc,
    "run_workflow": RunWorkflowDoc,
    "create_task": CreateTaskDoc,
    "complete_tasks": CompleteTasksDoc,
    "plan_activity": PlanActivityDoc,
    "schedule_call": CallActivityDoc,
    "schedule_meeting": MeetingDoc,
    "app": AppDoc,
    "ad_audience": AdAudienceDoc,
    "create_document": CreateDocumentDoc,
    "create_qr": CreateQrDoc,
}
ACTIONS_LATER: Final[frozenset[str]] = frozenset()

MAKERS: Final[dict[type[Doc], Callable[[Any, Where], ActionPlan]]] = {
    ChangeStageDoc: items.change_stage,
    ChangePipelineDoc: items.change_pipeline,
    DeleteItemDoc: items.delete_item,
    ChangeResponsibleDoc: items.change_responsible,
    SetFieldsDoc: items.set_fields,
    SetDoc: items.set_vars,
    CreateFromDoc: creating.create_from,
    CopyItemDoc: creating.copy_item,
    AddObserversDoc: items.add_observers,
    NotifyDoc: records.notify,
    PostStreamDoc: records.post_stream,
    AddHistoryDoc: records.add_history,
    SendEmailDoc: send_email,
    WebhookDoc: webhook,
    SendSmsDoc: send_sms,
    CallDoc: call,
    SendChatDoc: send_chat,
    InviteDoc: invite,
    RunWorkflowDoc: items.run_workflow,
    CreateTaskDoc: tasks.create_task,
    CompleteTasksDoc: tasks.complete_tasks,
    PlanActivityDoc: activities.plan_activity,
    CallActivityDoc: activities.schedule_call,
    MeetingDoc: activities.schedule_meeting,
    AppDoc: app,
    AdAudienceDoc: ad_audience,
    CreateDocumentDoc: create_document,
    CreateQrDoc: create_qr,
}


def compile_action(raw: Any, where: Where) -> ActionPlan | None:
    """The plan of an action, numbered; None if not even its kind is known."""
    if not isinstance(raw, dict):
        where.mistake(
            "", f"an action is a mapping with 'do', such as {{do: notify, text: …}}, not {shown(raw)}"
        )
        return None
    kind = raw.get("do")
    if not isinstance(kind, str):
        where.mistake("", "an action needs 'do', its kind")
        return None
    if kind not in ACTIONS:
        complaint = f"the action '{kind}' {NOT_YET}" if kind in ACTIONS_LATER else f"unknown action '{kind}'"
        where.mistake("do", complaint if kind in ACTIONS_LATER else complaint + nearest(kind, ACTIONS))
        return None
    doc = read(ACTIONS[kind], raw, where.place, where.work.log)
    if doc is None:
        return None
    plan = MAKERS[type(doc)](doc, where)
    return where.work.add(plan)
