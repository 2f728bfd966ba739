"""What one shard tells another, as data, and which command is whose.

These travel within the command `Relayed`, which no client sends: their shapes are the server's own business.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from stagewheel.protocol.messages import (
    ActivateVersion,
    ActivitiesQuery,
    AdvanceClock,
    AnyCommand,
    AnyQuery,
    BeginFile,
    Client,
    ClientQuery,
    CompleteDelivery,
    CreateItem,
    DropAction,
    DropDeadLetter,
    DropFile,
    FileProgress,
    Hold,
    ItemQuery,
    LinksQuery,
    Published,
    PutEmployee,
    PutFileChunk,
    PutRuleset,
    RaiseEvent,
    ReceiveChat,
    RecordCountsQuery,
    RecordsQuery,
    RegisterAction,
    Relayed,
    ReplyStream,
    Result,
    RetryDeadLetter,
    SettlePoison,
    StopEnrolment,
    Suppress,
    TaskQuery,
    TasksQuery,
    TellCounts,
    TimelineQuery,
    Unsuppress,
    UpdateItem,
)
from stagewheel.server.core.between import Between
from stagewheel.server.core.lineage import Lineage


class ItemMessageSent(Struct, array_like=True, tag=1):
    """An item's decision sent a message to an item of the other shard."""

    item: str
    message: CreateItem | UpdateItem | RaiseEvent | Between
    lineage: Lineage | None = None


class PassedOn(Struct, array_like=True, tag=2):
    """A command whose item lives on the other shard, and whose client waits here for its end."""

    command: AnyCommand
    producer: bytes
    seq: int
    index: int


class Finished(Struct, array_like=True, tag=3):
    """The end of a command that was passed on."""

    producer: bytes
    seq: int
    index: int
    result: Result


class ClientTold(Struct, array_like=True, tag=4):
    """What a contact or company is now, for decisions of items that name it for the first time; None: it is
    gone.
    """

    key: str
    client: Client | None
    company: str = ""


class AliasTold(Struct, array_like=True, tag=5):
    """From now on this names the key; "": it names nothing."""

    alias: str
    key: str


class ChatTold(Struct, array_like=True, tag=6):
    """An item was bound to a chat (`behind` all others, perhaps), or is gone from it."""

    item: str
    channel: str
    chat: str
    behind: bool = False
    gone: bool = False


class InvitationTold(Struct, array_like=True, tag=7):
    """Whoever comes with this invitation comes to the item."""

    item: str
    number: int


class ChatOffered(Struct, array_like=True, tag=8):
    """A message of a chat, and who may be its receiver: the item of an invitation, the items of the chat that
    were not looked at, those that are closed, a client, and the item that gets it when nobody else does.
    """

    chat: ReceiveChat
    invited: str
    items: list[str]
    there: list[str]
    client: str
    last: str
    producer: bytes
    seq: int
    index: int


class FileBegun(Struct, array_like=True, tag=9):
    """The directory took an upload, under this number."""

    command: BeginFile
    number: int


class ItemErased(Struct, array_like=True, tag=10):
    """The personal data of an item goes (7.6): what its timeline showed is to be looked for here as well."""

    number: int
    item: str
    by: int
    since_ms: int
    words: list[str]
    addresses: list[str]
    files: list[str]


class FileMade(Struct, array_like=True, tag=12):
    """A sender of this shard stores a document that it made: another shard's item may come to name it."""

    command: BeginFile | PutFileChunk
    number: int


class FileDropped(Struct, array_like=True, tag=13):
    """A document was made for an item that is gone."""

    file: str


class VersionsForgotten(Struct, array_like=True, tag=11):
    """The directory has these versions no more: nobody activates them again."""

    numbers: list[int]


class RoomTold(Struct, array_like=True, tag=14):
    """A booking of a room, as the key and value of its row; None: it is no more."""

    key: bytes
    value: bytes | None


Told = (
    ItemMessageSent
    | PassedOn
    | Finished
    | ClientTold
    | AliasTold
    | ChatTold
    | InvitationTold
    | ChatOffered
    | FileBegun
    | ItemErased
    | VersionsForgotten
    | FileMade
    | FileDropped
    | RoomTold
)

encode_told: Final = msgspec.msgpack.Encoder().encode
decode_told: Final[Callable[[bytes], Told]] = msgspec.msgpack.Decoder(Told).decode


# ---------------------------------------------------------------- which command is whose


def _as_it_is(command: Any, result: Result) -> bytes:
    return encode_told(replace(command, dedupe_key=""))


def _decided(command: ActivateVersion, result: Result) -> bytes:
    """The version that the directory found: another shard may have older ones still."""
    number = result.version if isinstance(result, Published) else command.version
    return encode_told(replace(command, dedupe_key="", version=number))


def _begun(command: BeginFile, result: Result) -> bytes:
    """Under the directory's number: chunks name it."""
    number = result.upload if isinstance(result, FileProgress) else 0
    told = FileBegun(replace(command, dedupe_key=""), number)
    return encode_told(Relayed("", message=encode_told(told)))


EVERYWHERE: Final[Mapping[type, Callable[[Any, Result], bytes]]] = {
    PutEmployee: _as_it_is,
    PutRuleset: _as_it_is,
    ActivateVersion: _decided,
    StopEnrolment: _as_it_is,
    Hold: _as_it_is,
    Suppress: _as_it_is,
    Unsuppress: _as_it_is,
    BeginFile: _begun,
    PutFileChunk: _as_it_is,
    DropFile: _as_it_is,
    RegisterAction: _as_it_is,
    DropAction: _as_it_is,
}
"""What the directory decides and tells the others: the command that each of them gets."""

AT_DIRECTORY: Final = frozenset({*EVERYWHERE, ReceiveChat})
ANY_SHARD: Final = frozenset(
    {
        AdvanceClock,
        CompleteDelivery,
        DropDeadLetter,
        Relayed,
        ReplyStream,
        RetryDeadLetter,
        SettlePoison,
        TellCounts,
    }
)
"""Commands that may name a number and no item: who does not have that number says so."""


def key_asked(query: AnyQuery) -> str:
    """The key of which a query asks; "": of none, or of a number."""
    match query:
        case ItemQuery(item=key) | TimelineQuery(item=key) | ActivitiesQuery(item=key):
            return key
        case ClientQuery(client=key) | LinksQuery(client=key):
            return key
        case TasksQuery(where=where) | RecordsQuery(where=where) | RecordCountsQuery(where=where):
            return where.item
        case TaskQuery(item=key, number=0):
            return key
        case _:
            return ""
