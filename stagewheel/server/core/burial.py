"""How an item goes: what waits ends, and a tombstone stays (semantics 7.6)."""

from stagewheel.protocol.journal import ItemDeleted
from stagewheel.protocol.messages import Applied, DeleteItem, Result
from stagewheel.server.core import workflow
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import Decision
from stagewheel.server.core.entry import leave_stage
from stagewheel.server.core.item import Tombstone, encode_tombstone


def delete(d: Deciding, m: DeleteItem) -> Result:
    leave_stage(d, "item deleted")
    workflow.cancel_all(d, "item deleted")
    d.did.append(ItemDeleted())
    d.resumed = True  # what waited in the mailbox of a paused item comes to its end
    return Applied(d.item.entry)


def bury(d: Deciding, result: Result) -> Decision:
    """Leave a tombstone: counters, and the head of the timeline."""
    decision = d.finish(result, "DeleteItem")
    item = d.item
    decision.row = encode_tombstone(Tombstone(item.entry, item.step_no, item.head, d.now_ms))
    decision.item = None
    return decision
