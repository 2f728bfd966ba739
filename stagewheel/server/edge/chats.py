"""`POST /telegram/NAME` and `POST /chats/NAME`: messages that clients write in chats (H5, G7).

Laws: Telegram says who it is by the secret that its webhook was set with, any other provider by a token; both
are compared before the body is read, in a time that tells nothing. NAME is the provider as
`[channels.chat.providers]` calls it. An update that comes again does nothing twice. Telegram sends again
what is not answered 200, so what can't be helped by that (a message of nobody's chat, of another kind, of a
group) is answered 200 and counted; 503 is for what can.
"""

import hashlib
import logging
import re
from typing import Any, Final

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from stagewheel.protocol.messages import Failed, ReceiveChat, Result, Suppress, Unsuppress
from stagewheel.server.core.chat import CHANNEL
from stagewheel.server.core.limits import (
    CHAT_FILES_MAX,
    CHAT_ID_BYTES_MAX,
    CHAT_NAME_CHARS_MAX,
    TEXT_BYTES_MAX,
)
from stagewheel.server.edge.answers import RETRY_S, Refusal, json_response, outcome, told
from stagewheel.server.edge.body import read_body, read_json
from stagewheel.server.edge.config import CHAT_PARTS
from stagewheel.server.edge.endpoint import Edge, dedupe_key
from stagewheel.server.edge.picks import Pick, Sent, key_text, picked, read_pick
from stagewheel.server.invitations import number_of

log = logging.getLogger("stagewheel.edge")
SECRET_HEADER: Final = "x-telegram-bot-api-secret-token"
START: Final = re.compile(r"/start(?:@[A-Za-z0-9_]+)?(?: +([A-Za-z0-9_-]{1,64}))?\s*")
KICKED: Final = "kicked"
LATER: Final = ("mailbox_full",)  # what the provider is to send again


class From(Struct):
    """A user of Telegram."""

    first_name: str = ""
    last_name: str = ""
    username: str = ""
    is_bot: bool = False


class ChatOf(Struct):
    """A chat of Telegram."""

    id: int
    type: str = ""


class FileOf(Struct):
    """A file of a message."""

    file_name: str = ""


class Contact(Struct):
    """A contact that was sent."""

    first_name: str = ""
    phone_number: str = ""


class Message(Struct):
    """A message, as far as it is read: https://core.telegram.org/bots/api#message"""

    message_id: int
    chat: ChatOf
    sender: From | None = msgspec.field(name="from", default=None)
    text: str = ""
    caption: str = ""
    document: FileOf | None = None
    video: FileOf | None = None
    audio: FileOf | None = None
    voice: FileOf | None = None
    video_note: FileOf | None = None
    sticker: FileOf | None = None
    photo: list[FileOf] = []
    contact: Contact | None = None


class Standing(Struct):
    """How the bot stands in a chat: member | kicked | …"""

    status: str = ""


class MemberUpdated(Struct):
    """https://core.telegram.org/bots/api#chatmemberupdated: the client blocked the bot, or took it back."""

    chat: ChatOf
    new_chat_member: Standing


class Update(Struct):
    """https://core.telegram.org/bots/api#update; what is none of these is passed over."""

    update_id: int
    message: Message | None = None
    my_chat_member: MemberUpdated | None = None


FILES: Final = ("document", "video", "audio", "voice", "video_note", "sticker")


class Telegram:
    """The webhooks of the bots."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def post(self, request: Request) -> Response:
        """One update."""
        edge, name = self._edge, request.path_params["name"]
        given = request.headers.get(SECRET_HEADER, "")
        edge.authorize(request, edge.secrets.telegram.get(name, b""), given)
        body = await read_body(request, edge.config.body_bytes_max)
        try:
            update = msgspec.json.decode(body, type=Update)
        except (msgspec.DecodeError, RecursionError):
            raise Refusal(400, "bad_json", "the body is no update of Telegram") from None
        command = self._command(name, update) or _blocked(name, update)
        if command is not None:
            await receive(edge, "telegram", command)
        return json_response({"ok": True})

    def _command(self, name: str, update: Update) -> ReceiveChat | None:
        message = update.message
        if message is None or message.chat.type != "private" or (message.sender and message.sender.is_bot):
            return None
        text, invitation = message.text or message.caption, 0
        started = START.fullmatch(text)
        if started is not None:
            invitation = number_of(self._edge.secrets.signing_key, started[1] or "")
            text = "/start" if invitation else text
        if message.contact is not None and not text:
            text = f"{message.contact.first_name} {message.contact.phone_number}".strip()
        return made(
            name,
            chat=str(message.chat.id),
            text=text,
            name=_name(message.sender),
            message=str(message.message_id),
            files=_files(message),
            invitation=invitation,
            key=f"telegram {name} {update.update_id}",
        )


def _blocked(name: str, update: Update) -> Suppress | Unsuppress | None:
    """Who blocks the bot is written to no more (8.8), until he takes it back."""
    told = update.my_chat_member
    if told is None or told.chat.type != "private":
        return None
    address, key = f"{name}:{told.chat.id}", f"telegram {name} {update.update_id}"
    if told.new_chat_member.status == KICKED:
        return Suppress("", dedupe_key=key, channel=CHANNEL, address=address, reason="blocked the bot")
    return Unsuppress("", dedupe_key=key, channel=CHANNEL, address=address, kind="unsubscribed")


class Chats:
    """The webhooks of other providers, which are described in the configuration."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._picks: dict[str, dict[str, Pick]] = {
            name: {part: read_pick(getattr(one, part)) for part in CHAT_PARTS if getattr(one, part)}
            for name, one in edge.config.chats.items()
        }

    async def post(self, request: Request) -> Response:
        """One message."""
        edge, name = self._edge, request.path_params["name"]
        edge.authorize(request, edge.secrets.chats.get(name, b""))
        body = read_json(await read_body(request, edge.config.body_bytes_max))
        sent = Sent(body, request.query_params, request.headers)
        found = {part: picked(pick, sent) for part, pick in self._picks[name].items()}
        chat, message = key_text(found.get("chat")), key_text(found.get("message"))
        if not 0 < len(chat.encode("utf-8", "replace")) <= CHAT_ID_BYTES_MAX:
            raise Refusal(422, "no_chat", f"there is no chat at {edge.config.chats[name].chat}")
        files = found.get("files")
        command = made(
            name,
            chat=chat,
            text=key_text(found.get("text")),
            name=key_text(found.get("sender")),
            message=message,
            files=[one for one in files if isinstance(one, str)] if isinstance(files, list) else [],
            invitation=number_of(edge.secrets.signing_key, key_text(found.get("start"))),
            key=dedupe_key(request, name) or _key(name, chat, message),
        )
        return told(await receive(edge, "chats", command))


def _key(name: str, chat: str, message: str) -> str:
    """By which a message that comes again is known; "" where the provider gives it no number."""
    if not message:
        return ""
    digest = hashlib.blake2b(f"{chat}\0{message}".encode("utf-8", "replace"), digest_size=16)
    return f"chats {name} {digest.hexdigest()}"


async def receive(edge: Edge, route: str, command: ReceiveChat | Suppress | Unsuppress) -> Result:
    """Give a command to the shard. Raises `Refusal` for what is to be sent again."""
    [result] = await edge.gate.submit([command])
    edge.metrics.raised(route, outcome(result))
    if isinstance(result, Failed):
        log.info("%s: %s", route, result.code)
        if result.code in LATER:
            raise Refusal(503, result.code, result.message, RETRY_S)
    return result


def made(
    channel: str,
    *,
    chat: str,
    text: str,
    name: str,
    message: str,
    files: list[str],
    invitation: int,
    key: str,
) -> ReceiveChat:
    """The command, with what anybody may write cut to what is kept."""
    cut = [one[:CHAT_NAME_CHARS_MAX] for one in files[:CHAT_FILES_MAX]]
    whole = text.encode("utf-8", "replace")
    return ReceiveChat(
        "",
        dedupe_key=key,
        channel=channel,
        chat=chat,
        text=whole[:TEXT_BYTES_MAX].decode("utf-8", "ignore"),
        name=name[:CHAT_NAME_CHARS_MAX],
        message=message[:CHAT_NAME_CHARS_MAX],
        files=cut,
        invitation=invitation,
    )


def _name(sender: From | None) -> str:
    if sender is None:
        return ""
    return " ".join(part for part in (sender.first_name, sender.last_name) if part) or sender.username


def _files(message: Message) -> list[str]:
    """Names; what has none is called by its kind."""
    found: list[tuple[str, Any]] = [(kind, getattr(message, kind)) for kind in FILES]
    names = [one.file_name or kind for kind, one in found if one is not None]
    return [*names, "photo"] if message.photo else names
