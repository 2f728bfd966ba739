"""Actions of the document, as plans: one small function a kind.

Laws: a part with a mistake still gives a plan, so that the rest of the document is checked; the version is
thrown away then. Constants are held against the type of the field they are for; templates are checked for
names, and what they give is checked when it is set. Channel actions keep all that a sender renders in
`document`.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from stagewheel.server.core.plan_actions import (
    ActionPlan,
    AddObserversPlan,
    ChangeResponsiblePlan,
    ChangeStagePlan,
    DeleteItemPlan,
    RunWorkflowPlan,
    SetFieldsPlan,
    SetVarsPlan,
    Value,
)
from stagewheel.server.rules.channel_plan import channel_plan
from stagewheel.server.rules.channels_doc import EmailDocument, Recipient, WebhookDocument
from stagewheel.server.rules.choices import compile_choice
from stagewheel.server.rules.compile_creating import copy_item, create_from
from stagewheel.server.rules.compile_records import add_history, notify, post_stream
from stagewheel.server.rules.document import Doc
from stagewheel.server.rules.document_actions import (
    ACTIONS,
    ACTIONS_LATER,
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
    RecipientDoc,
    RunWorkflowDoc,
    SendEmailDoc,
    SendSmsDoc,
    SetDoc,
    SetFieldsDoc,
    WebhookDoc,
)
from stagewheel.server.rules.document_steps import RunStepDoc
from stagewheel.server.rules.field_values import field_values
from stagewheel.server.rules.mistakes import nearest
from stagewheel.server.rules.people import RESPONSIBLE, SUPERVISOR, compile_people
from stagewheel.server.rules.phone import call, send_sms
from stagewheel.server.rules.reader import NOT_YET, read, shown
from stagewheel.server.rules.templates import Made
from stagewheel.server.rules.where import Where

EXPIRES: Final = {"email": "3d", "webhook": "1d"}  # 8.7
CLIENT: Final = "client"
AUTO: Final = "auto"
LITERAL_HOST: Final = re.compile(r"https?://[^/\s{}@?#]+([/?#].*)?", re.DOTALL)
HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")


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


def _change_stage(doc: ChangeStageDoc, where: Where) -> ActionPlan:
    where.work.check_stage(where.pipeline, doc.stage, where.place / "stage")
    return ChangeStagePlan(index=0, stage=doc.stage)


def _change_pipeline(doc: ChangePipelineDoc, where: Where) -> ActionPlan:
    work, own = where.work, where.names.entity.id
    if work.check_pipeline(doc.pipeline, where.place / "pipeline"):
        entity = work.pipelines[doc.pipeline].entity
        if entity != own:
            where.mistake("pipeline", f"pipeline '{doc.pipeline}' is for {entity}; this item is a {own}")
        elif doc.stage:
            work.check_stage(doc.pipeline, doc.stage, where.place / "stage")
    return ChangeStagePlan(index=0, stage=doc.stage, pipeline=doc.pipeline)


def _delete_item(doc: DeleteItemDoc, where: Where) -> ActionPlan:
    return DeleteItemPlan(index=0)


def _change_responsible(doc: ChangeResponsibleDoc, where: Where) -> ActionPlan:
    return ChangeResponsiblePlan(index=0, to=compile_choice(doc.to, where, "to"))


def _add_observers(doc: AddObserversDoc, where: Where) -> ActionPlan:
    return AddObserversPlan(index=0, people=where.people(doc.observers, "observers"))


def _set_fields(doc: SetFieldsDoc, where: Where) -> ActionPlan:
    if not doc.fields:
        where.mistake("fields", "no field is set")
    return SetFieldsPlan(index=0, values=field_values(doc.fields, where.names.entity, where, "fields"))


def _set(doc: SetDoc, where: Where) -> ActionPlan:
    if not where.in_workflow:
        example = '{do: set_fields, fields: {size: "{{ item.size + 1 }}"}}'
        where.mistake("do", f"variables exist in workflows only; a rule computes in fields: {example}")
    return SetVarsPlan(
        index=0, values={name: where.value(raw, "vars", name) for name, raw in doc.vars.items()}
    )


def run_workflow(doc: RunWorkflowDoc | RunStepDoc, where: Where) -> RunWorkflowPlan:
    """W10, as a rule's action and as a step."""
    known = where.work.workflows
    called = known.get(doc.workflow)
    if called is None:
        hint = nearest(doc.workflow, known) or f"; there are {', '.join(known) or 'none'}"
        where.mistake("workflow", f"there is no workflow '{doc.workflow}'{hint}")
    elif called.pipeline != where.pipeline:
        where.mistake("workflow", f"'{doc.workflow}' is of pipeline {called.pipeline}, not {where.pipeline}")
    for name in doc.vars if called is not None else ():
        if called is not None and name not in called.vars:
            hint = nearest(name, called.vars) or "; name it under its 'vars:'"
            where.work.log.mistake(
                where.place / "vars" / name, f"'{doc.workflow}' has no variable '{name}'{hint}"
            )
    values = {name: where.value(raw, "vars", name) for name, raw in doc.vars.items()}
    return RunWorkflowPlan(index=0, workflow=doc.workflow, wait=doc.wait, values=values)


# ---------------------------------------------------------------- channels


def _send_email(doc: SendEmailDoc, where: Where) -> ActionPlan:
    roots: set[str] = set()
    to = _recipient(doc.to, where, roots)
    sender: Made | None = None
    if doc.sender == AUTO:
        roots.add(RESPONSIBLE)
    else:
        sender = _sent(doc.sender, "from", where, roots)
        if "{{" not in doc.sender and "@" not in doc.sender:
            where.mistake("from", f"expected 'auto' or an e-mail address, got {shown(doc.sender)}")
    subject = _sent(doc.subject, "subject", where, roots)
    body = where.work.templates.sent_body(doc.body, where.place / "body", where.names)
    roots.update(body.roots)
    html = doc.body.endswith((".html.j2", ".html"))
    document = EmailDocument(
        to=to,
        sender=sender.text if sender is not None else None,
        subject=subject.text,
        text=None if html else body.text,
        html=body.text if html else None,
    )
    return channel_plan(
        "email",
        document,
        roots,
        where,
        expires=doc.expires,
        expires_default=EXPIRES["email"],
        on_unknown=doc.on_unknown,
        to_client=to.client,
        people=to.carries if to.people is not None else None,
    )


def _sent(source: str, key: str, where: Where, roots: set[str]) -> Made:
    made = where.work.templates.sent(source, where.place / key, where.names)
    roots.update(made.roots)
    return made


def _recipient(
    raw: RecipientDoc | int | str | list[int | str] | None, where: Where, roots: set[str]
) -> Recipient:
    doc = raw if isinstance(raw, RecipientDoc) else RecipientDoc(who=CLIENT if raw is None else raw)
    place = where.place / "to" / "who" if isinstance(raw, RecipientDoc) else where.place / "to"
    client = False
    literal: list[Made] = []
    people: list[int | str] = []
    who = doc.who if isinstance(doc.who, list) else [doc.who]
    if not who:
        where.work.log.mistake(place, "the list of recipients is empty")
    for one in who:
        if one == CLIENT:
            client = True
        elif isinstance(one, str) and ("@" in one or "{{" in one):
            literal.append(where.work.templates.sent(one, place, where.names))
            roots.update(literal[-1].roots)
        else:
            people.append(one)
    if RESPONSIBLE in people or SUPERVISOR in people:
        roots.add(RESPONSIBLE)
    compiled = None
    if people:
        where.work.check_employees(people, place)
        compiled = compile_people(people, place, where.names, where.work.templates, where.work.log)
    return Recipient(
        client=client,
        people=compiled,
        literal=tuple(made.text for made in literal),
        type=doc.type,
        last=doc.use == "last",
        upwards=SUPERVISOR in people,
    )


def _webhook(doc: WebhookDoc, where: Where) -> ActionPlan:
    roots: set[str] = set()
    if not LITERAL_HOST.fullmatch(doc.url):
        where.mistake(
            "url",
            "expected an address that begins with http:// or https:// and a host that is written out; "
            "templates may stand behind the host",
        )
    if doc.body is not None and doc.json is not None:
        where.mistake("json", "a request has 'body' or 'json', not both")
    headers: dict[str, Made] = {}
    for name, text in doc.headers.items():
        if not HEADER_NAME.fullmatch(name):
            where.work.log.mistake(where.place / "headers" / name, f"{shown(name)} is no name of a header")
        headers[name] = where.work.templates.sent(text, where.place / "headers" / name, where.names)
        roots.update(headers[name].roots)
    json: Value | None = None
    if doc.json is not None:
        json, more = where.work.templates.sent_value(doc.json, where.place / "json", where.names)
        roots.update(more)
    body: Made | None = None
    if doc.body is not None:
        body = where.work.templates.sent_body(doc.body, where.place / "body", where.names)
        roots.update(body.roots)
    document = WebhookDocument(
        method=doc.method,
        url=_sent(doc.url, "url", where, roots).text,
        headers={name: made.text for name, made in headers.items()},
        body=body.text if body is not None else None,
        json=json,
    )
    return channel_plan(
        "webhook",
        document,
        roots,
        where,
        expires=doc.expires,
        expires_default=EXPIRES["webhook"],
        on_unknown=doc.on_unknown,
        to_client=False,
    )


MAKERS: Final[dict[type[Doc], Callable[[Any, Where], ActionPlan]]] = {
    ChangeStageDoc: _change_stage,
    ChangePipelineDoc: _change_pipeline,
    DeleteItemDoc: _delete_item,
    ChangeResponsibleDoc: _change_responsible,
    SetFieldsDoc: _set_fields,
    SetDoc: _set,
    CreateFromDoc: create_from,
    CopyItemDoc: copy_item,
    AddObserversDoc: _add_observers,
    NotifyDoc: notify,
    PostStreamDoc: post_stream,
    AddHistoryDoc: add_history,
    SendEmailDoc: _send_email,
    WebhookDoc: _webhook,
    SendSmsDoc: send_sms,
    CallDoc: call,
    RunWorkflowDoc: run_workflow,
}
