"""Facts about chats: which chat belongs to an item, and what was said in it, in both directions (H4, H5, G7).

Import these names from `journal.py`.
"""

from typing import Any

from stagewheel.protocol.facts import Fact


class ChatBound(Fact, tag=73):
    """The item has a chat from now on, or again: messages of it come here. `how`: invitation, message (of
    somebody for whom the item was made, or whom an event reached), made (the item began with it: messages
    come here once the items are closed that had it before).
    """

    channel: str  # the provider, as the configuration names it
    chat: str
    how: str
    name: str = ""  # who is in it, as the provider says


class ChatReceived(Fact, tag=74):
    """The client wrote."""

    channel: str
    chat: str
    text: str
    name: str = ""
    message: str = ""  # the provider's number of it
    files: list[str] = []  # names
    first: bool = False  # of this chat to this item


class ChatSent(Fact, tag=75):
    """The provider took a message to the client. `by`: an employee wrote it, no rule did."""

    rule: str
    step: int
    channel: str
    chat: str
    text: str
    message: str = ""
    files: list[str] = []
    by: int = 0


class ChatWritten(Fact, tag=76):
    """Somebody wrote in the chat: an employee to the client (it is on its way as `step`), or hidden, for
    staff only, as number `number` of the stream.
    """

    text: str
    by: int = 0
    rule: str = ""
    hidden: bool = False
    step: int = 0
    number: int = 0
    to: list[int] = []
    files: dict[str, Any] = {}
    provider: str = ""  # that was asked for, where an item has several chats
