"""`GET /c/…` and `GET /o/…` (G10, G9): a link in a message was clicked, a mail was opened.

Laws: the address that a click leads to is part of what was signed, so nobody leads somebody elsewhere through
us. Whoever clicks gets on: also when the shard is away, or takes longer than `WAIT_S`; then the event may be
lost, and the metrics say so. What a program fetches by itself is no click: a HEAD, a fetch ahead of time, a
preview of a messenger, a crawler that says so. One link counts once (for as long as dedupe keys are kept),
so a mail that is looked at ten times was opened once.

A signed address has the larger rate, since all that one mail provider's programs fetch comes from a few of
its machines; a wrong one costs as much as any request.
"""

import hashlib
import re
from typing import Final, TypeVar
from urllib.parse import quote

import trio
from starlette.requests import Request
from starlette.responses import Response

from stagewheel.protocol.messages import RaiseEvent
from stagewheel.server.edge.answers import Refusal
from stagewheel.server.edge.endpoint import Edge
from stagewheel.server.edge.signing import BadSignature, SignatureEnded
from stagewheel.server.edge.visits import GIF
from stagewheel.server.limits import EDGE_TEXT_CHARS_MAX
from stagewheel.server.links import CLICK, OPEN, Clicked, Origin, read_link

WAIT_S: Final = 2.0  # of who clicked, for the shard
URL_SAFE: Final = ":/?#[]@!$&'()*+,;=%~"  # what an address is made of; a header takes nothing else
PICTURE: Final = ".gif"
_AHEAD: Final = ("purpose", "sec-purpose", "x-purpose", "x-moz")
_PROGRAMS: Final = re.compile(
    r"bot\b|crawl|spider|preview|facebookexternalhit|whatsapp|slurp|headless|monitor", re.IGNORECASE
)
T = TypeVar("T")


def link_of(edge: Edge, request: Request, kind: type[T], route: str, signed: str) -> T:
    """What the link of a request holds; counts the request by its rate. Raises `Refusal`."""
    try:
        content = read_link(kind, edge.secrets.signing_key, route, signed, edge.now_s())
    except (BadSignature, SignatureEnded) as error:
        edge.limit(edge.public, request)
        edge.metrics.dropped(route, type(error).__name__)
        raise Refusal(404, "bad_link", "this link is not whole, or its time is over") from None
    edge.limit(edge.with_token, request)
    return content


class Tracking:
    """Clicks and openings."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def click(self, request: Request) -> Response:
        """Somebody clicked: go on to the address that was signed."""
        signed = request.path_params["signed"]
        clicked = link_of(self._edge, request, Clicked, CLICK, signed)
        url = clicked.url
        await tell(self._edge, request, "click", signed, clicked.origin, "link_clicked", url, {"url": url})
        headers = {
            "location": quote(url, safe=URL_SAFE),
            "cache-control": "no-store",
            "referrer-policy": "no-referrer",
        }
        return Response(b"", 302, headers)

    async def open(self, request: Request) -> Response:
        """Somebody looked at a mail: its picture."""
        signed = request.path_params["signed"].removesuffix(PICTURE)
        origin = link_of(self._edge, request, Origin, OPEN, signed)
        rule = origin.rule
        await tell(self._edge, request, "open", signed, origin, "email_opened", rule, {})
        return Response(GIF, 200, {"cache-control": "no-store, private"}, "image/gif")


async def tell(
    edge: Edge,
    request: Request,
    route: str,
    signed: str,
    origin: Origin,
    type_: str,
    code: str,
    payload: dict[str, str],
    *,
    again_s: int = 0,
) -> None:
    """Raise the event, unless a program asked; whatever becomes of it, the request is answered. One link
    counts once; with `again_s` once within so many seconds.
    """
    if is_program(request):
        edge.metrics.dropped(route, "program")
        return
    told = {**payload, "rule": origin.rule, "step": origin.step}
    digest = hashlib.blake2b(signed.encode(), digest_size=16).hexdigest()
    when = f" {int(edge.now_s()) // again_s}" if again_s else ""
    event = RaiseEvent(
        origin.item,
        dedupe_key=f"edge {route} {digest}{when}",
        type=type_,
        code=code[:EDGE_TEXT_CHARS_MAX],
        payload=told,
    )
    try:
        with trio.fail_after(WAIT_S):
            await edge.raise_event(route, event)
    except trio.TooSlowError:
        edge.metrics.dropped(route, "not_waited_for")
    except Refusal as refusal:
        edge.metrics.dropped(route, refusal.code)


def is_program(request: Request) -> bool:
    """Did a program fetch this by itself, before or without anybody looking at it?"""
    if request.method == "HEAD":
        return True
    ahead = " ".join(request.headers.get(name, "") for name in _AHEAD).lower()
    if "prefetch" in ahead or "prerender" in ahead or "preview" in ahead:
        return True
    return _PROGRAMS.search(request.headers.get("user-agent", "")) is not None
