"""`/u/…` (H1, 8.8): an address ends its subscription of a channel.

Laws: a GET changes nothing, since programs fetch links by themselves: it shows a page with a button. A POST
does it, by that button or by a mail program (RFC 8058: `List-Unsubscribe=One-Click`, no cookie, no
redirect), and is answered when it is on disk; 503 otherwise, so that it is tried again. Who has the link may
use it: it was signed for this address alone. Done again it does nothing.
"""

from html import escape
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from stagewheel.protocol.messages import Failed, Suppress
from stagewheel.server.edge.answers import Refusal, outcome
from stagewheel.server.edge.body import read_body
from stagewheel.server.edge.endpoint import Edge
from stagewheel.server.edge.tracking import link_of
from stagewheel.server.limits import KIB
from stagewheel.server.links import UNSUBSCRIBE, Unsubscribing

BODY_BYTES_MAX: Final = 8 * KIB  # of a POST; nothing of it is needed
WHAT: Final = {"email": "e-mails", "sms": "text messages", "call": "calls", "chat": "chat messages"}
HEADERS: Final = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex",
    "content-security-policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'",
}
PAGE: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    '<meta name="viewport" content="width=device-width"></head><body><h1>{title}</h1><p>{text}</p>{form}'
    "</body></html>"
)
FORM: Final = '<form method="post"><button type="submit">Unsubscribe</button></form>'


class Unsubscribe:
    """The page and its button."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def get(self, request: Request) -> Response:
        """Ask."""
        link = self._link(request)
        return _page("Unsubscribe", f"{_address(link)} gets no more {_what(link)} from us.", FORM)

    async def post(self, request: Request) -> Response:
        """Do it."""
        link = self._link(request)
        await read_body(request, min(BODY_BYTES_MAX, self._edge.config.body_bytes_max))
        command = Suppress(
            link.origin.item,
            channel=link.channel,
            address=link.address,
            reason=f"by the link in a message of {link.origin.rule}"[:300],
        )
        [result] = await self._edge.gate.submit([command])
        self._edge.metrics.raised("unsubscribe", outcome(result))
        if isinstance(result, Failed):
            raise Refusal(422, result.code, result.message)
        return _page("You are unsubscribed", f"{_address(link)} gets no more {_what(link)} from us.", "")

    def _link(self, request: Request) -> Unsubscribing:
        signed = request.path_params["signed"]
        return link_of(self._edge, request, Unsubscribing, UNSUBSCRIBE, signed)


def _address(link: Unsubscribing) -> str:
    return escape(link.address)


def _what(link: Unsubscribing) -> str:
    return WHAT.get(link.channel, "messages")


def _page(title: str, text: str, form: str) -> Response:
    return Response(PAGE.format(title=title, text=text, form=form), 200, HEADERS, "text/html")
