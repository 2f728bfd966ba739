"""The plan of an action that leaves through a channel, whichever it is: for how long, under which cap."""

from collections.abc import Iterable

from stagewheel.server.core.plan_actions import ChannelPlan, People
from stagewheel.server.rules.channels_doc import ChannelDocument
from stagewheel.server.rules.phone_doc import CallDocument, SmsDocument
from stagewheel.server.rules.templates import carried
from stagewheel.server.rules.waits import duration_of, length_ms
from stagewheel.server.rules.where import Where


def channel_plan(
    channel: str,
    document: ChannelDocument | SmsDocument | CallDocument,
    roots: Iterable[str],
    where: Where,
    *,
    expires: str | None,
    expires_default: str,
    on_unknown: str,
    to_client: bool,
    people: People | None = None,
) -> ChannelPlan:
    """What the turn must know of the action; `document` is the sender's. Caps are of what goes to clients."""
    length = expires_default if expires is None else expires
    return ChannelPlan(
        index=0,
        channel=channel,
        lacks=document.lacks,
        roots=carried(set(roots)),
        document=document,
        expires_ms=length_ms(duration_of(length, where.place / "expires", where.work.log)),
        unknown_retries=on_unknown == "retry",
        people=people,
        to_client=to_client,
        cap=where.work.cap(where.pipeline, channel) if to_client else None,
    )
