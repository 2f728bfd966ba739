"""What the rarer effects write: one function an effect. The two of every event stand in `turn.py`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stagewheel.server.actors.activities import keep_activity
from stagewheel.server.actors.aliases import bind_alias
from stagewheel.server.actors.awaiting import EXPIRES
from stagewheel.server.actors.chats import bind_chat, keep_invitation, unbind_chat
from stagewheel.server.actors.deliveries import look_at_parked, park
from stagewheel.server.actors.erasing import erase_item
from stagewheel.server.actors.holds import keep_step
from stagewheel.server.actors.links import put_link, remove_link
from stagewheel.server.actors.outboxes import place
from stagewheel.server.actors.records import keep_record
from stagewheel.server.actors.relay_shapes import FileDropped
from stagewheel.server.actors.relooks import forget_employee, watch_employee
from stagewheel.server.actors.tasks import keep_task
from stagewheel.server.actors.withdraw import withdraw, withdraw_all
from stagewheel.server.core.between import ErasedWithClient
from stagewheel.server.core.effects import (
    BindAlias,
    BindChat,
    CountGuard,
    DropMade,
    Effect,
    EraseItem,
    ExpireDelivery,
    ForgetEmployee,
    KeepActivity,
    KeepDeadLetter,
    KeepInvitation,
    KeepRecord,
    KeepStep,
    KeepTask,
    LookAtParked,
    ParkDelivery,
    PutLink,
    RemoveDeadLetter,
    RemoveFromOutbox,
    RemoveLink,
    SendToItem,
    TakeTurn,
    UnbindChat,
    WatchEmployee,
    WithdrawAction,
    WithdrawAll,
    encode_dead_letter,
)
from stagewheel.server.core.inbox import MailboxRow
from stagewheel.server.core.item import Item
from stagewheel.server.store.keys import timer_key, u64
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn


def _remove_from_outbox(turn: "Turn", key: bytes, effect: RemoveFromOutbox) -> None:
    turn.batch.delete(*place(effect.channel, effect.number))
    if turn.engine.handout.gone(effect.channel, effect.number):
        turn.batch.delete(Table.TAKEN, u64(effect.number))


def _park_delivery(turn: "Turn", key: bytes, effect: ParkDelivery) -> None:
    counters = turn.engine.counters
    counters.outbox = max(counters.outbox, effect.row.number + 1)  # it may never have been in the outbox
    park(turn, effect.channel, effect.row, effect.due_ms)
    if effect.row.attempt:
        turn.engine.tally.retries += 1


def _expire_delivery(turn: "Turn", key: bytes, effect: ExpireDelivery) -> None:
    number = u64(effect.number)
    row_key, value = timer_key(effect.due_ms, b"\x00" + number, EXPIRES), number + effect.channel.encode()
    turn.put_timer(row_key)
    turn.timer_values[row_key] = value


def _keep_dead_letter(turn: "Turn", key: bytes, effect: KeepDeadLetter) -> None:
    turn.batch.put(Table.DEAD, u64(effect.number), encode_dead_letter(effect.letter))
    turn.engine.tally.dead_letters += 1


def _remove_dead_letter(turn: "Turn", key: bytes, effect: RemoveDeadLetter) -> None:
    turn.batch.delete(Table.DEAD, u64(effect.number))


def send_to_item(turn: "Turn", key: bytes, effect: SendToItem) -> None:
    """A message to another item: into its mailbox, or to the shard where it lives."""
    counters, relay = turn.engine.counters, turn.engine.relay
    if relay is not None and relay.send(turn, effect):
        return
    if type(effect.message) is ErasedWithClient and _is_paused(turn, effect.item.encode()):
        turn.at_once.append((effect.item.encode(), effect.message))  # as a deletion, it waits for nobody
        return
    row = MailboxRow(effect.message, lineage=effect.lineage)
    turn.engine.backlog.put(turn.batch, effect.item.encode(), counters.mailbox, row)
    counters.mailbox += 1
    turn.engine.tally.mailbox_rows += 1


def _is_paused(turn: "Turn", key: bytes) -> bool:
    turn.load({key})
    item = turn.items[key]
    return isinstance(item, Item) and item.more is not None and item.more.hold == "paused"


def _count_guard(turn: "Turn", key: bytes, effect: CountGuard) -> None:
    turn.engine.tally.guard(effect.guard)


def _take_turn(turn: "Turn", key: bytes, effect: TakeTurn) -> None:
    turn.facts.turns[effect.counter] = effect.taken
    turn.batch.put(Table.TURNS, effect.counter.encode(), u64(effect.taken))


def _drop_made(turn: "Turn", key: bytes, effect: DropMade) -> None:
    turn.engine.files.drop_unnamed(turn, effect.file)
    if turn.engine.relay is not None:
        turn.engine.relay.tell_others(turn, FileDropped(effect.file))


COLLECT: dict[type[Effect], Callable[["Turn", bytes, Any], None]] = {
    RemoveFromOutbox: _remove_from_outbox,
    ParkDelivery: _park_delivery,
    LookAtParked: look_at_parked,
    ExpireDelivery: _expire_delivery,
    KeepDeadLetter: _keep_dead_letter,
    RemoveDeadLetter: _remove_dead_letter,
    SendToItem: send_to_item,
    CountGuard: _count_guard,
    KeepStep: keep_step,
    PutLink: put_link,
    RemoveLink: remove_link,
    WithdrawAction: withdraw,
    WithdrawAll: withdraw_all,
    WatchEmployee: watch_employee,
    ForgetEmployee: forget_employee,
    TakeTurn: _take_turn,
    KeepRecord: keep_record,
    KeepTask: keep_task,
    BindChat: bind_chat,
    UnbindChat: unbind_chat,
    KeepInvitation: keep_invitation,
    KeepActivity: keep_activity,
    BindAlias: bind_alias,
    EraseItem: erase_item,
    DropMade: _drop_made,
}
