"""Results that come later than their answers: a command that was accepted is complete."""

from typing import TYPE_CHECKING

import msgspec

from stagewheel.protocol.codec import Kind, encode_payload
from stagewheel.protocol.frames import HEADERS
from stagewheel.protocol.messages import Answer, Completed, Result
from stagewheel.server.actors.relay import PASSED
from stagewheel.server.store.keys import answer_key, producer_key
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Owed, Turn

_decode_answer = msgspec.msgpack.Decoder(Answer).decode


def producer_bytes(producer: bytes) -> bytes:
    """16 bytes that stand for a producer in keys."""
    return producer_key(producer if len(producer) == 16 else producer.decode("utf-8", "replace"))


def complete(turn: "Turn", owed: "Owed", result: Result) -> None:
    """A command that was accepted before has its final result: into its answer, and to its producer."""
    producer, seq, index = owed
    if producer.startswith(PASSED) and turn.engine.relay is not None:
        turn.engine.relay.finish(turn, owed, result)
        return
    key = answer_key(producer_bytes(producer), seq)
    if key in turn.admitted:
        turn.admitted[key].results[index] = result
        return
    answer = turn.answers.get(key)
    if answer is None:
        row = turn.transaction.get(Table.ANSWERS, key)
        if row is None:
            return
        answer = turn.answers[key] = _decode_answer(row)
    answer.results[index] = result
    route = turn.engine.sessions.route_of(producer)
    if route is not None:
        payload = encode_payload(Completed(seq, index, result))
        turn.frames.append((route, HEADERS[Kind.COMPLETED], payload))
