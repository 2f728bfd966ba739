"""The channel `qr`: it draws the code of a signed link as a PNG, and stores it (A11).

Laws: those of `document.py`. A code that holds more than any QR code can is refused for good.
"""

from io import BytesIO
from typing import Any

from stagewheel.server.channels.base import (
    Channel,
    Delivery,
    Outcome,
    PoolSettings,
    PoolSize,
    RefusedForGood,
)
from stagewheel.server.channels.document import store
from stagewheel.server.links import Links
from stagewheel.server.rules.files_doc import QrContent


class QrSettings(PoolSettings, frozen=True, kw_only=True):
    """[channels.qr]."""

    pool_size: PoolSize = 4
    breaker_failures: int = 0

    @property
    def pool(self) -> PoolSettings:
        """Its own."""
        return self

    def check(self) -> None:
        """Nothing can be wrong."""

    def open(self, store_id: str, links: Links | None = None) -> Channel:
        """The channel."""
        return QrChannel()


class QrChannel:
    """QR codes."""

    def group(self, content: Any) -> str:
        """None: they go to nobody."""
        return ""

    async def deliver(self, content: QrContent, delivery: Delivery) -> Outcome:
        """Draw it and store it."""
        data = draw(content)
        if data is None:
            return RefusedForGood("the address is too long for a QR code; shorten 'url', or the text")
        return await store(content, data, delivery)

    async def close_sender(self, sender: int) -> None:
        """Nothing is open."""

    async def aclose(self) -> None:
        """Nothing is open."""


def draw(content: QrContent) -> bytes | None:
    """The PNG; None: it holds too much."""
    import segno  # only a process that draws one needs it

    try:
        code = segno.make_qr(content.link, error=content.correction, boost_error=False)
    except segno.DataOverflowError:
        return None
    out = BytesIO()
    code.save(out, kind="png", scale=content.scale, border=content.border)
    return out.getvalue()
