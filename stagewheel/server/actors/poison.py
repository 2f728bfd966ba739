"""Messages that were put aside because deciding them failed with a bug (9.2)."""

import msgspec
from msgspec import Struct


class PoisonRow(Struct, array_like=True):
    """A row of POISON: whose it was, what went wrong, and the message as it came."""

    item: str
    error: str
    at_ms: int
    kind: str
    message: bytes


decode_poison = msgspec.msgpack.Decoder(PoisonRow).decode
