"""What all requests of Twilio have in common: the signature by which they are known, and TwiML that answers.

Laws: the signature is over the address that Twilio was given (`public_url`, path and query) and every field.
Nothing of a request is believed before that. What is ours in an answer is escaped, so no text becomes markup.
"""

import hmac
from collections.abc import Sequence
from html import escape
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from stagewheel.server.channels.statuses import twilio_signature
from stagewheel.server.edge.answers import Refusal
from stagewheel.server.edge.body import read_body
from stagewheel.server.edge.endpoint import Edge
from stagewheel.server.limits import EDGE_FORM_FIELDS_MAX, EDGE_TEXT_CHARS_MAX

SIGNATURE: Final = "x-twilio-signature"
# What stands for a caller who hides its number: the letters of these words on a keypad, or the words.
HIDDEN: Final = frozenset({"+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253"})


async def fields_of(edge: Edge, request: Request, token: bytes) -> dict[str, str]:
    """The fields of a request that is genuine. Raises `Refusal`."""
    raw = await read_body(request, edge.config.body_bytes_max)
    try:
        pairs = parse_qsl(
            raw.decode(), keep_blank_values=True, max_num_fields=EDGE_FORM_FIELDS_MAX, errors="strict"
        )
    except ValueError:
        pairs = []
    if not token or not _genuine(edge, request, token, pairs):
        edge.limit(edge.public, request)
        raise Refusal(403, "bad_signature", "the signature of this request is wrong")
    edge.limit(edge.with_token, request)
    return {name: value[:EDGE_TEXT_CHARS_MAX] for name, value in pairs}


def _genuine(edge: Edge, request: Request, token: bytes, pairs: Sequence[tuple[str, str]]) -> bool:
    url = address(edge, request.url.path) + (f"?{request.url.query}" if request.url.query else "")
    given = request.headers.get(SIGNATURE, "")
    return hmac.compare_digest(given.encode(), twilio_signature(token.decode(), url, pairs).encode())


def address(edge: Edge, path: str) -> str:
    """As Twilio reaches it."""
    return f"{edge.config.public_url.rstrip('/')}{path}"


def twiml(*verbs: str) -> Response:
    """An answer that says what happens next."""
    text = f'<?xml version="1.0" encoding="UTF-8"?><Response>{"".join(verbs)}</Response>'
    return Response(text, 200, {"cache-control": "no-store"}, "text/xml")


def verb(name: str, text: str = "", **attributes: str) -> str:
    """An element of TwiML, without the attributes that are empty."""
    told = "".join(f' {key}="{escape(_plain(one))}"' for key, one in attributes.items() if one)
    return f"<{name}{told}>{escape(_plain(text), quote=False)}</{name}>" if text else f"<{name}{told}/>"


def _plain(text: str) -> str:
    """As XML takes it: control characters can't be written in it."""
    return "".join(c for c in text if c >= " " or c in "\t\n\r")
