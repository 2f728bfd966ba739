"""`POST /voice/NAME`: calls to a number of Twilio's, and what became of them (G2, G16).

Laws: a call is an event of the contact whose number it is, `contact:+390655500101`: `incoming_call` when it
comes, `call_missed` when nobody took it, `outgoing_call` when somebody called from outside of the rules is
over. Each is told once for a call, whichever of Twilio's requests brings it first. A caller gets on also
while the shard does not answer; then the status of the call, which Twilio tells at its end, tells what is
missing. Who hides its number is answered, and no event: there is nobody whose it could be.
"""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from stagewheel.protocol.messages import Failed, RaiseEvent
from stagewheel.server.edge.answers import RETRY_S, Refusal, outcome
from stagewheel.server.edge.config_phone import VoiceConfig
from stagewheel.server.edge.contact import number_key
from stagewheel.server.edge.endpoint import Edge
from stagewheel.server.edge.twilio import HIDDEN, address, fields_of, twiml, verb

INCOMING, MISSED, OUTGOING = "incoming_call", "call_missed", "outgoing_call"
TAKEN: Final = frozenset({"completed", "answered"})  # of a forwarded call
OVER: Final = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})
SID_CHARS_MAX: Final = 64


class Voice:
    """The numbers of the configuration."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def call(self, request: Request) -> Response:
        """Somebody calls: what the caller hears or who is called."""
        name, config, fields = await self._read(request)
        types = [INCOMING] if config.answer == "forward" else [INCOMING, MISSED]
        try:
            await self._tell(name, config, fields, types, fields.get("CallStatus", ""))
        except Refusal as refusal:
            self._edge.metrics.dropped("voice", refusal.code)
        if config.answer == "reject":
            return twiml(verb("Reject", reason="busy"))
        if config.answer == "say":
            return twiml(_said(config))
        number, ended = verb("Number", config.forward_to), address(self._edge, f"/voice/{name}/end")
        dial = verb("Dial", timeout=str(config.ring_s), action=ended, method="POST")
        return twiml(f"{dial[:-2]}>{number}</Dial>")

    async def end(self, request: Request) -> Response:
        """A call that was forwarded is over, or nobody took it."""
        name, config, fields = await self._read(request)
        status = fields.get("DialCallStatus", "")
        if status in TAKEN:
            return twiml(verb("Hangup"))
        try:
            await self._tell(name, config, fields, [INCOMING, MISSED], status)
        except Refusal as refusal:
            self._edge.metrics.dropped("voice", refusal.code)
        return twiml(_said(config) if config.text else verb("Hangup"))

    async def status(self, request: Request) -> Response:
        """A call is over, in whichever direction. What is not taken is to be told again."""
        name, config, fields = await self._read(request)
        status = fields.get("CallStatus", "")
        if status in OVER:
            incoming = [INCOMING] if status == "completed" else [INCOMING, MISSED]
            await self._tell(name, config, fields, [OUTGOING] if _is_outgoing(fields) else incoming, status)
        return Response(status_code=204)

    async def _read(self, request: Request) -> tuple[str, VoiceConfig, dict[str, str]]:
        edge, name = self._edge, request.path_params["name"]
        # An unknown number looks like a wrong signature, so that names can't be tried out.
        fields = await fields_of(edge, request, edge.secrets.voice.get(name, b""))
        return name, edge.config.voice[name], fields

    async def _tell(
        self, name: str, config: VoiceConfig, fields: dict[str, str], types: list[str], status: str
    ) -> None:
        """Raises `Refusal` for what is to be told again."""
        edge, outgoing = self._edge, _is_outgoing(fields)
        theirs, ours = ("To", "From") if outgoing else ("From", "To")
        number, sid = fields.get(theirs, ""), fields.get("CallSid", "")[:SID_CHARS_MAX]
        contact = "" if number in HIDDEN else number_key(number)
        if not contact or not sid:
            edge.metrics.dropped("voice", "no_number")
            return
        line = config.line or fields.get(ours, "")
        caller = "" if outgoing else fields.get("CallerName", "")
        payload: dict[str, Any] = {"line": line, "number": number, "call": sid, "status": status}
        payload["client"] = {"name": caller, "phones": [number]}
        events = [
            RaiseEvent(
                contact, dedupe_key=f"edge voice {name} {sid} {type_}", type=type_, code=line, payload=payload
            )
            for type_ in types
        ]
        results = await edge.gate.submit(events)
        for result in results:
            edge.metrics.raised("voice", outcome(result))
        if any(isinstance(result, Failed) and result.code == "mailbox_full" for result in results):
            raise Refusal(503, "busy", "the contact's mailbox is full; tell it again", RETRY_S)


def _is_outgoing(fields: dict[str, str]) -> bool:
    """Did somebody of ours call? Twilio names directions `inbound`, `outbound-api` and `outbound-dial`."""
    return fields.get("Direction", "").startswith("outbound")


def _said(config: VoiceConfig) -> str:
    return verb("Say", config.text, voice=config.voice, language=config.language)
