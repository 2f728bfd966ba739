"""Keys of the tables as bytes, made so that byte order is the order we need.

Laws: numbers are big-endian and unsigned; a name followed by anything else carries its length in front, so
that the rows of item `a` are contiguous and never among those of item `ab` (the order between two names is
then by length first, which nothing relies on). All functions are pure; a number out of range raises
`struct.error`.
"""

import functools
import hashlib
import struct
from typing import Final

KEY_BYTES_MAX: Final = 511
"""What LMDB takes as a key; the memory twin refuses the same."""

PRODUCER_BYTES: Final = 16
NAMED_PRODUCER: Final = b"stagewheel-name\x00"
"""Hashed in front of a name, so that no name can be chosen to meet another producer's random bytes."""

_U64 = struct.Struct(">Q")
_U32 = struct.Struct(">I")
_U16 = struct.Struct(">H")

u64 = _U64.pack
"""u64(n) -> 8 bytes, ordered as the number."""

u32 = _U32.pack
"""u32(n) -> 4 bytes, ordered as the number."""

LOW_BYTES: Final = tuple(bytes((low,)) for low in range(256))
"""The last byte of a number. Where numbers count up, `u64(n)[:7] + LOW_BYTES[n & 255]` costs a quarter."""

_pack_u64 = _U64.pack
_pack_u32 = _U32.pack
_pack_u16 = _U16.pack
_unpack_u64 = _U64.unpack_from
_unpack_u32 = _U32.unpack_from
_unpack_u16 = _U16.unpack_from


def read_u64(row: bytes, offset: int = 0) -> int:
    """The number whose 8 bytes stand at `offset`."""
    number: int = _unpack_u64(row, offset)[0]
    return number


def timer_key(due_ms: int, item_key: bytes, step_no: int) -> bytes:
    """u64 due_ms ‖ item key ‖ u32 step number: timers in due order."""
    return _pack_u64(due_ms) + item_key + _pack_u32(step_no)


def split_timer_key(key: bytes) -> tuple[int, bytes, int]:
    """(due_ms, item key, step number) of a timer's key."""
    return _unpack_u64(key)[0], key[8:-4], _unpack_u32(key, len(key) - 4)[0]


def mailbox_prefix(item_key: bytes) -> bytes:
    """What all mailbox rows of one item begin with, and no other's."""
    return _pack_u16(len(item_key)) + item_key


def mailbox_key(item_key: bytes, number: int) -> bytes:
    """u16 length ‖ item key ‖ u64 number: one item's messages in order."""
    return _pack_u16(len(item_key)) + item_key + _pack_u64(number)


def split_mailbox_key(key: bytes) -> tuple[bytes, int]:
    """(item key, number) of a mailbox row's key."""
    return key[2:-8], _unpack_u64(key, len(key) - 8)[0]


def relay_key(shard: int, sequence: int) -> bytes:
    """u16 shard ‖ u64 sequence: what waits for each shard, in order."""
    return _pack_u16(shard) + _pack_u64(sequence)


def answer_key(producer: bytes, sequence: int) -> bytes:
    """16 bytes producer ‖ u64 sequence of the Submit's first command."""
    return producer + _pack_u64(sequence)


def producer_key(producer: str | bytes) -> bytes:
    """16 bytes for a producer: its own random 16 bytes as they are, or a digest of its name."""
    if isinstance(producer, bytes):
        if len(producer) != PRODUCER_BYTES:
            raise ValueError(f"a producer's bytes are {PRODUCER_BYTES}, not {len(producer)}; a name is a str")
        return producer
    return hashlib.blake2b(NAMED_PRODUCER + producer.encode(), digest_size=PRODUCER_BYTES).digest()


@functools.lru_cache(maxsize=4096)
def stage_prefix(pipeline: str, stage: str) -> bytes:
    """What all rows of one stage begin with, and no other's."""
    pipeline_bytes, stage_bytes = pipeline.encode(), stage.encode()
    return _pack_u16(len(pipeline_bytes)) + pipeline_bytes + _pack_u16(len(stage_bytes)) + stage_bytes


def stage_key(pipeline: str, stage: str, position: int) -> bytes:
    """u16 length ‖ pipeline ‖ u16 length ‖ stage ‖ u64 journal position: items in the order they came in."""
    return stage_prefix(pipeline, stage) + _pack_u64(position)


def split_stage_key(key: bytes) -> tuple[str, str, int]:
    """(pipeline, stage, journal position) of a row of a stage's list."""
    middle = 2 + _unpack_u16(key)[0]
    return key[2:middle].decode(), key[middle + 2 : -8].decode(), read_u64(key, len(key) - 8)


def pipeline_prefix(pipeline: str) -> bytes:
    """What all rows of the stage lists of one pipeline begin with, and no other's."""
    pipeline_bytes = pipeline.encode()
    return _pack_u16(len(pipeline_bytes)) + pipeline_bytes


def kept_prefix(hold: str) -> bytes:
    """u16 length ‖ key of a hold; behind it stands the key of the timer that the hold keeps."""
    hold_bytes = hold.encode()
    return _pack_u16(len(hold_bytes)) + hold_bytes


def prefix_end(prefix: bytes) -> bytes | None:
    """The smallest key above every key with that prefix, or None where there is no such key (nothing but
    0xff).
    """
    stripped = prefix.rstrip(b"\xff")
    if not stripped:
        return None
    return stripped[:-1] + bytes((stripped[-1] + 1,))
