"""Audiences of advertising networks, as plans (H7).

Laws: it is no message to the client, so no cap, no suppression and no quiet hours of the client are asked. To
add and to remove is the same however often it is done, so what nobody knows of is tried again.
"""

from typing import Final

from stagewheel.server.core.plan_actions import ActionPlan
from stagewheel.server.rules.ads_doc import AudienceDocument
from stagewheel.server.rules.channel_plan import channel_plan
from stagewheel.server.rules.channels_doc import Recipient
from stagewheel.server.rules.document_ads import AdAudienceDoc
from stagewheel.server.rules.phone_doc import ClientPhone
from stagewheel.server.rules.where import Where

CHANNEL: Final = "ads"


def ad_audience(doc: AdAudienceDoc, where: Where) -> ActionPlan:
    """H7."""
    text = str(doc.list)
    if "{{" not in text and not (text.isascii() and text.isdigit()):
        where.mistake("list", f"expected the number of a list, as the network shows it, not {text!r}")
    made = where.work.templates.sent(text, where.place / "list", where.names)
    last = doc.use == "last"
    document = AudienceDocument(
        account=doc.account,
        list=made.text,
        operation=doc.operation,
        emails=Recipient(type=doc.type, last=last) if doc.match != "phone" else None,
        phones=ClientPhone(doc.type, last) if doc.match != "email" else None,
    )
    return channel_plan(
        CHANNEL,
        document,
        made.roots,
        where,
        expires=doc.expires,
        on_unknown=doc.on_unknown,
        to_client=False,
        hours=doc.hours,
        provider=doc.account,
        named_by="account",
    )
