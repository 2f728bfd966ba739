"""The body of a request, within its bounds of bytes and time, and what stands in it.

Laws: nothing is read beyond the limit, and nothing is written to disk: a form with a file is refused. What is
not what it says it is gets 400, another type 415.
"""

from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import trio
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from stagewheel.server.edge.answers import Refusal
from stagewheel.server.limits import EDGE_BODY_S, EDGE_FORM_FIELDS_MAX


async def read_body(request: Request, bytes_max: int) -> bytes:
    """The bytes. Raises `Refusal`."""
    too_large = Refusal(413, "too_large", f"the body has more than {bytes_max} bytes")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal():
        raise Refusal(400, "bad_request", "content-length is no number")
    if int(length) > bytes_max:
        raise too_large
    body = bytearray()
    try:
        with trio.fail_after(EDGE_BODY_S):
            async for part in request.stream():
                body += part
                if len(body) > bytes_max:
                    raise too_large
    except trio.TooSlowError:
        raise Refusal(408, "too_slow", f"the body did not arrive within {EDGE_BODY_S:g} s") from None
    except ClientDisconnect:
        raise Refusal(400, "bad_request", "the body did not arrive") from None
    return bytes(body)


def content_type(request: Request) -> str:
    """Without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def read_json(body: bytes) -> Any:
    """The value. Raises `Refusal`."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise Refusal(400, "bad_json", "the body is no JSON") from None


async def read_form(request: Request, bytes_max: int) -> dict[str, str]:
    """Posted fields, the first of each name, as text. Raises `Refusal`."""
    body, kind = await read_body(request, bytes_max), content_type(request)
    if kind == "application/json":
        value = read_json(body)
        if not isinstance(value, dict) or len(value) > EDGE_FORM_FIELDS_MAX:
            raise Refusal(400, "bad_form", f"expected an object of at most {EDGE_FORM_FIELDS_MAX} fields")
        return {name: _plain(name, one) for name, one in value.items() if one is not None}
    if kind == "application/x-www-form-urlencoded":
        try:
            pairs = parse_qsl(
                body.decode(), keep_blank_values=True, max_num_fields=EDGE_FORM_FIELDS_MAX, errors="strict"
            )
        except ValueError:
            raise Refusal(400, "bad_form", "the body is no form, or has too many fields") from None
        return dict(reversed(pairs))
    if kind == "multipart/form-data":
        return await _multipart(request, body)
    raise Refusal(
        415, "bad_type", "send application/x-www-form-urlencoded, multipart/form-data or application/json"
    )


async def _multipart(request: Request, body: bytes) -> dict[str, str]:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(
        request.headers,
        stream(),
        max_files=0,
        max_fields=EDGE_FORM_FIELDS_MAX,
        max_part_size=len(body) + 1,
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError):
        raise Refusal(400, "bad_form", "the body is no form without files") from None
    return {name: value for name, value in reversed(form.multi_items()) if isinstance(value, str)}


def _plain(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise Refusal(400, "bad_form", "a form's field is text, a number, or true or false")
