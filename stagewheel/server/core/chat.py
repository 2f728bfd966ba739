"""A chat of an item, and what an event says of the message that it came by (H4, H5, G7).

Laws: an item has at most `CHATS_MAX` chats, the one that was bound last first: that is the one in which it
writes. A chat is named by its provider, as the configuration calls it, and by the provider's id of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from stagewheel.server.core.limits import (
    CHAT_FILES_MAX,
    CHAT_ID_BYTES_MAX,
    CHAT_NAME_CHARS_MAX,
    CHATS_MAX,
    TEXT_BYTES_MAX,
)

CHANNEL: Final = "chat"
CHAT_MESSAGE: Final = "chat_message"
NO_CHAT: Final = "the client has no chat"
INVITED, WROTE, MADE = "invitation", "message", "made"  # how a chat comes to an item


class Chat(Struct, array_like=True, gc=False, frozen=True):
    """A chat of an item. `channel` is the provider, `at_ms` when it was bound last."""

    channel: str
    id: str
    at_ms: int
    name: str = ""


class Said(Struct, gc=False, frozen=True):
    """What an event says of a message: `chat` of its payload, and what stands beside it."""

    channel: str
    chat: str
    text: str = ""
    name: str = ""
    message: str = ""
    files: list[str] = []
    invited: bool = False

    def payload(self) -> dict[str, Any]:
        """Of the event: `trigger.text`, `trigger.from`, `trigger.files`, `trigger.channel`."""
        chat = {"id": self.chat, "message": self.message, "invited": self.invited}
        told: dict[str, Any] = {"channel": self.channel, "text": self.text, "from": self.name}
        return {**told, "files": list(self.files), "chat": chat}


def chosen(chats: Sequence[Chat], provider: str) -> Chat | None:
    """The chat in which the item writes: the one that was bound last, of a provider or of any."""
    for chat in chats:
        if provider in ("", chat.channel):
            return chat
    return None


def bound(chats: Sequence[Chat], chat: Chat) -> list[Chat]:
    """The chats with this one in front."""
    others = [one for one in chats if (one.channel, one.id) != (chat.channel, chat.id)]
    return [chat, *others][:CHATS_MAX]


def said(payload: Mapping[str, Any], code: str) -> Said | None:
    """What the payload of an event says of a chat; None where it names none."""
    chat = payload.get("chat")
    if not isinstance(chat, Mapping) or not isinstance(chat.get("id"), str):
        return None
    channel = code or _text(payload.get("channel"))
    files = payload.get("files")
    names = [one for one in files if isinstance(one, str)] if isinstance(files, list) else []
    told = Said(
        channel,
        chat["id"],
        _text(payload.get("text")),
        _text(payload.get("from")),
        _text(chat.get("message")),
        names,
        chat.get("invited") is True,
    )
    return None if wrong(told) else told


def wrong(told: Said) -> str:
    """What is wrong with a message; "" if nothing is."""
    for name, value in (("channel", told.channel), ("chat", told.chat)):
        if not 0 < len(value.encode()) <= CHAT_ID_BYTES_MAX:
            return f"{name} has 1 to {CHAT_ID_BYTES_MAX} bytes"
    if len(told.text.encode()) > TEXT_BYTES_MAX:
        return f"a message has at most {TEXT_BYTES_MAX} bytes"
    if max(len(told.name), len(told.message), *map(len, told.files), 0) > CHAT_NAME_CHARS_MAX:
        return f"name, message and each of files have at most {CHAT_NAME_CHARS_MAX} characters"
    return f"a message has at most {CHAT_FILES_MAX} files" if len(told.files) > CHAT_FILES_MAX else ""


def wrong_chats(chats: Sequence[tuple[str, str, str]]) -> str:
    """What is wrong with the chats that an item is to begin with; "" if nothing is."""
    if len(chats) > CHATS_MAX or len({one[:2] for one in chats}) < len(chats):
        return f"chats: at most {CHATS_MAX}, each once"
    return next((why for one in chats if (why := wrong(Said(one[0], one[1], name=one[2])))), "")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
