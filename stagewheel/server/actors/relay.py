"""A shard among others: what it has for them, as rows of the turn that had it, and what it is owed for it.

    a turn ─▶ RELAY rows ─▶ link (`ingress/relay.py`) ─Submit─▶ the other shard's turn (`relayed.py`)
                  ▲ trimmed, broadcasts counted, in a turn ◀──Answer──┘

Laws: a row is written in the transaction of the decision that wanted it, under the number that it has in
this lane's sequence at the other shard, which admits it like any Submit: so it is applied exactly once and in
order, whoever is killed when. A row goes when its answer is there, in a turn. Every answer is final: where
the end comes later (a command that was passed on to an item's owner), it comes as a row of the other shard.
Reference data has one owner, the directory; it decides, tells the others, and completes the command when all
have answered. A server with one shard has no `Relay`, and every hook is one comparison with None.
"""

import zlib
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Raw, Struct

from stagewheel.protocol.codec import encode_payload
from stagewheel.protocol.messages import AnyCommand, AnyQuery, Failed, Hello, Relayed, Result, Submit
from stagewheel.protocol.partitions import DIRECTORY, PARTITIONS, SHARD_PRODUCER, even_owners
from stagewheel.server.actors.relay_shapes import (
    ANY_SHARD,
    AT_DIRECTORY,
    EVERYWHERE,
    Finished,
    ItemMessageSent,
    PassedOn,
    Told,
    encode_told,
    key_asked,
)
from stagewheel.server.core.effects import SendToItem
from stagewheel.server.limits import RELAY_ROWS_MAX
from stagewheel.server.store.base import Batch, Reads
from stagewheel.server.store.keys import read_u64, relay_key, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Owed, Turn
    from stagewheel.server.ingress.sessions import Session

STATE_KEY: Final = b"relay"
PASSED: Final = b"\xff" * 15
"""Begins what stands for a producer where another shard owes it the result: no producer's name is such bytes,
and with the shard's two bytes behind it is longer than any that has none.
"""


class Place(Struct, frozen=True):
    """Which of the shards this is, and the lane of each."""

    shard: int = 0
    lanes: tuple[int, ...] = (0,)
    secret: bytes = b""
    """By which shards of one server know each other: each names it in its Hello. Empty: not asked for."""

    @property
    def lane(self) -> int:
        """Of this shard's store."""
        return self.lanes[self.shard]

    @property
    def owners(self) -> bytes:
        """As Welcome tells them: empty where there is one shard."""
        return even_owners(len(self.lanes)) if len(self.lanes) > 1 else b""


ALONE: Final = Place()


class RelayState(Struct, array_like=True):
    """A row of META: numbers that are given next."""

    next: list[int]  # sequence of this lane at each shard
    broadcast: int = 1
    reference: int = 0  # how many commands about reference data were applied


class RelayRow(Struct, array_like=True):
    """A row of RELAY; `broadcast` is the number of what is complete when every shard has answered, or 0."""

    command: Raw
    broadcast: int = 0


class Broadcast(Struct, array_like=True):
    """A row of BROADCASTS: whom the result is owed to, and how many shards have not answered."""

    producer: bytes
    seq: int
    index: int
    result: Result
    left: int


_encode = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(RelayState).decode
decode_row = msgspec.msgpack.Decoder(RelayRow).decode
_decode_broadcast = msgspec.msgpack.Decoder(Broadcast).decode


def lane_name(lane: int) -> bytes:
    """The producer that a lane is to other shards."""
    return SHARD_PRODUCER + str(lane).encode()


class Relay:
    """What stands in memory: the numbers that are given next. The rows are in the store."""

    def __init__(self, place: Place) -> None:
        self.place, self.shard, self.count = place, place.shard, len(place.lanes)
        self.owners = place.owners
        self.others = [shard for shard in range(self.count) if shard != self.shard]
        self.shard_of_name = {lane_name(place.lanes[shard]): shard for shard in self.others}
        self.rows_max = RELAY_ROWS_MAX
        self.failed = 0  # what another shard refused that was decided here
        self.broken: dict[str, str] = {}  # shards that say what cannot be, and what; people have to look
        self._directory = lane_name(place.lanes[DIRECTORY])
        self._state = RelayState([0] * self.count)
        self._saved = encode_payload(self._state)

    # ---------------------------------------------------------------- between turns

    def load(self, reads: Reads) -> None:
        """As it was committed."""
        row = reads.get(Table.META, STATE_KEY)
        self._state = _decode_state(row) if row is not None else RelayState([0] * self.count)
        self._saved = _encode(self._state)

    def save(self, batch: Batch) -> None:
        """With the turn, if anything was given."""
        row = _encode(self._state)
        if row != self._saved:
            self._saved = row
            batch.put(Table.META, STATE_KEY, row)

    def next_seq(self, shard: int) -> int:
        """The number of the next row for a shard."""
        return self._state.next[shard]

    def knows(self, hello: Hello) -> bool:
        """Is this another shard?"""
        return hello.producer in self.shard_of_name and self.place.secret in (b"", hello.instance)

    @property
    def is_directory(self) -> bool:
        """Does this shard decide about reference data?"""
        return self.shard == DIRECTORY

    # ---------------------------------------------------------------- whose a key is

    def owner(self, key: bytes) -> int:
        """The shard of a key."""
        return self.owners[zlib.crc32(key) % PARTITIONS]

    def is_own(self, key: bytes) -> bool:
        """Does a key live here?"""
        return self.owners[zlib.crc32(key) % PARTITIONS] == self.shard

    def _takes(self, command: AnyCommand) -> bool:
        kind = type(command)
        if kind in AT_DIRECTORY:
            return self.is_directory
        return (kind in ANY_SHARD and not command.item) or self.is_own(command.item.encode())

    def answers(self, query: AnyQuery) -> bool:
        """Is a query about what lives here, or about no key?"""
        key = key_asked(query)
        return not key or self.is_own(key.encode())

    def pressure(self, session: "Session | None", submit: Submit, pressure: str) -> str:
        """Why this Submit is not taken now; "" if it is.

        What comes from a shard was decided there and ends a wait here, so only a full disk holds it up; and a
        message that was decided on reference data which this shard has not heard of yet.
        """
        if session is None:
            return pressure
        if session.role != "shard":
            return pressure or ("" if all(map(self._takes, submit.commands)) else "wrong_shard")
        if pressure == "storage_full":
            return pressure
        if session.producer == self._directory:
            return ""
        known = self._state.reference
        ahead = any(type(one) is Relayed and one.reference > known for one in submit.commands)
        return "busy" if ahead else ""

    def is_full(self, reads: Reads) -> bool:
        """Does too much wait for other shards?"""
        return reads.count(Table.RELAY) > self.rows_max

    # ---------------------------------------------------------------- giving

    def _put(self, turn: "Turn", shard: int, command: bytes, broadcast: int = 0) -> None:
        seq = self._state.next[shard]
        self._state.next[shard] = seq + 1
        turn.batch.put(Table.RELAY, relay_key(shard, seq), _encode(RelayRow(Raw(command), broadcast)))

    def tell(self, turn: "Turn", shard: int, told: Told) -> None:
        """Something for another shard."""
        message, reference = encode_told(told), self._state.reference
        self._put(turn, shard, _encode(Relayed("", message=message, reference=reference)))

    def tell_others(self, turn: "Turn", told: Told) -> None:
        """Something for all others."""
        for shard in self.others:
            self.tell(turn, shard, told)

    def send(self, turn: "Turn", effect: SendToItem) -> bool:
        """A message for an item; False: it lives here."""
        shard = self.owner(effect.item.encode())
        if shard != self.shard:
            self.tell(turn, shard, ItemMessageSent(effect.item, effect.message, effect.lineage))
        return shard != self.shard

    def pass_on(self, turn: "Turn", command: AnyCommand, owed: "Owed") -> bool:
        """A command to the shard where its item lives, which tells its end; False: it lives here, or is not
        an item's: what the directory spreads ends here.
        """
        own = type(command) in AT_DIRECTORY or self._takes(command)
        shard = self.shard if own else self.owner(command.item.encode())
        if shard != self.shard:
            self.tell(turn, shard, PassedOn(command, *owed))
        return shard != self.shard

    def spread(self, turn: "Turn", command: AnyCommand, owed: "Owed", result: Result) -> bool:
        """After the directory decided about reference data: the others are told. False: it was told by the
        directory, or nothing is to be told, and the result is final.
        """
        if type(command) not in EVERYWHERE:
            return False
        if not self.is_directory:
            self._state.reference += 1  # whatever came of it: it counts what was heard
            return False
        if isinstance(result, Failed):
            return False
        self._state.reference += 1
        number = self._state.broadcast
        self._state.broadcast = number + 1
        encoded = EVERYWHERE[type(command)](command, result)
        for shard in self.others:
            self._put(turn, shard, encoded, number)
        turn.batch.put(Table.BROADCASTS, u64(number), _encode(Broadcast(*owed, result, len(self.others))))
        return True

    # ---------------------------------------------------------------- answers

    def answered(self, turn: "Turn", shard: int, seq: int, results: list[Result]) -> None:
        """Another shard has applied these rows: they go, and what all have answered is complete."""
        turn.flush()
        start, end = relay_key(shard, seq), relay_key(shard, seq + len(results))
        for key, value in turn.transaction.range(Table.RELAY, start, end, len(results)):
            self.failed += isinstance(results[read_u64(key, 2) - seq], Failed)
            number = decode_row(value).broadcast
            if number:
                self._answered_one(turn, number)
        turn.batch.delete_range(Table.RELAY, start, end)
        turn.flush()

    def _answered_one(self, turn: "Turn", number: int) -> None:
        turn.flush()
        row = turn.transaction.get(Table.BROADCASTS, u64(number))
        if row is None:
            return
        one = _decode_broadcast(row)
        one.left -= 1
        if one.left > 0:
            turn.batch.put(Table.BROADCASTS, u64(number), _encode(one))
            return
        turn.batch.delete(Table.BROADCASTS, u64(number))
        if one.producer:
            turn.complete((one.producer, one.seq, one.index), one.result)

    def finish(self, turn: "Turn", owed: "Owed", result: Result) -> None:
        """The end of a command that another shard passed on to here."""
        name, seq, index = owed
        at = len(PASSED)
        shard = int.from_bytes(name[at : at + 2])
        if shard == self.shard:  # it came back
            turn.complete((name[at + 2 :], seq, index), result)
            return
        self.tell(turn, shard, Finished(name[at + 2 :], seq, index, result))

    def owed_there(self, shard: int, owed: "Owed") -> "Owed":
        """Whom a result is owed to, where that is another shard's client."""
        if owed[0].startswith(PASSED):
            return owed  # it is a third shard's, which is told at once
        return PASSED + shard.to_bytes(2) + owed[0], owed[1], owed[2]

    def statistics(self, reads: Reads) -> dict[str, Any]:
        """For the statistics of the shard."""
        waiting, given = reads.count(Table.RELAY), sum(self._state.next)
        return {"waiting": waiting, "given": given, "failed": self.failed, "broken": self.broken}
