"""Payloads of `Jobs` joined of bytes that are there: a row as it is stored, and its number as its key has it.

Laws: what comes out decodes to the `Jobs` that msgspec would have encoded. Only a number may take more bytes
than it needs: it stands as the eight of its key. Nothing is looked into: whoever calls this knows that a row
is one value of MessagePack.

Why: of a frame to a sender nearly all bytes are rows, which the shard neither reads nor changes; a Struct for
each job costs three times what joining costs.
"""

from typing import Final

from stagewheel.protocol.codec import encode_payload

_JOBS: Final = b"\x91"  # an array of one field
_JOB: Final = b"\x94"  # … of four
_U64: Final = b"\xcf"
_NIL: Final = b"\xc0"  # there is no handler
_FEW: Final = 16  # jobs whose array has its length in its first byte


def lead_of(lane: str) -> bytes:
    """What stands in front of the number of every job of a lane: the end of the job before, and its own
    head.
    """
    return _NIL + _JOB + encode_payload(lane) + _U64


def join_jobs(lead: bytes, numbers: list[bytes], rows: list[bytes]) -> bytes:
    """The payload of these jobs, fewer than 65,536; each number as eight bytes."""
    count = len(rows)
    head = bytes((0x90 | count,)) if count < _FEW else b"\xdc" + count.to_bytes(2, "big")
    parts = [lead] * (3 * count)
    parts[1::3], parts[2::3] = numbers, rows
    parts[0] = _JOBS + head + lead[1:]
    parts.append(_NIL)
    return b"".join(parts)


def rows_bytes(lead: bytes, count: int, payload: bytes) -> int:
    """How many bytes of such a payload are rows."""
    return len(payload) - (2 if count < _FEW else 4) - count * (len(lead) + 8)
