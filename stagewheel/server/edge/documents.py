"""`GET /d/…` (G14): a document is looked at. `GET /q/…` (G15): a QR code was scanned.

Laws: what is shown and where a code leads was signed; a stored file that was dropped is a 404. A document is
shown as a stranger's: without scripts, frames or anything from elsewhere (its HTML was made of values that
clients wrote), and is kept by no cache and no search engine. What a program fetches by itself is shown and
not counted (`tracking.py`). One document counts once, a code once within `SCAN_AGAIN_S`. Documents are held
in memory while they are sent: no more than `MADE_SHOWN_MAX`, none longer than `SEND_S`.
"""

from html import escape
from typing import Final
from urllib.parse import quote

import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from stagewheel.server.edge.answers import Refusal
from stagewheel.server.edge.endpoint import Edge
from stagewheel.server.edge.tracking import URL_SAFE, link_of, tell
from stagewheel.server.limits import MADE_BYTES_MAX, MADE_SHOWN_MAX
from stagewheel.server.links import DOCUMENT, QR, Scanned, Showing

SEND_S: Final = 60.0
SCAN_AGAIN_S: Final = 60
BUSY_AGAIN_S: Final = 2
HEADERS: Final = {
    "cache-control": "no-store, private",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex, nofollow",
    "cross-origin-resource-policy": "same-origin",
}
CLOSED: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
SHOWN: Final = {
    "text/html": {
        "content-security-policy": f"sandbox allow-popups; {CLOSED}; base-uri 'none'; form-action 'none'"
    },
    "application/pdf": {},  # a browser's own reader does not open what is sandboxed
    "image/png": {},
}
PAGE: Final = (
    '<!doctype html><html><head><meta charset="utf-8"><title>{title}</title>'
    '<meta name="viewport" content="width=device-width"></head>'
    '<body><h1>{title}</h1><p style="white-space: pre-line">{text}</p></body></html>'
)


class Documents:
    """Documents and codes."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._shown = 0

    async def show(self, request: Request) -> Response:
        """A document, as it is stored."""
        signed = request.path_params["signed"]
        showing = link_of(self._edge, request, Showing, DOCUMENT, signed)
        if self._shown >= MADE_SHOWN_MAX:
            raise Refusal(503, "busy", "too many documents are being looked at", BUSY_AGAIN_S)
        self._shown += 1
        is_held = True
        try:
            found = await self._edge.gate.file(showing.file, MADE_BYTES_MAX)
            if found is None:
                raise Refusal(404, "no_document", "this document is not there any more")
            view, data = found
            payload = {"template": showing.template, "file": showing.file}
            told = (showing.origin, "document_viewed", showing.template, payload)
            await tell(self._edge, request, "document", signed, *told)
            is_held = False
        finally:
            if is_held:
                self._shown -= 1
        kind = view.type if view.type in SHOWN else "application/octet-stream"
        how = "inline" if view.type in SHOWN else "attachment"
        name = {"content-disposition": f"{how}; filename*=UTF-8''{quote(view.name, safe='')}"}
        return _Held(self, data, 200, {**HEADERS, **SHOWN.get(kind, {}), **name}, kind)

    async def scan(self, request: Request) -> Response:
        """Where a code leads."""
        signed = request.path_params["signed"]
        scanned = link_of(self._edge, request, Scanned, QR, signed)
        rule = scanned.origin.rule
        payload = {"url": scanned.url} if scanned.url else {}
        told = (scanned.origin, "qr_scanned", rule, payload)
        await tell(self._edge, request, "qr", signed, *told, again_s=SCAN_AGAIN_S)
        if scanned.url:
            return Response(b"", 302, {**HEADERS, "location": quote(scanned.url, safe=URL_SAFE)})
        page = PAGE.format(title=escape(scanned.title), text=escape(scanned.text))
        return Response(page, 200, {**HEADERS, "content-security-policy": CLOSED}, "text/html")

    def sent(self) -> None:
        """A document is not held any more."""
        self._shown -= 1


class _Held(Response):
    """A document that is held until it is sent, or its reader took too long."""

    def __init__(
        self, owner: Documents, data: bytes, status: int, headers: dict[str, str], kind: str
    ) -> None:
        super().__init__(data, status, headers, kind)
        self._owner = owner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with trio.move_on_after(SEND_S):
                await super().__call__(scope, receive, send)
        finally:
            self._owner.sent()
