"""Admission: whether a Submit is new, was answered already, or is refused. Pure: the engine acts.

Laws, all of them for promise R2 (each accepted command applied exactly once, in order):
- a producer's numbers have no holes: at `next_seq` a Submit is admitted whole or not at all;
- wholly below `next_seq` it was answered already, and gets those bytes again;
- above it is a `gap`, across it a `bad_sequence`; neither is ever mended by guessing;
- a refused Submit consumes no number, so the client sends again from there and order holds;
- a session of a lower epoch is `fenced`: two processes of one name cannot interleave.

Why a Hello names its client object (`instance`): epochs alone cannot tell a client that comes back after a
lost connection from one whose name was taken over meanwhile; the second would take answers for its
successor's commands as its own.
"""

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from stagewheel.protocol.codes import REFUSED
from stagewheel.protocol.messages import (
    PROTOCOL_VERSION_MAX,
    PROTOCOL_VERSION_MIN,
    Hello,
    Refused,
    Submit,
)
from stagewheel.protocol.partitions import SHARD_PRODUCER
from stagewheel.server import limits

if TYPE_CHECKING:
    from stagewheel.server.ingress.sessions import Session

ROLES: Final = frozenset({"feed", "read", "admin", "sender", "worker", "shard"})
SUBMITTING_ROLES: Final = frozenset({"feed", "admin", "shard"})
RESERVED_NAMES: Final = (SHARD_PRODUCER, b"\xff" * 15)  # `actors/relay.py` knows both again


class AdmissionLimits(Struct, frozen=True):
    """The numbers that a client is told in Welcome and held to afterwards."""

    frame_commands_max: int = limits.FRAME_COMMANDS_MAX
    frame_bytes_max: int = limits.FRAME_BYTES_MAX
    credit_commands: int = limits.CREDIT_COMMANDS
    credit_bytes: int = limits.CREDIT_BYTES
    unacknowledged_max: int = limits.UNACKNOWLEDGED_COMMANDS_MAX
    trim_min: int = limits.TRIM_ANSWERS_MIN  # not told: how many acknowledged answers are worth a delete


class ProducerState(Struct, array_like=True, gc=False, frozen=True):
    """A producer's row: answers of commands below `acknowledged` may be trimmed, below `trimmed` they are."""

    epoch: int
    next_seq: int = 0
    acknowledged: int = 0
    last_used_ms: int = 0
    instance: bytes = b""
    trimmed: int = 0


class Admit(Struct, frozen=True):
    """Take the Submit whole; `state` is the producer's row after it, to be stored in the same transaction.

    `trim_below`: answers of Submits that ended at or below this number are to be removed, and
    `trim_from` is where an earlier call left off. They are the same until it is worth a range delete.
    """

    state: ProducerState
    trim_from: int
    trim_below: int


class Repeat(Struct, frozen=True):
    """Send the stored answer of the Submit at `seq` again; if there is none, `forgotten(seq)`."""

    seq: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ProducerState).decode


def encode_producer(state: ProducerState) -> bytes:
    """The bytes of a producer's row."""
    return _encode(state)


def decode_producer(row: bytes) -> ProducerState:
    """A producer's row."""
    return _decode(row)


def judge(
    producer: ProducerState | None,
    session: "Session | None",
    submit: Submit,
    payload_bytes: int,
    now_ms: int,
    own: AdmissionLimits,
    pressure: str = "",
) -> Admit | Repeat | Refused:
    """What becomes of a Submit. `pressure` is the code that refuses new work just now (`busy`,
    `storage_full`); what was answered already is answered again all the same.
    """
    count = len(submit.commands)
    refused = _refuse_sender(producer, session, submit) or _refuse_shape(submit, payload_bytes, own)
    if refused is not None:
        return refused
    assert session is not None
    state = producer if producer is not None else ProducerState(session.epoch, instance=session.instance)
    if submit.seq + count <= state.next_seq:
        return Repeat(submit.seq)
    if submit.seq > state.next_seq:
        return _refused(submit, "gap", f"next is {state.next_seq}", expected=state.next_seq)
    if submit.seq < state.next_seq:
        return _refused(submit, "bad_sequence", f"next is {state.next_seq}", expected=state.next_seq)
    if pressure:
        return _refused(submit, pressure)
    if (
        session.commands_under_way + count > own.credit_commands
        or session.bytes_under_way + payload_bytes > own.credit_bytes
    ):
        return _refused(submit, "over_credit")
    acknowledged = max(state.acknowledged, min(submit.acknowledged, submit.seq))
    next_seq = submit.seq + count
    if next_seq - acknowledged > own.unacknowledged_max:
        return _refused(submit, "over_credit", f"acknowledge answers: {acknowledged} is the oldest kept")
    trim_from = state.trimmed
    trimmed = acknowledged if acknowledged - trim_from >= own.trim_min else trim_from
    after = ProducerState(state.epoch, next_seq, acknowledged, now_ms, state.instance, trimmed)
    return Admit(after, trim_from, trimmed)


def forgotten(seq: int) -> Refused:
    """The answer to a repeated Submit of which no answer is kept: it was acknowledged, or began elsewhere."""
    return Refused("bad_sequence", "no answer is kept under this number; it was acknowledged", seq=seq)


def refuse_hello(hello: Hello) -> Refused | None:
    """What is wrong with a Hello by itself; None when nothing is."""
    if hello.version_max < PROTOCOL_VERSION_MIN or hello.version_min > PROTOCOL_VERSION_MAX:
        return Refused(
            "version",
            f"this server speaks versions {PROTOCOL_VERSION_MIN} to {PROTOCOL_VERSION_MAX}, "
            f"the client {hello.version_min} to {hello.version_max}; update the older one",
        )
    if not 1 <= len(hello.producer) <= limits.PRODUCER_NAME_BYTES_MAX:
        return Refused("malformed", f"a producer has 1 to {limits.PRODUCER_NAME_BYTES_MAX} bytes")
    if (hello.role == "shard") != hello.producer.startswith(RESERVED_NAMES):
        return Refused("forbidden", "names of shards are theirs alone")
    if hello.role not in ROLES:
        return Refused("forbidden", f"no such role; one of {', '.join(sorted(ROLES))}")
    return None


def raise_epoch(producer: ProducerState | None, hello: Hello, now_ms: int) -> ProducerState | Refused:
    """The producer's row with the next epoch, which fences every older session of it."""
    if hello.epoch > 0 and (producer is None or hello.epoch > producer.epoch):
        return Refused("expired", REFUSED["expired"])
    if producer is None:
        return ProducerState(1, 0, 0, now_ms, hello.instance)
    if hello.epoch > 0 and hello.instance != producer.instance:
        return Refused("fenced", REFUSED["fenced"])
    p = producer
    return ProducerState(p.epoch + 1, p.next_seq, p.acknowledged, now_ms, hello.instance, p.trimmed)


def _refuse_sender(
    producer: ProducerState | None, session: "Session | None", submit: Submit
) -> Refused | None:
    if session is None:
        return _refused(submit, "hello_first")
    if session.role not in SUBMITTING_ROLES:
        return _refused(submit, "forbidden", f"the role {session.role} sends no commands")
    if producer is None:
        return _refused(submit, "expired") if submit.seq > 0 else None
    if session.epoch < producer.epoch:
        return _refused(submit, "fenced")
    return None


def _refuse_shape(submit: Submit, payload_bytes: int, own: AdmissionLimits) -> Refused | None:
    count = len(submit.commands)
    if submit.seq < 0 or submit.acknowledged < 0:
        return _refused(submit, "malformed", "numbers are never negative")
    if count == 0:
        return _refused(submit, "malformed", "a Submit holds at least one command")
    if count > own.frame_commands_max or payload_bytes > own.frame_bytes_max:
        return _refused(
            submit,
            "oversize",
            f"{count} commands in {payload_bytes} bytes; at most {own.frame_commands_max} "
            f"commands in {own.frame_bytes_max} bytes",
        )
    return None


def _refused(submit: Submit, code: str, detail: str = "", expected: int = -1) -> Refused:
    text = f"{REFUSED[code]} ({detail})" if detail else REFUSED[code]
    return Refused(code, text, seq=submit.seq, expected=expected)
