"""How an item goes, and what still comes for it afterwards (semantics 7.6, 2.8).

Laws: all that waits ends with the item; a tombstone stays, with the counters that go on if the key is created
again and the head of the timeline. What a sender has not taken is withdrawn; what it has is reported, and the
report goes to the tombstone: the step gets its one outcome in the timeline, and nothing else comes of it (no
retry, no dead letter, no rule, no stored document).
"""

from msgspec.structs import replace

from stagewheel.protocol.journal import Did, ItemDeleted, Record, StepEnded
from stagewheel.protocol.messages import Applied, Result
from stagewheel.server.core import workflow
from stagewheel.server.core.acting import CANCELLED, DONE, FAILED
from stagewheel.server.core.activities import cancel_all
from stagewheel.server.core.chatting import leave_chats
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.documents import CHANNELS as FILES, folder
from stagewheel.server.core.effects import (
    Decision,
    DropMade,
    Effect,
    OutboxRow,
    RemoveFromOutbox,
    WithdrawAll,
)
from stagewheel.server.core.entry import leave_stage
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.inbox import ActionWithdrawn, DeliveryReported
from stagewheel.server.core.item import Tombstone, encode_tombstone
from stagewheel.server.core.tasks import orphan
from stagewheel.server.core.trying import TRIAL, tried

DELETED = "item deleted"


def end_item(d: Deciding, rule: str) -> None:
    """End all that waits; `rule` did it, or nobody but the command."""
    leave_stage(d, DELETED)
    workflow.cancel_all(d, DELETED)
    orphan(d)
    cancel_all(d)
    d.did.append(ItemDeleted(rule))
    if d.more.chats:
        leave_chats(d)
    d.effects.append(WithdrawAll())
    d.deleted = True
    d.resumed = True  # what waited in the mailbox of a paused item comes to its end


def bury(d: Deciding, result: Result, cause: str) -> Decision:
    """Leave a tombstone."""
    decision = d.finish(result, cause)
    item = d.item
    stone = Tombstone(item.entry, item.step_no, item.head, d.now_ms, item.pipeline, item.version)
    if d.erased:
        stone.erased_ms = d.now_ms
    decision.row = encode_tombstone(stone)
    decision.item = None
    decision.place = None
    return decision


def reported_late(stone: Tombstone | None, m: DeliveryReported, facts: Facts, now_ms: int) -> Decision:
    """A delivery of an item that was deleted since. A retry would be a new attempt: it does not come."""
    outcome, reason = CANCELLED, DELETED
    if m.outcome == "delivered":
        outcome, reason = DONE, ""
    elif m.outcome == "refused":
        outcome, reason = FAILED, m.reason
    gone: list[Effect] = [RemoveFromOutbox(m.channel, m.number)]
    file = m.detail.get("file") if m.channel in FILES and outcome == DONE else None
    if isinstance(file, str) and file.startswith(folder(m.row.key)):
        gone.append(DropMade(file))
    return _told(stone, m.row, outcome, reason, "DeliveryReported", gone, facts, now_ms, m.channel)


def withdrawn_late(stone: Tombstone | None, m: ActionWithdrawn, facts: Facts, now_ms: int) -> Decision:
    """What the deletion withdrew."""
    return _told(stone, m.row, CANCELLED, DELETED, "ActionWithdrawn", [], facts, now_ms)


def _told(
    stone: Tombstone | None,
    row: OutboxRow,
    outcome: str,
    reason: str,
    cause: str,
    effects: list[Effect],
    facts: Facts,
    now_ms: int,
    lane: str = "",
) -> Decision:
    if stone is None:
        return Decision(None, None, Applied(), effects, None)
    if stone.erased_ms and outcome == FAILED:
        reason = ""  # a provider's words may name whom they are about
    did: list[Did] = [StepEnded(row.rule, row.step, outcome, reason)]
    if TRIAL in row.roots and not stone.erased_ms:
        did = [tried(row, lane, outcome, reason, {})]
    record = Record(row.key, stone.head, now_ms, stone.pipeline, stone.version, cause, did)
    after = replace(stone, head=facts.position)
    return Decision(None, encode_tombstone(after), Applied(), effects, record)
