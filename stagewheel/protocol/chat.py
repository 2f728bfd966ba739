"""Commands of chats: a message that came in, a message that an employee writes.

Import these names from `messages.py`.
"""

from msgspec import Struct

from stagewheel.protocol.base import Command


class SendChat(Command, tag=47):
    """Write to the client of an item in its chat, on behalf of `by`; `hidden`: to the employees only. `files`
    are ids of stored files, `provider` one of several chats of the item.
    """

    text: str = ""
    files: list[str] = []
    hidden: bool = False
    provider: str = ""


class ReceiveChat(Command, tag=48):
    """A message came in from a chat; the item is found by the chat, so `item` is empty. `channel` is the
    provider as the configuration names it, `invitation` the number of the one whose link began the chat.

    -> what the event `chat_message` did
    """

    channel: str = ""
    chat: str = ""
    text: str = ""
    name: str = ""  # of whoever wrote
    message: str = ""  # the provider's number of it
    files: list[str] = []  # names
    invitation: int = 0
    phone: str = ""  # of whoever wrote, where the chat is with a number: the contact is `contact:PHONE`


class ChatView(Struct):
    """A chat of an item: `at_ms` is when it was bound last."""

    channel: str
    chat: str
    at_ms: int
    name: str = ""
