"""`POST /forms/NAME` (G3, G16): what somebody filled in on a page, with no token but with an allowed origin.

Laws: an item is named only by a signed field, so nobody writes to the items of others by guessing; without
one the form is an event of the contact with the posted e-mail address, which reaches that contact's item or
makes one (`sources:` with `on_unmatched: create`). Fields of an item are written only with a signed field or
on the item that the form itself made: the address alone proves nothing. The answer says no more than that the
form was taken, also to who filled the honeypot.
"""

import logging
from typing import Any, Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from stagewheel.protocol.messages import AnyCommand, Failed, RaiseEvent, Result, UpdateItem
from stagewheel.server.edge.answers import Refusal, json_response, outcome
from stagewheel.server.edge.body import read_form
from stagewheel.server.edge.config import FormConfig, Target, purpose_of, read_target
from stagewheel.server.edge.contact import contact_key
from stagewheel.server.edge.endpoint import Edge, bounded, dedupe_key
from stagewheel.server.edge.signing import BadSignature, SignatureEnded, read_signed

log = logging.getLogger("stagewheel.edge")
PREFLIGHT_S: Final = 600
TRUE: Final = frozenset({"true", "on", "yes", "1"})


class Filled(Struct):
    """A form that was read: where its values go."""

    item: dict[str, Any]
    client: dict[str, str]
    payload: dict[str, Any]


class Forms:
    """The forms of the configuration."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._targets = {
            name: {field: read_target(field, to) for field, to in form.fields.items()}
            for name, form in edge.config.forms.items()
        }

    async def preflight(self, request: Request) -> Response:
        """A browser asks whether it may."""
        self._form(request)
        request.state.extra |= {
            "access-control-allow-methods": "POST",
            "access-control-allow-headers": "content-type, idempotency-key",
            "access-control-max-age": str(PREFLIGHT_S),
        }
        return Response(status_code=204)

    async def post(self, request: Request) -> Response:
        """One form."""
        name, form = self._form(request)
        values = await read_form(request, self._edge.config.body_bytes_max)
        if form.honeypot and values.get(form.honeypot, ""):
            self._edge.metrics.dropped("forms", "honeypot")
            return _done(request, form)
        missing = [one for one in form.required if not values.get(one, "").strip()]
        if missing:
            raise Refusal(422, "missing_field", f"the field {missing[0]} is required")
        filled = _fill(values, form, self._targets[name])
        key = dedupe_key(request, f"forms/{name}")
        signed = values.get(form.item_field, "") if form.item_field else ""
        if signed:
            await self._of_item(self._item(name, signed), filled, form.form or name, form.on, key)
        else:
            await self._of_contact(filled, form.form or name, form.on, key)
        return _done(request, form)

    def _form(self, request: Request) -> tuple[str, FormConfig]:
        """The form, for a page that may post it. Raises `Refusal`."""
        name = request.path_params["name"]
        form = self._edge.config.forms.get(name)
        if form is None:
            raise Refusal(404, "unknown_form", "there is no such form")
        request.state.extra["vary"] = "Origin"
        origin = request.headers.get("origin", "")
        if "*" not in form.origins and origin not in form.origins:
            raise Refusal(403, "wrong_origin", "this form is not for pages of that origin")
        if origin:
            request.state.extra["access-control-allow-origin"] = origin
        return name, form

    def _item(self, name: str, signed: str) -> str:
        try:
            return read_signed(self._edge.secrets.signing_key, purpose_of(name), signed, self._edge.now_s())
        except BadSignature:
            raise Refusal(403, "bad_signature", "the form is not one of ours") from None
        except SignatureEnded:
            raise Refusal(410, "too_old", "the form is too old; open its page again") from None

    async def _of_item(self, item: str, filled: Filled, code: str, on: str, key: str) -> None:
        """Fields first, so that conditions on the event see them; if they are refused there is no event."""
        if filled.item:
            self._taken(await self._submit(UpdateItem(item, dedupe_key=_fields_key(key), fields=filled.item)))
        event = RaiseEvent(item, dedupe_key=key, type=on, code=code, payload=filled.payload)
        self._taken(await self._submit(event))

    async def _of_contact(self, filled: Filled, code: str, on: str, key: str) -> None:
        contact = contact_key(filled.client.get("email", ""))
        if not contact:
            raise Refusal(422, "bad_email", "an e-mail address is needed")
        event = RaiseEvent(
            contact, dedupe_key=key, type=on, code=code, payload=filled.payload, fields=filled.item
        )
        self._taken(await self._submit(event))

    async def _submit(self, command: AnyCommand) -> Result:
        [result] = await self._edge.gate.submit([command])
        self._edge.metrics.raised("forms", outcome(result))
        return result

    def _taken(self, result: Result) -> None:
        if isinstance(result, Failed):
            log.warning("forms: not taken: %s", result.code)
            busy = result.code == "mailbox_full"
            raise Refusal(503 if busy else 422, "not_taken", "the form could not be taken", 5 if busy else 0)


def _fields_key(key: str) -> str:
    return f"{key} fields" if key else ""


def _fill(values: dict[str, str], form: FormConfig, targets: dict[str, Target]) -> Filled:
    """Raises `Refusal` for a value that is not what its field asks for."""
    filled = Filled({}, {}, {})
    if not targets:
        own = (form.item_field, form.honeypot, "client")
        filled.payload = bounded({name: value for name, value in values.items() if name not in own})
    for field, target in targets.items():
        text = values.get(field, "").strip()
        if not text:
            continue
        if target.part == "client":
            filled.client |= bounded({target.name: text})
            continue
        value = _value(field, text, target.kind)
        filled.payload[target.name] = value
        if target.part == "item":
            filled.item[target.name] = value
    if filled.client:
        lists = {f"{part}s": [filled.client[part]] for part in ("email", "phone") if part in filled.client}
        filled.payload["client"] = {"name": filled.client.get("name", ""), **lists}
    return filled


def _value(field: str, text: str, kind: str) -> Any:
    if kind == "boolean":
        return text.casefold() in TRUE
    if kind == "number":
        try:
            number = float(text.replace(",", "."))
        except ValueError:
            number = float("inf")
        if abs(number) > 1e15 or number != number:
            raise Refusal(422, "bad_field", f"the field {field} is a number")
        return int(number) if number.is_integer() else number
    return text


def _done(request: Request, form: FormConfig) -> Response:
    if form.redirect and "application/json" not in request.headers.get("accept", ""):
        return RedirectResponse(form.redirect, 303, {"cache-control": "no-store"})
    return json_response({"ok": True})
