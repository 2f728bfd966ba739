"""Suppressed addresses of a shard (semantics 8.8): rows, and what decisions ask of them.

Laws: a row is an address of a channel, with every kind that was said of it and when; it is read when an
action is decided and kept nowhere in memory, so there may be millions. Whether there is any at all is known
without a read: a shard that has none asks nothing. An address that is suppressed in a turn is so for the next
decision of that turn.

Why rows and not the contact's actor: docs/decisions/0015.
"""

import hashlib
import secrets
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
from stagewheel.server.store.keys import KEY_BYTES_MAX
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


DIGEST_SECRET: Final = b"digest_secret"  # a row of META, made by the first erasing
_encode: Final = msgspec.msgpack.Encoder().encode
decode_address: Final = msgspec.msgpack.Decoder(AddressRow).decode


def key_of(channel: str, address: str) -> bytes:
    """channel ‖ 0 ‖ the address as it is compared."""
    return f"{channel}\0{address_of(channel, address)}".encode()


def digest_key(secret: bytes, channel: str, address: str) -> bytes:
    """channel ‖ 0 ‖ 1 ‖ a digest of the address: of one whose owner's personal data was erased (7.6)."""
    digest = hashlib.blake2b(address_of(channel, address).encode(), digest_size=16, key=secret).digest()
    return f"{channel}\0\1".encode() + digest


def find(reads: Reads, channel: str, address: str) -> tuple[bytes, AddressRow | None]:
    """Key and row of an address, also where only its digest is kept."""
    key = key_of(channel, address)
    row = reads.get(Table.SUPPRESSED, key)
    if row is None and (secret := reads.get(Table.META, DIGEST_SECRET)) is not None:
        hidden = digest_key(secret, channel, address)
        row = reads.get(Table.SUPPRESSED, hidden)
        key = hidden if row is not None else key
    return key, decode_address(row) if row is not None else None


def hide(turn: "Turn", channel: str, address: str) -> None:
    """Keep that an address is suppressed, and no more which one it is."""
    reads, key = turn.transaction, key_of(channel, address)
    row = reads.get(Table.SUPPRESSED, key) if len(key) <= KEY_BYTES_MAX else None
    if row is None:
        return
    secret = reads.get(Table.META, DIGEST_SECRET)
    if secret is None:
        secret = secrets.token_bytes(32)
        turn.batch.put(Table.META, DIGEST_SECRET, secret)
    said = {kind: Said(one.at_ms, one.by, "", "") for kind, one in decode_address(row).said.items()}
    turn.batch.put(Table.SUPPRESSED, digest_key(secret, channel, address), _encode(AddressRow("", said)))
    turn.batch.delete(Table.SUPPRESSED, key)
    turn.flush()


def lookup_in(reads: Reads) -> Lookup:
    """What a decision asks, in these reads."""

    def kind_of(channel: str, address: str) -> str:
        row = find(reads, channel, address)[1]
        return strongest(list(row.said)) if row is not None else ""

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
    known, row = _find(turn, m)
    if row is not None and known != key:  # whose owner was erased is heard of again
        turn.batch.delete(Table.SUPPRESSED, known)
    row = AddressRow(m.address.strip(), row.said if row is not None else {})
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
    key, row = _find(turn, m)
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


def _find(turn: "Turn", m: Suppress | Unsuppress) -> tuple[bytes, AddressRow | None]:
    turn.flush()
    return find(turn.transaction, m.channel, m.address)


def _tell(turn: "Turn", m: Suppress | Unsuppress) -> None:
    """The item where it was said, if there is one, by the shard where it lives."""
    relay = turn.engine.relay
    if m.item and (relay is None or relay.is_own(m.item.encode())):
        turn.deliver(m.item.encode(), m)
