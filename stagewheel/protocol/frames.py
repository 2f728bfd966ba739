"""Frames: every message is one header of four bytes and one MessagePack payload.

    byte 0     protocol version
    byte 1     kind (`codec.Kind`)
    bytes 2–3  command count of a Submit, big-endian; 0 for every other kind

Laws: the header alone says whether the payload is worth decoding, so a server can refuse before it spends
time; only `FrameError`s leave this module, and none of them ends a connection.
"""

import struct
from collections.abc import Mapping
from typing import Final

from stagewheel.protocol.codec import KIND_OF_TYPE, Kind, Message, decode_payload, encode_payload
from stagewheel.protocol.errors import Malformed, Oversize, UnknownKind, UnknownVersion
from stagewheel.protocol.messages import (
    PROTOCOL_VERSION_MAX,
    PROTOCOL_VERSION_MIN,
    Submit,
    SubmitEncoded,
)

HEADER_BYTES: Final = 4
SUBMIT: Final = Kind.SUBMIT  # an enum's member costs 120 ns to name
COMMANDS_MAX: Final = 0xFFFF  # what the header can count

_header = struct.Struct(">BBH")
_KINDS: Final = {int(kind): kind for kind in Kind}

HEADERS: Final[Mapping[Kind, bytes]] = {kind: _header.pack(PROTOCOL_VERSION_MAX, kind, 0) for kind in Kind}
"""The header of every kind but Submit is a constant: stored answers go out again without being decoded."""


def encode(message: Message) -> tuple[bytes, bytes]:
    """Header and payload. Raises `Oversize` when a Submit holds more commands than its header can count."""
    kind = KIND_OF_TYPE[type(message)]
    if isinstance(message, Submit | SubmitEncoded):
        count = len(message.commands)
        if count > COMMANDS_MAX:
            raise Oversize(f"a Submit of {count} commands; a frame counts {COMMANDS_MAX} at most")
        return _header.pack(PROTOCOL_VERSION_MAX, kind, count), encode_payload(message)
    return HEADERS[kind], encode_payload(message)


def read_header(header: bytes) -> tuple[Kind, int]:
    """Kind and command count; raises `Malformed`, `UnknownVersion` or `UnknownKind`."""
    if len(header) != HEADER_BYTES:
        raise Malformed(f"a header has {HEADER_BYTES} bytes, this one {len(header)}")
    version, kind, count = _header.unpack(header)
    if not PROTOCOL_VERSION_MIN <= version <= PROTOCOL_VERSION_MAX:
        raise UnknownVersion(
            f"protocol version {version}; this end speaks {PROTOCOL_VERSION_MIN} to {PROTOCOL_VERSION_MAX}"
        )
    if (known := _KINDS.get(kind)) is None:
        raise UnknownKind(f"kind {kind} is no message of protocol version {version}")
    if count and known is not SUBMIT:
        raise Malformed(f"only a Submit counts commands, this {known.name} says {count}")
    return known, count


def decode(header: bytes, payload: bytes, bytes_max: int | None = None) -> Message:
    """The message; raises a `FrameError`. A payload above `bytes_max` is not looked into."""
    kind, count = read_header(header)
    if bytes_max is not None and len(payload) > bytes_max:
        raise Oversize(f"a payload of {len(payload)} bytes; the limit is {bytes_max}")
    message = decode_payload(kind, payload)
    if isinstance(message, Submit) and len(message.commands) != count:
        raise Malformed(f"the header counts {count} commands, the payload holds {len(message.commands)}")
    return message
