"""Steps of scenarios about addresses that must not be written to: `suppress:` and `unsuppress:`."""

from typing import ClassVar

from stagewheel.protocol.messages import Suppress, Unsuppress
from stagewheel.server.rules.document import Doc


class SuppressDoc(Doc):
    """`suppress: {channel: email, address: ada@example.com}`; `item` is where that was said."""

    what: ClassVar[str] = "suppress"
    channel: str
    address: str
    kind: str = "unsubscribed"
    reason: str = ""
    item: str = ""
    by: int = 0


class UnsuppressDoc(Doc):
    """`unsuppress: {channel: email, address: ada@example.com}`; without `kind`, of all."""

    what: ClassVar[str] = "unsuppress"
    channel: str
    address: str
    kind: str = ""
    item: str = ""
    by: int = 0


def suppress(doc: SuppressDoc) -> Suppress:
    """The command."""
    return Suppress(
        doc.item, doc.by, channel=doc.channel, address=doc.address, kind=doc.kind, reason=doc.reason
    )


def unsuppress(doc: UnsuppressDoc) -> Unsuppress:
    """The command."""
    return Unsuppress(doc.item, doc.by, channel=doc.channel, address=doc.address, kind=doc.kind)
