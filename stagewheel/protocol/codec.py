"""Messages to MessagePack bytes and back: one encoder, and one compiled decoder for each type.

Laws: decoding validates types once and for all, inside they are trusted; whatever bytes come in, the only
error that goes out is `Malformed`. A decoder of msgspec is compiled when it is built, so each is built once:
a Submit of 64 commands decodes in about 40 µs, without a line of Python for each command.
"""

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, Final

import msgspec

from stagewheel.protocol import messages as m
from stagewheel.protocol.errors import Malformed
from stagewheel.protocol.journal import Record


class Kind(IntEnum):
    """The second byte of every header. A number is never used again."""

    HELLO = 1
    WELCOME = 2
    SUBMIT = 3
    ANSWER = 4
    COMPLETED = 5
    REFUSED = 6
    QUERY = 7
    REPLY = 8
    SUBSCRIBE = 9
    CREDIT = 10
    UNSUBSCRIBE = 11
    JOURNAL = 12
    PULL = 13
    JOBS = 14
    REPORTS = 15
    REPORTS_TAKEN = 16
    REGISTER = 22
    REGISTERED = 23
    ACTION_JOBS = 24
    STORE_FILE = 17
    POOLS = 25


Message = (
    m.Hello
    | m.Welcome
    | m.Submit
    | m.SubmitEncoded
    | m.Answer
    | m.Completed
    | m.Refused
    | m.Query
    | m.Reply
    | m.Subscribe
    | m.Credit
    | m.Unsubscribe
    | m.Journal
    | m.Pull
    | m.Jobs
    | m.Reports
    | m.ReportsTaken
    | m.Register
    | m.Registered
    | m.ActionJobs
    | m.StoreFile
    | m.Pools
)

TYPE_OF_KIND: Final[Mapping[Kind, type[Message]]] = {
    Kind.HELLO: m.Hello,
    Kind.WELCOME: m.Welcome,
    Kind.SUBMIT: m.Submit,
    Kind.ANSWER: m.Answer,
    Kind.COMPLETED: m.Completed,
    Kind.REFUSED: m.Refused,
    Kind.QUERY: m.Query,
    Kind.REPLY: m.Reply,
    Kind.SUBSCRIBE: m.Subscribe,
    Kind.CREDIT: m.Credit,
    Kind.UNSUBSCRIBE: m.Unsubscribe,
    Kind.JOURNAL: m.Journal,
    Kind.PULL: m.Pull,
    Kind.JOBS: m.Jobs,
    Kind.REPORTS: m.Reports,
    Kind.REPORTS_TAKEN: m.ReportsTaken,
    Kind.REGISTER: m.Register,
    Kind.REGISTERED: m.Registered,
    Kind.ACTION_JOBS: m.ActionJobs,
    Kind.STORE_FILE: m.StoreFile,
    Kind.POOLS: m.Pools,
}
KIND_OF_TYPE: Final[Mapping[type[Any], Kind]] = {
    **{type_: kind for kind, type_ in TYPE_OF_KIND.items()},
    m.SubmitEncoded: Kind.SUBMIT,
}

# What msgspec raises on hostile bytes: its own errors are ValueErrors, so is bad utf-8; deep nesting is a
# RecursionError, a map key that cannot be hashed a TypeError.
_HOSTILE = (ValueError, RecursionError, TypeError, OverflowError)

encode_payload: Final[Callable[[Any], bytes]] = msgspec.msgpack.Encoder().encode

_DECODE_KIND: Final[Mapping[int, Callable[[bytes], Message]]] = {
    kind: msgspec.msgpack.Decoder(type_).decode for kind, type_ in TYPE_OF_KIND.items()
}
_decode_record = msgspec.msgpack.Decoder(Record).decode
_decode_detail: Callable[[Any], dict[str, Any]] = msgspec.msgpack.Decoder(dict[str, Any]).decode
_decode_command: Callable[[bytes | msgspec.Raw], m.AnyCommand] = msgspec.msgpack.Decoder(m.AnyCommand).decode


def decode_payload(kind: Kind, payload: bytes) -> Message:
    """The message of this kind; raises `Malformed`, which names the place in the message."""
    try:
        return _DECODE_KIND[kind](payload)
    except _HOSTILE as error:
        raise Malformed(f"the payload is no {TYPE_OF_KIND[kind].__name__}: {error}") from None


def decode_record(data: bytes | msgspec.Raw) -> Record:
    """One journal record; raises `Malformed`."""
    try:
        return _decode_record(data)
    except _HOSTILE as error:
        raise Malformed(f"this is no journal record: {error}") from None


def decode_command(data: bytes | msgspec.Raw) -> m.AnyCommand:
    """One command, as it stands in mailboxes and poison rows; raises `Malformed`."""
    try:
        return _decode_command(data)
    except _HOSTILE as error:
        raise Malformed(f"this is no command: {error}") from None


def decode_detail(data: bytes | msgspec.Raw) -> dict[str, Any]:
    """What a delivery came to. It was delivered whatever that says: what is no map says nothing."""
    try:
        return _decode_detail(data)
    except _HOSTILE:
        return {}


def reports_of(delivered: m.Delivered) -> list[m.Report]:
    """The same, one by one."""
    rows = zip(delivered.numbers, delivered.details, strict=True)
    return [
        m.Report(delivered.channel, number, "delivered", "", 0, decode_detail(detail))
        for number, detail in rows
    ]


def all_reports(message: m.Reports) -> list[m.Report]:
    """All that a message says, one by one."""
    return message.reports + [report for part in message.delivered for report in reports_of(part)]


def encode_record(record: Record) -> bytes:
    """The bytes of a journal record, as the store keeps and `Journal` carries them."""
    return encode_payload(record)
