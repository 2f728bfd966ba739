"""Suppressed addresses of a shard (semantics 8.8): rows, and what decisions ask of them.

Laws: a row is an address of a channel, with every kind that was said of it and when; it is read when an
action is decided and kept nowhere in memory, so there may be millions. Whether there is any at all is known
without a read: a shard that has none asks nothing. An address that is suppressed in a turn is so for the next
decision of that turn.

Why rows and not the contact's actor: docs/decisions/0015.
"""

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from stagewheel.protocol.messages import (
    Applied,
    Failed,
    Result,
    Suppress,
    Unsuppress,
)
from stagewheel.server.core.suppressing import Lookup, address_of, refuse, strongest
from stagewheel.server.store.base import Reads
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Owed, Turn


class Said(Struct, array_like=True, frozen=True):
    """That an address is suppressed."""

    at_ms: int
    by: int
    item: str
    reason: str


class AddressRow(Struct, array_like=True):
    """A row of SUPPRESSED: the address as it was written, and what was said of it, by kind."""

    written: str
    said: dict[str, Said]


_encode: Final = msgspec.msgpack.Encoder().encode
decode_address: Final = msgspec.msgpack.Decoder(AddressRow).decode


def key_of(channel: str, address: str) -> bytes:
    """channel ‖ 0 ‖ the address as it is compared."""
    return f"{channel}\0{address_of(channel, address)}".encode()


def lookup_in(reads: Reads) -> Lookup:
    """What a decision asks, in these reads."""

    def kind_of(channel: str, address: str) -> str:
        row = reads.get(Table.SUPPRESSED, key_of(channel, address))
        return strongest(list(decode_address(row).said)) if row is not None else ""

    return kind_of


def any_in(reads: Reads) -> bool:
    """Is any address suppressed?"""
    return bool(reads.range(Table.SUPPRESSED, b"", None, 1))


def suppress(turn: "Turn", m: Suppress, owed: "Owed") -> Result:
    """The command `Suppress`. Said of the same address again, the first moment stands."""
    wrong = refuse(m)
    if wrong:
        return Failed("bad_value", wrong)
    key = key_of(m.channel, m.address)
    row = _row(turn, key) or AddressRow(m.address.strip(), {})
    if m.kind not in row.said:
        said = {**row.said, m.kind: Said(turn.now_ms, m.by, m.item, m.reason)}
        turn.batch.put(Table.SUPPRESSED, key, _encode(AddressRow(row.written, said)))
        turn.flush()  # the next decision of this turn reads it
        turn.engine.any_suppressed = True
        turn.facts.suppressed = lookup_in(turn.transaction)
        _tell(turn, m)
    return Applied()


def unsuppress(turn: "Turn", m: Unsuppress, owed: "Owed") -> Result:
    """The command `Unsuppress`."""
    wrong = refuse(m)
    if wrong:
        return Failed("bad_value", wrong)
    key = key_of(m.channel, m.address)
    row = _row(turn, key)
    if row is None or (m.kind and m.kind not in row.said):
        return Failed("not_suppressed", "the address is not suppressed on this channel, or not for this")
    left = {kind: said for kind, said in row.said.items() if m.kind and kind != m.kind}
    if left:
        turn.batch.put(Table.SUPPRESSED, key, _encode(AddressRow(row.written, left)))
    else:
        turn.batch.delete(Table.SUPPRESSED, key)
    turn.flush()
    _tell(turn, m)
    return Applied()


def _row(turn: "Turn", key: bytes) -> AddressRow | None:
    turn.flush()
    row = turn.transaction.get(Table.SUPPRESSED, key)
    return decode_address(row) if row is not None else None


def _tell(turn: "Turn", m: Suppress | Unsuppress) -> None:
    """The item where it was said, if there is one."""
    if m.item:
        turn.deliver(m.item.encode(), m)
