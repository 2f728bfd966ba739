"""Chat messages and invitations, compiled (H4, H5).

Laws: a hidden message is for employees and leaves through no channel, so what is said of leaving (`provider`,
`expires`, `hours`, `on_unknown`) does not go with it. A text that is the name of an HTML template is sent as
HTML, any other as it is. An invitation is a text message, with the laws of those (`phone.py`).
"""

import re
from typing import Final

from msgspec import structs

from stagewheel.server.core.chat import CHANNEL
from stagewheel.server.core.plan_actions import (
    ActionPlan,
    ChannelPlan,
    HiddenChatPlan,
    InvitePlan,
    Recipients,
)
from stagewheel.server.rules.attachments import compile_attachments
from stagewheel.server.rules.channel_plan import channel_plan
from stagewheel.server.rules.chat_doc import LINK, ChatDocument, InviteDocument, ReplyDocument
from stagewheel.server.rules.document_chat import InviteDoc, SendChatDoc
from stagewheel.server.rules.people import RESPONSIBLE
from stagewheel.server.rules.phone_doc import ClientPhone
from stagewheel.server.rules.where import Where

STAFF: Final = [RESPONSIBLE, "observers"]
LINK_NAME: Final = re.compile(r"\{\{-?\s*link\s*-?\}\}")
REPLY_EXPIRES_MS: Final = 24 * 3_600_000
NOT_HIDDEN: Final = ("provider", "expires", "hours")


def send_chat(doc: SendChatDoc, where: Where) -> ActionPlan:
    """H4: to the client in the item's chat, or hidden, to employees."""
    attachments = compile_attachments(doc.attachments, where)
    if not doc.text.strip() and not doc.attachments:
        where.mistake("text", "a message has a text, or attachments")
    if doc.hidden:
        for name in NOT_HIDDEN:
            if getattr(doc, name):
                where.mistake(name, f"a hidden message leaves through no channel, so '{name}' means nothing")
        text = where.work.templates.text(doc.text, where.place / "text", where.names)
        return HiddenChatPlan(
            index=0,
            to=Recipients(where.people(STAFF)),
            text=text,
            files=tuple(name for kind, name, _ in attachments.parts if kind == "field"),
            stored=tuple(name for kind, name, _ in attachments.parts if kind == "file"),
            lacks=attachments.lacks if attachments.parts else None,
        )
    text_made = where.work.templates.sent_body(doc.text, where.place / "text", where.names)
    html = doc.text.endswith((".html.j2", ".html"))
    return channel_plan(
        CHANNEL,
        ChatDocument(text_made.text, html, doc.provider, attachments),
        text_made.roots,
        where,
        expires=doc.expires,
        on_unknown=doc.on_unknown,
        to_client=True,
        transactional=doc.transactional,
        hours=doc.hours,
        provider=doc.provider,
    )


def invite(doc: InviteDoc, where: Where) -> ActionPlan:
    """H5: `{{ link }}` says where the link stands in the text; else it stands behind it."""
    work = where.work
    if doc.to is not None and doc.to.use == "last":
        first = "a text message goes to the first number; narrow them by 'type'"
        work.log.mistake(where.place / "to" / "use", first)
    to = ClientPhone(doc.to.type) if doc.to is not None else ClientPhone()
    source = LINK_NAME.sub(LINK, doc.text)
    made = work.templates.sent_body(source, where.place / "text", where.names)
    work.check_provider(CHANNEL, doc.chat, where.place / "chat")
    work.check_served(CHANNEL, doc.chat, where.place, "chat")
    plan = channel_plan(
        "sms",
        InviteDocument(to, made.text, doc.provider, doc.chat),
        made.roots,
        where,
        expires=doc.expires,
        on_unknown=doc.on_unknown,
        to_client=True,
        transactional=doc.transactional,
        hours=doc.hours,
        provider=doc.provider,
    )
    return InvitePlan(**structs.asdict(plan))


def reply_plan(index: int) -> ChannelPlan:
    """What an employee writes: no rule has it, so every version has one, behind all its actions."""
    document = ReplyDocument()
    return ChannelPlan(
        index=index,
        channel=CHANNEL,
        lacks=document.lacks,
        roots=("trigger",),
        document=document,
        expires_ms=REPLY_EXPIRES_MS,
        to_client=True,
    )
