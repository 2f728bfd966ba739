"""A contact or company as it is stored: one row of the items table, told from an item by its length.

Laws: the row stays small whatever is linked to the client: the links are rows of a table of their own
(`Link`), of which a decision is given those that it needs (`facts.links`). What one decision can't tell all
linked items is a `Spread`, a cursor over the links that goes on turn by turn.
"""

import msgspec
from msgspec import Struct

from stagewheel.protocol.messages import Client, RaiseEvent

OPEN_LINK, CLOSED_LINK = b"\0", b"\1"


class Link(Struct, array_like=True, gc=False, frozen=True):
    """An item linked to a client. A row of the table of links holds all but the item's key and `open`."""

    item: str
    open: bool
    pipeline: str
    created_ms: int
    linked_at: int  # journal position of the linking, for two items of one moment
    reached_ms: int = 0  # when an event of the client reached the item last


class Grant(Struct, array_like=True, gc=False, frozen=True):
    """An action that was counted: when, and a digest of the item and step, so that none counts twice."""

    at_ms: int
    by: bytes


class Counted(Struct, array_like=True, gc=False, frozen=True):
    """The latest actions on one channel, oldest first, as far back as any cap has asked."""

    window_ms: int
    grants: list[Grant]


class Spread(Struct, array_like=True, gc=False, frozen=True):
    """What linked items are being told: an event, or (None) the client's data; those up to `cursor` were."""

    cursor: bytes = b""
    event: RaiseEvent | None = None


def cursor_of(link: Link) -> bytes:
    """Where a link stands among the client's: the open ones first, then by key."""
    return (OPEN_LINK if link.open else CLOSED_LINK) + link.item.encode()


class ClientRow(Struct, array_like=True, gc=False):
    """A contact or company."""

    key: str
    client: Client
    company: str  # key of a contact's company
    head: int  # journal position of the newest record
    created_ms: int
    updated_ms: int
    links: int = 0
    made: int = 0  # items made for its events
    tick: int = 0  # the step number that its timer has to name
    caps: dict[str, Counted] = {}
    spreads: list[Spread] = []
    going: bool = False  # it was deleted, and is still telling its items
    eraser: int = -1  # on whose behalf it is erased, with its items; -1: it is not (7.6)


class Known(Struct, frozen=True):
    """What this shard knows of a client that a message names."""

    client: Client
    company: str


encode_client_row = msgspec.msgpack.Encoder().encode
decode_client_row = msgspec.msgpack.Decoder(ClientRow).decode
CLIENT_LEAD = encode_client_row(ClientRow("", Client(), "", 0, 0, 0))[0]


def is_company(client: Client) -> bool:
    """A company, not a contact."""
    return client.kind == "company"


def named(client: Client) -> Client:
    """A client whose key says that it is a company, as one."""
    if client.kind == "contact" and client.key.startswith("company:"):
        return msgspec.structs.replace(client, kind="company")
    return client
