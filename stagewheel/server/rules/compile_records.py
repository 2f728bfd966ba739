"""Actions that leave something to read for employees, as plans (E1–E4).

Laws: those of `compile_actions.py`.
"""

from typing import Any

from stagewheel.server.core.plan_actions import (
    ActionPlan,
    HistoryPlan,
    NotifyPlan,
    Recipients,
    StreamPlan,
    Text,
    Value,
)
from stagewheel.server.core.scope import Scope
from stagewheel.server.rules.attachments import compile_attachments
from stagewheel.server.rules.document_actions import AddHistoryDoc, NotifyDoc, PostStreamDoc
from stagewheel.server.rules.people import RESPONSIBLE, responsible, supervisor
from stagewheel.server.rules.where import Where


def notify(doc: NotifyDoc, where: Where) -> ActionPlan:
    """To the responsible, or their supervisor, unless it says to whom."""
    above = Recipients(supervisor)
    default = above if doc.do == "notify_supervisor" else Recipients(responsible, _responsible)
    return NotifyPlan(
        index=0,
        to=default if doc.to is None else _recipients(doc.to, where, "to"),
        text=_text(doc.text, where),
        sender=_recipients(doc.sender, where, "from") if doc.sender is not None else None,
        link=where.work.link_of(where.names.entity.id),
    )


def post_stream(doc: PostStreamDoc, where: Where) -> ActionPlan:
    """From the responsible and to the responsible, unless it says otherwise."""
    own = Recipients(responsible, _responsible)
    parts = compile_attachments(doc.files, where, "files").parts
    if any(one.required for one in doc.files):
        where.mistake("files", "'required' is for messages that leave; an empty field shows no file here")
    return StreamPlan(
        index=0,
        to=own if doc.to is None else _recipients(doc.to, where, "to"),
        text=_text(doc.text, where),
        sender=own if doc.sender is None else _recipients(doc.sender, where, "from"),
        link=where.work.link_of(where.names.entity.id),
        files=tuple(name for kind, name, _ in parts if kind == "field"),
        stored=tuple(name for kind, name, _ in parts if kind == "file"),
    )


def add_history(doc: AddHistoryDoc, where: Where) -> ActionPlan:
    """An entry with a text, and who it is by."""
    return HistoryPlan(index=0, text=_text(doc.text, where), created_by=doc.created_by)


def _text(source: str, where: Where) -> Text:
    return where.work.templates.text(source, where.place / "text", where.names)


def _recipients(raw: Any, where: Where, key: str) -> Recipients:
    return Recipients(where.people(raw, key), named(raw))


def named(raw: Any) -> Value | None:
    """The one who is meant, where it is one: so the journal can say who is missing."""
    if isinstance(raw, list):
        return named(raw[0]) if len(raw) == 1 else None
    if raw == RESPONSIBLE:
        return _responsible
    if str(raw).isdecimal():
        return lambda scope: int(raw)
    return None


def _responsible(scope: Scope) -> int:
    return scope.item.responsible
