"""What is said in chats, as people write it: `chat` is a message of the client, `write_chat` one of an
employee.

Laws: those of `written.py`. A `chat` names its item, so that a scenario needs no invitation: the first one
binds the chat, as the message of an invited client does; without an id it is the chat `1`.
"""

from typing import ClassVar
from zoneinfo import ZoneInfo

from msgspec import field

from stagewheel.protocol.messages import RaiseEvent, ReceiveChat, SendChat
from stagewheel.server.core.chat import CHAT_MESSAGE, Said
from stagewheel.server.rules.document import Doc


class ChatDoc(Doc):
    """`chat`; without `item` the item is found by the chat, as it is at the edge."""

    what: ClassVar[str] = "chat"
    item: str = ""
    text: str = ""
    sender: str = field(name="from", default="")
    files: list[str] = field(default_factory=list)
    channel: str = "telegram"
    chat: str = "1"
    message: str = ""
    by: int = 0
    dedupe_key: str = ""


class WriteChatDoc(Doc):
    """`write_chat`."""

    what: ClassVar[str] = "write_chat"
    item: str
    text: str = ""
    files: list[str] = field(default_factory=list)
    hidden: bool = False
    provider: str = ""
    by: int = 0
    dedupe_key: str = ""


def chat_of(doc: ChatDoc, zone: ZoneInfo) -> RaiseEvent | ReceiveChat:
    """The message of a client."""
    if not doc.item:
        return ReceiveChat(
            "", doc.by, dedupe_key=doc.dedupe_key, channel=doc.channel, chat=doc.chat, text=doc.text,
            name=doc.sender, message=doc.message, files=doc.files,
        )  # fmt: skip
    payload = Said(doc.channel, doc.chat, doc.text, doc.sender, doc.message, doc.files).payload()
    return RaiseEvent(
        doc.item,
        doc.by,
        dedupe_key=doc.dedupe_key,
        type=CHAT_MESSAGE,
        code=doc.channel,
        payload=payload,
    )


def write_chat_of(doc: WriteChatDoc, zone: ZoneInfo) -> SendChat:
    """The message of an employee."""
    return SendChat(
        doc.item, doc.by, dedupe_key=doc.dedupe_key, text=doc.text, files=doc.files, hidden=doc.hidden,
        provider=doc.provider,
    )  # fmt: skip
