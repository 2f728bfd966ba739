"""`POST /s/…`: a provider tells what became of a text message or a call (2.6).

Laws: the address holds which delivery it is, signed by us; what a provider signs besides is held against its
own secret, over the very address that it was given, and a wrong signature changes nothing. An answer is 2xx
once the news is durable, also when it is no news: a provider that is refused would ask for days.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from stagewheel.protocol.messages import CompleteDelivery, Failed, RaiseEvent
from stagewheel.server.core.lanes import channel_of, provider_of
from stagewheel.server.edge.answers import Refusal, outcome
from stagewheel.server.edge.body import content_type, read_body, read_json
from stagewheel.server.edge.endpoint import Edge, bounded
from stagewheel.server.edge.tracking import link_of
from stagewheel.server.limits import EDGE_FORM_FIELDS_MAX
from stagewheel.server.links import STATUS, Delivering

CALL = "call"
AGAIN_S = 5


class Told(Protocol):
    """What a provider told; `end` is delivered | refused, or "" while it is under way."""

    @property
    def end(self) -> str: ...

    @property
    def reason(self) -> str: ...

    @property
    def detail(self) -> dict[str, Any]: ...


class Statuses(Protocol):
    """How the call-backs of a provider are read."""

    def genuine(self, url: str, fields: Sequence[tuple[str, str]], headers: Mapping[str, str]) -> bool:
        """Is the request the provider's own?"""

    def read(self, body: Any) -> Told:
        """What it tells."""


class StatusCallbacks:
    """The call-backs of all providers."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def post(self, request: Request) -> Response:
        """One call-back."""
        edge, signed = self._edge, request.path_params["signed"]
        delivering = link_of(edge, request, Delivering, STATUS, signed)
        statuses: Statuses | None = edge.statuses.get(delivering.lane)
        if statuses is None:
            raise Refusal(404, "not_found", "this provider is not configured any more")
        raw = await read_body(request, edge.config.body_bytes_max)
        fields = [] if content_type(request) == "application/json" else _fields(raw)
        query = f"?{request.url.query}" if request.url.query else ""
        url = f"{edge.config.public_url.rstrip('/')}/{STATUS}/{signed}{query}"
        if not statuses.genuine(url, fields, request.headers):
            edge.metrics.dropped("status", "bad_signature")
            raise Refusal(403, "bad_signature", "the signature of this request is wrong")
        told = statuses.read(dict(fields) if fields else _json(raw))
        if told.end:
            await self._tell(delivering, told)
        return Response(status_code=204)

    async def _tell(self, delivering: Delivering, told: Told) -> None:
        edge, detail = self._edge, bounded(told.detail)
        if channel_of(delivering.lane) == CALL:
            command = CompleteDelivery(
                delivering.item,
                number=delivering.number,
                outcome=told.end,
                reason=told.reason,
                detail=detail,
            )
            [result] = await edge.gate.submit([command])
            edge.metrics.raised("status", outcome(result))
        elif told.end == "refused":
            key = f"edge status {delivering.lane} {delivering.item} {delivering.number}"
            event = RaiseEvent(
                delivering.item,
                dedupe_key=key,
                type="sms_failed",
                code=delivering.rule,
                payload={
                    **detail,
                    "rule": delivering.rule,
                    "address": delivering.address,
                    "provider": provider_of(delivering.lane),
                    "reason": told.reason,
                },
            )
            result = await edge.raise_event("status", event)
        else:
            return
        if isinstance(result, Failed) and result.code == "mailbox_full":
            raise Refusal(503, "busy", "the item's mailbox is full; tell it again", AGAIN_S)


def _fields(raw: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            raw.decode(), keep_blank_values=True, max_num_fields=EDGE_FORM_FIELDS_MAX, errors="strict"
        )
    except ValueError:
        raise Refusal(400, "bad_form", "the body is no form, or has too many fields") from None


def _json(raw: bytes) -> Any:
    body = read_json(raw) if raw else {}
    return body if isinstance(body, dict) else {"body": body}
