"""What items and their clients tell each other: messages from one actor's decision to another's mailbox.

Laws: a message may come twice and then changes nothing the second time; it may come late, so an answer names
what it answers. They stand apart from `inbox.py`, since effects carry them and that file knows effects.
"""

from msgspec import Struct

from stagewheel.protocol.messages import Client

OPEN, CLOSED, GONE = "open", "closed", "gone"


class ItemLinked(Struct, array_like=True, tag=107, tag_field="tag", gc=False):
    """To a client: this item names it. `state`: open, closed (its stage is final), or gone (not any more).

    `known` is what the item has of the client: an actor that does not exist is born from it, one that does
    answers where it differs. `company` is the contact's company as the item knows it.
    """

    item: str
    pipeline: str
    state: str
    created_ms: int
    known: Client
    company: str = ""


class ClientChanged(Struct, array_like=True, tag=108, tag_field="tag", gc=False):
    """To a linked item: what its client is now; None: the client was deleted."""

    key: str
    client: Client | None
    company: str = ""


class CapAsked(Struct, array_like=True, tag=109, tag_field="tag", gc=False):
    """To a client: may this step act on this channel? At most `limit` within `window_ms` may (8.5)."""

    item: str
    step: int
    channel: str
    limit: int
    window_ms: int
    asked_ms: int


class CapAnswered(Struct, array_like=True, tag=124, tag_field="tag", gc=False):
    """To the item: the answer to what was asked at `asked_ms`. `until_ms`: when there is room again."""

    client: str
    step: int
    asked_ms: int
    granted: bool
    until_ms: int = 0


class ChatArrived(Struct, array_like=True, tag=143, tag_field="tag", gc=False):
    """To an item that was made for a message in a chat: here is the message. It is no event any more."""

    channel: str
    chat: str
    text: str
    name: str = ""
    message: str = ""
    files: list[str] = []


class ErasedWithClient(Struct, array_like=True, tag=151, tag_field="tag", gc=False):
    """To a linked item: its client is erased, and the item with it, on behalf of `by` (7.6)."""

    key: str
    by: int = 0


Between = ItemLinked | ClientChanged | CapAsked | CapAnswered | ChatArrived | ErasedWithClient
