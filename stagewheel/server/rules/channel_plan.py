"""The plan of an action that leaves through a channel, whichever it is: for how long, under which cap."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from stagewheel.server.core.plan_actions import ChannelPlan, People
from stagewheel.server.rules.ads_doc import AudienceDocument
from stagewheel.server.rules.channels_doc import ChannelDocument, EmailDocument
from stagewheel.server.rules.chat_doc import ChatDocument, InviteDocument
from stagewheel.server.rules.document import Hours
from stagewheel.server.rules.files_doc import DocumentDocument, QrDocument
from stagewheel.server.rules.phone_doc import CallDocument, SmsDocument
from stagewheel.server.rules.templates import carried
from stagewheel.server.rules.waits import duration_of, hours_of, length_ms
from stagewheel.server.rules.where import Where

# How long an action may wait to leave, where its rule does not say (8.7).
EXPIRES: Final[Mapping[str, str]] = MappingProxyType(
    {"sms": "24h", "call": "24h", "chat": "24h", "webhook": "1d", "email": "3d"}
)
EXPIRES_ELSE: Final = "3d"


def channel_plan(
    channel: str,
    document: ChannelDocument
    | AudienceDocument
    | SmsDocument
    | CallDocument
    | ChatDocument
    | InviteDocument
    | DocumentDocument
    | QrDocument,
    roots: Iterable[str],
    where: Where,
    *,
    expires: str | None,
    on_unknown: str,
    to_client: bool,
    people: People | None = None,
    transactional: bool = False,
    hours: Hours | None = None,
    provider: str = "",
    named_by: str = "provider",
) -> ChannelPlan:
    """What the turn must know of the action; `document` is the sender's. Caps are of what goes to clients.

    Without hours of its own it has those of its rule (8.7).
    """
    work = where.work
    if provider:
        work.check_provider(channel, provider, where.place / named_by)
    work.check_served(channel, provider, where.place, named_by)
    length = EXPIRES.get(channel, EXPIRES_ELSE) if expires is None else expires
    return ChannelPlan(
        index=0,
        channel=channel,
        lacks=document.lacking() if isinstance(document, EmailDocument) else document.lacks,
        enough=isinstance(document, EmailDocument) and document.needs_any(),
        roots=carried(set(roots)),
        document=document,
        expires_ms=length_ms(duration_of(length, where.place / "expires", where.work.log)),
        unknown_retries=on_unknown == "retry",
        people=people,
        to_client=to_client,
        cap=where.work.cap(where.pipeline, channel) if to_client else None,
        reaches=getattr(document, "reached", None),
        transactional=transactional,
        provider=provider,
        hours=work.hours_of_rule
        if hours is None
        else hours_of(hours, where.place, work.times.get(where.pipeline), work.log),
    )
