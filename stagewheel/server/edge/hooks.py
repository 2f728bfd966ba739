"""`POST /hooks/NAME` (G4) and `POST /events` (G16, G17): events of other programs, which have a token.

Laws: a token is compared before the body is read. The answer comes after the event is durable and says what
it did. Sent again with the same Idempotency-Key it does nothing twice.
"""

from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from stagewheel.protocol.messages import RaiseEvent
from stagewheel.server.core.limits import ITEM_KEY_BYTES_MAX
from stagewheel.server.edge.answers import Refusal, told
from stagewheel.server.edge.body import content_type, read_body, read_form, read_json
from stagewheel.server.edge.config import RAISABLE, HookConfig
from stagewheel.server.edge.endpoint import Edge, dedupe_key
from stagewheel.server.edge.picks import Pick, Sent, key_text, picked, read_pick

FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


class EventBody(Struct, forbid_unknown_fields=True):
    """The body of `POST /events`."""

    item: str
    type: str = "app"
    code: str = ""
    payload: dict[str, Any] = {}
    by: int = 0
    at_ms: int = 0


class Hook(Struct, frozen=True):
    """A hook whose paths were read."""

    name: str
    config: HookConfig
    item: Pick
    payload: dict[str, Pick]


class Hooks:
    """The hooks of the configuration."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._hooks = {
            name: Hook(
                name,
                config,
                read_pick(config.item),
                {key: read_pick(path) for key, path in config.payload.items()},
            )
            for name, config in edge.config.hooks.items()
        }

    async def post(self, request: Request) -> Response:
        """One request of a hook."""
        edge, name = self._edge, request.path_params["name"]
        # An unknown hook looks like a wrong token, so that names can't be tried out.
        edge.authorize(request, edge.secrets.hooks.get(name, b""))
        hook = self._hooks[name]
        sent = Sent(await self._body(request), request.query_params, request.headers)
        key = key_text(picked(hook.item, sent))
        if not key:
            raise Refusal(422, "no_item", f"there is no item's key at {hook.config.item}")
        item = checked_key(hook.config.item_prefix + key)
        event = RaiseEvent(
            item,
            dedupe_key=dedupe_key(request, name),
            type=hook.config.on,
            code=hook.config.code or name,
            payload=_payload(hook, sent),
        )
        return told(await edge.raise_event("hooks", event))

    async def _body(self, request: Request) -> Any:
        bytes_max = self._edge.config.body_bytes_max
        if content_type(request) in FORM_TYPES:
            return await read_form(request, bytes_max)
        body = await read_body(request, bytes_max)
        return read_json(body) if body else {}


def _payload(hook: Hook, sent: Sent) -> dict[str, Any]:
    if hook.payload:
        return {name: picked(pick, sent) for name, pick in hook.payload.items()}
    return sent.body if isinstance(sent.body, dict) else {"body": sent.body}


class Events:
    """Any event, told as JSON."""

    def __init__(self, edge: Edge) -> None:
        config = edge.config.events
        self._edge = edge
        self._types = (config.types if config is not None else ()) or RAISABLE

    async def post(self, request: Request) -> Response:
        """One event."""
        edge = self._edge
        edge.authorize(request, edge.secrets.events_token)
        raw = await read_body(request, edge.config.body_bytes_max)
        try:
            body = msgspec.json.decode(raw, type=EventBody)
        except msgspec.ValidationError as error:
            raise Refusal(422, "bad_event", str(error)) from None
        except (msgspec.DecodeError, RecursionError):
            raise Refusal(400, "bad_json", "the body is no JSON") from None
        if body.type not in self._types:
            raise Refusal(422, "bad_event", f"type: use one of {', '.join(self._types)}")
        event = RaiseEvent(
            checked_key(body.item),
            body.by,
            body.at_ms,
            dedupe_key(request, "/events"),
            type=body.type,
            code=body.code,
            payload=body.payload,
        )
        return told(await edge.raise_event("events", event))


def checked_key(key: str) -> str:
    """A key that an item may have. Raises `Refusal`."""
    if not 0 < len(key.encode("utf-8", "replace")) <= ITEM_KEY_BYTES_MAX or key[0] == "\0":
        raise Refusal(422, "no_item", f"an item's key has 1 to {ITEM_KEY_BYTES_MAX} bytes")
    return key
