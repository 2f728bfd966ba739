"""`GET /v.gif` (G5, G6): a picture on the pages of a site tells that somebody whom we know looks at them.

Laws: nobody is followed who did not come by a signed link: only that binds a browser to an item or contact,
and only then it gets a cookie. The cookie is signed, HttpOnly and has an end. Who comes back after a pause is
a returning visitor as well as a visit. A link or cookie that is not right raises nothing, and the picture
is there all the same.
"""

import base64
from typing import Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from stagewheel.protocol.messages import AnyCommand, RaiseEvent
from stagewheel.server.edge.answers import outcome
from stagewheel.server.edge.config import VISIT, VisitsConfig
from stagewheel.server.edge.endpoint import Edge
from stagewheel.server.edge.signing import BadSignature, SignatureEnded, read_signed, sign
from stagewheel.server.limits import EDGE_TEXT_CHARS_MAX

COOKIE: Final = "stagewheel_visitor"
_VISITOR: Final = "visitor"
GIF: Final = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_DAY_S: Final = 86_400


class Visitor(Struct, frozen=True):
    """Whom the browser belongs to, and when it was seen last (0: never)."""

    key: str
    seen_s: int = 0


class Visits:
    """The pixel."""

    def __init__(self, edge: Edge, config: VisitsConfig) -> None:
        self._edge, self._config = edge, config

    async def get(self, request: Request) -> Response:
        """One page that was looked at."""
        response = Response(GIF, 200, {"cache-control": "no-store"}, "image/gif")
        visitor = self._visitor(request)
        if visitor is None or request.method == "HEAD":
            self._edge.metrics.dropped("visits", "unknown")
            return response
        page = request.query_params.get("page", "") or request.headers.get("referer", "")
        page = page[:EDGE_TEXT_CHARS_MAX]
        now_s = int(self._edge.now_s())
        payload = {"page": page}
        events: list[AnyCommand] = [RaiseEvent(visitor.key, type="site_visit", code=page, payload=payload)]
        if visitor.seen_s and now_s - visitor.seen_s >= self._config.returning_after_m * 60:
            events.append(RaiseEvent(visitor.key, type="returning_visitor", code=page, payload=payload))
        for result in await self._edge.gate.submit(events):
            self._edge.metrics.raised("visits", outcome(result))
        self._remember(response, Visitor(visitor.key, now_s), now_s)
        return response

    def _visitor(self, request: Request) -> Visitor | None:
        """By the cookie; a link that came with this page goes before it."""
        linked = self._read(VISIT, request.query_params.get("s", ""))
        known = self._read(_VISITOR, request.cookies.get(COOKIE, ""))
        seen, _, key = known.partition(" ")
        if key and linked in ("", key):
            return Visitor(key, int(seen))
        return Visitor(linked) if linked else None

    def _read(self, purpose: str, signed: str) -> str:
        try:
            edge = self._edge
            return read_signed(edge.secrets.signing_key, purpose, signed, edge.now_s()) if signed else ""
        except (BadSignature, SignatureEnded) as error:
            self._edge.metrics.dropped("visits", type(error).__name__)
            return ""

    def _remember(self, response: Response, visitor: Visitor, now_s: int) -> None:
        age_s = self._config.cookie_days * _DAY_S
        value = f"{visitor.seen_s} {visitor.key}"
        response.set_cookie(
            COOKIE,
            sign(self._edge.secrets.signing_key, _VISITOR, value, now_s + age_s),
            max_age=age_s,
            path="/v.gif",
            secure=self._config.cookie_secure,
            httponly=True,
            samesite=self._config.cookie_same_site,
        )
