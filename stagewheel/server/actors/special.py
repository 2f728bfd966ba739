"""Commands that are not an item's: reference data, dead letters, the clock; and those that carry a dedupe
key.
"""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import msgspec

from stagewheel.protocol.messages import (
    Accepted,
    ActivateVersion,
    AdvanceClock,
    AnyCommand,
    Applied,
    BeginFile,
    CompleteDelivery,
    DropAction,
    DropDeadLetter,
    DropFile,
    Failed,
    Hold,
    PutEmployee,
    PutFileChunk,
    PutRuleset,
    ReceiveChat,
    RegisterAction,
    Relayed,
    ReplyStream,
    Result,
    RetryDeadLetter,
    SettlePoison,
    StopEnrolment,
    Suppress,
    TellCounts,
    Unsuppress,
)
from stagewheel.server.actors.chats import receive_chat
from stagewheel.server.actors.completing import complete_delivery
from stagewheel.server.actors.files import begin_file, drop_file, put_file_chunk
from stagewheel.server.actors.holds import do_hold
from stagewheel.server.actors.poison import settle_poison
from stagewheel.server.actors.publishing import activate, put_ruleset, stop_enrolment
from stagewheel.server.actors.records import reply_stream
from stagewheel.server.actors.registered import drop_action, register_action
from stagewheel.server.actors.relayed import relayed
from stagewheel.server.actors.suppressions import suppress, unsuppress
from stagewheel.server.core.effects import decode_dead_letter
from stagewheel.server.core.hours import differs
from stagewheel.server.core.inbox import DeadLetterRetried
from stagewheel.server.limits import DEDUPE_KEPT_MS, DEDUPE_KEY_BYTES_MAX
from stagewheel.server.store.keys import read_u64, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.item_commands import ItemCommand
    from stagewheel.server.actors.turn import Owed, Turn

_encode = msgspec.msgpack.Encoder().encode
_decode_result = msgspec.msgpack.Decoder(Result).decode
TRIM_ROWS = 256
ACCEPTED = Accepted()
NO_LETTER = Failed("unknown_dead_letter", "no dead letter has this number; it was retried or dropped")


def do_special(turn: "Turn", command: AnyCommand, owed: "Owed") -> Result:
    """The result of a command that is not simply delivered to its item."""
    relay = turn.engine.relay
    if not command.dedupe_key:
        result = SPECIAL[type(command)](turn, command, owed)
        told = relay is not None and relay.spread(turn, command, owed, result)
        return ACCEPTED if told else result
    if len(command.dedupe_key.encode()) > DEDUPE_KEY_BYTES_MAX:
        return Failed("bad_value", f"a dedupe key has at most {DEDUPE_KEY_BYTES_MAX} bytes")
    key = hashlib.blake2b(command.dedupe_key.encode(), digest_size=16).digest()
    turn.flush()
    stored = turn.transaction.get(Table.DEDUPE, key)
    if stored is not None and read_u64(stored) > turn.now_ms:
        known: Result = _decode_result(stored[8:])
        return known
    result = SPECIAL.get(type(command), _deliver)(turn, command, owed)
    if isinstance(result, Failed) and result.code == "mailbox_full":
        return result  # nothing was taken, and it may be sent again
    told = relay is not None and relay.spread(turn, command, owed, result)
    # An accepted command is not final yet: its duplicate is told `applied` without an entry.
    kept = Applied() if isinstance(result, Accepted) else result
    expires = u64(turn.now_ms + DEDUPE_KEPT_MS)
    turn.batch.put(Table.DEDUPE, key, expires + _encode(kept))
    turn.batch.put(Table.DEDUPE_EXPIRY, expires + key, b"")
    _trim(turn)
    return ACCEPTED if told else result


def _deliver(turn: "Turn", command: AnyCommand, owed: "Owed") -> Result:
    return turn.deliver(command.item.encode(), cast("ItemCommand", command), owed)


def _trim(turn: "Turn") -> None:
    """Forget a few keys whose time is over."""
    rows = turn.transaction.range(Table.DEDUPE_EXPIRY, b"", u64(turn.now_ms), TRIM_ROWS)
    for row_key, _ in rows:
        stored = turn.transaction.get(Table.DEDUPE, row_key[8:])
        if stored is not None and stored[:8] == row_key[:8]:
            turn.batch.delete(Table.DEDUPE, row_key[8:])
        turn.batch.delete(Table.DEDUPE_EXPIRY, row_key)


def _put_employee(turn: "Turn", command: PutEmployee, owed: "Owed") -> Result:
    before = turn.facts.employees.get(command.employee.id)
    answer = turn.engine.reference.put_employee(turn.batch, command)
    if isinstance(answer, Applied) and differs(before, command.employee):
        turn.engine.background.relooks.begin(turn, command.employee.id)
    return answer


def _letter(turn: "Turn", number: int) -> bytes | None:
    """The dead letter's row, one of this turn included."""
    turn.flush()
    return turn.transaction.get(Table.DEAD, u64(number)) if number > 0 else None


def _retry_dead_letter(turn: "Turn", command: RetryDeadLetter, owed: "Owed") -> Result:
    row = _letter(turn, command.number)
    if row is None:
        return NO_LETTER
    letter = decode_dead_letter(row)
    turn.engine.reference.need(turn.transaction, letter.row.version)
    message = DeadLetterRetried(command.number, letter.row, command.by)
    return turn.deliver(letter.row.key.encode(), message, owed)


def _drop_dead_letter(turn: "Turn", command: DropDeadLetter, owed: "Owed") -> Result:
    if _letter(turn, command.number) is None:
        return NO_LETTER
    turn.batch.delete(Table.DEAD, u64(command.number))
    return Applied()


def _advance_clock(turn: "Turn", command: AdvanceClock, owed: "Owed") -> Result:
    """The turn has moved on to the command's time already, if its clock can."""
    if turn.engine.clock.exact:
        return Applied()
    return Failed("not_replay", "this server's clock follows real time; start it with --clock replay")


def _tell_counts(turn: "Turn", command: TellCounts, owed: "Owed") -> Result:
    """For statistics: nothing of it is stored."""
    if turn.engine.told.counts(command.process, command.counts):
        return Applied()
    return Failed("bad_value", "a process tells its name and a few numbers")


SPECIAL: dict[type, Callable[["Turn", Any, "Owed"], Result]] = {
    PutEmployee: _put_employee,
    PutRuleset: put_ruleset,
    ActivateVersion: activate,
    StopEnrolment: stop_enrolment,
    RetryDeadLetter: _retry_dead_letter,
    DropDeadLetter: _drop_dead_letter,
    AdvanceClock: _advance_clock,
    Hold: do_hold,
    SettlePoison: settle_poison,
    ReplyStream: reply_stream,
    Suppress: suppress,
    Unsuppress: unsuppress,
    BeginFile: begin_file,
    PutFileChunk: put_file_chunk,
    DropFile: drop_file,
    CompleteDelivery: complete_delivery,
    RegisterAction: register_action,
    DropAction: drop_action,
    ReceiveChat: receive_chat,
    TellCounts: _tell_counts,
    Relayed: relayed,
}
