"""`POST /texts/NAME`: text messages to a number of Twilio's (8.8, G7).

Laws: who writes STOP is sent no text messages any more, who writes START gets them again: the words of the
section, or what Twilio took for them itself (`OptOutType`). Only the whole message is such a word. Any other
message is one of the open channel NAME, whose chats are the numbers: it goes where a chat's message goes, and
is nobody's if that finds nobody. A message that comes again does nothing twice.
"""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from stagewheel.protocol.messages import AnyCommand, Failed, ReceiveChat, Suppress, Unsuppress
from stagewheel.server.core.chat import CHANNEL as CHAT
from stagewheel.server.core.limits import CHAT_FILES_MAX, CHAT_NAME_CHARS_MAX, TEXT_BYTES_MAX
from stagewheel.server.edge.answers import RETRY_S, Refusal, outcome
from stagewheel.server.edge.config_phone import TextsConfig
from stagewheel.server.edge.contact import number_key
from stagewheel.server.edge.endpoint import Edge
from stagewheel.server.edge.twilio import HIDDEN, fields_of, twiml, verb

STOP, START = "STOP", "START"
SMS: Final = "sms"
UNSUBSCRIBED: Final = "unsubscribed"
SID_CHARS_MAX: Final = 64


class Texts:
    """The numbers of the configuration."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def post(self, request: Request) -> Response:
        """One message."""
        edge, name = self._edge, request.path_params["name"]
        fields = await fields_of(edge, request, edge.secrets.texts.get(name, b""))
        number, sid = fields.get("From", ""), fields.get("MessageSid", "")[:SID_CHARS_MAX]
        if number in HIDDEN or not number_key(number) or not sid:
            edge.metrics.dropped("texts", "no_number")
            return twiml()
        config, key = edge.config.texts[name], f"edge texts {name} {sid}"
        wanted = _wanted(config, fields)
        commands: list[AnyCommand] = [_message(name, number, sid, fields, key)]
        if wanted:
            places = ((SMS, number), (CHAT, f"{name}:{number}"))
            commands = [_switch(wanted, channel, to, f"{key} {channel}") for channel, to in places]
        results = await edge.gate.submit(commands)
        for result in results:
            edge.metrics.raised("texts", outcome(result))
        if any(isinstance(result, Failed) and result.code == "mailbox_full" for result in results):
            raise Refusal(503, "busy", "the item's mailbox is full; send it again", RETRY_S)
        reply = {STOP: config.stop_reply, START: config.start_reply}.get(wanted, "")
        return twiml(verb("Message", reply)) if reply else twiml()


def _wanted(config: TextsConfig, fields: dict[str, str]) -> str:
    """STOP, START, or "" for any other message."""
    told = fields.get("OptOutType", "")
    if told in (STOP, START):
        return told
    word = fields.get("Body", "").strip(" \t\r\n.!\"'").casefold()
    if word in (one.casefold() for one in config.stop_words):
        return STOP
    return START if word in (one.casefold() for one in config.start_words) else ""


def _switch(wanted: str, channel: str, address: str, key: str) -> AnyCommand:
    if wanted == STOP:
        return Suppress("", dedupe_key=key, channel=channel, address=address, reason="wrote STOP")
    return Unsuppress("", dedupe_key=key, channel=channel, address=address, kind=UNSUBSCRIBED)


def _message(name: str, number: str, sid: str, fields: dict[str, str], key: str) -> ReceiveChat:
    """With what anybody may send cut to what is kept; pictures stay with Twilio, their types are told."""
    count = fields.get("NumMedia", "0")
    media = range(min(int(count), CHAT_FILES_MAX) if count.isdecimal() else 0)
    return ReceiveChat(
        "",
        dedupe_key=key,
        channel=name,
        chat=number,
        text=fields.get("Body", "").encode("utf-8", "replace")[:TEXT_BYTES_MAX].decode("utf-8", "ignore"),
        message=sid,
        files=[fields.get(f"MediaContentType{at}", "file")[:CHAT_NAME_CHARS_MAX] for at in media],
        phone=number,
    )
