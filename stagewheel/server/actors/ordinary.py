"""The way of nearly every command: a change of stage of an item that nothing holds, all in one loop.

Laws: what is written is what `Turn.deliver` and `Turn.collect` would have written, in the same order; where
anything out of the ordinary turns up (a mailbox, a rare part of an item, an effect of the rarer kinds), that
command goes their way, and the run begins anew behind it. So does a decision that fails, for its second try.

Why one long function: at 64 commands a frame each call, each attribute of the turn and each packed number
costs as much as a row that is read.
"""

from typing import TYPE_CHECKING

from stagewheel.protocol.codec import decode_record, encode_payload
from stagewheel.protocol.messages import AnyCommand, ChangeStage, Result
from stagewheel.server.actors.entering import U32, U32_COUNT, enter_run
from stagewheel.server.actors.outboxes import OUTBOX_TABLES
from stagewheel.server.core.item import Glance, Item
from stagewheel.server.store.keys import u32, u64

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn


def decide_run(
    turn: "Turn", commands: list[AnyCommand], keys: list[bytes], results: list[Result], first: int
) -> int:
    """Decide and collect from command `first` on, while they are ordinary; the first that is not decided."""
    if (first := enter_run(turn, commands, keys, results, first)) == len(commands):
        return first
    facts, counters, now_ms, backlog = turn.facts, turn.counters, turn.now_ms, turn.backlog
    decide, items, rows, stages = turn.engine.decide, turn.items, turn.rows, turn.stages
    appends, add_record, put_timer = turn.batch.appends, turn.append_journal, turn.put_timer
    followers = turn.records if turn.engine.followed else None
    position, out, due_ms, due = counters.position, counters.outbox, -1, b""
    table_of = OUTBOX_TABLES.get
    for at in range(first, len(commands)):
        command, key = commands[at], keys[at]
        item = items.get(key)
        if (type(item) is not Glance and type(item) is not Item) or item.more is not None:
            break
        if type(command) is not ChangeStage or command.dedupe_key or backlog:
            break
        facts.position, facts.outbox_next = position, out
        try:
            decision = decide(item, command, facts, now_ms, None)
        except Exception:
            decision = None
        if (
            decision is None
            or (place := decision.place) is None
            or (row := decision.row) is None
            or (record := decision.record) is None
            or decision.effects
            or decision.resumed
        ):
            counters.position, counters.outbox = position, out
            turn.decided_count += at - first
            results.append(turn.finish(key, item, command, decision))
            return at + 1
        results.append(decision.result)
        rows[key] = row
        if (item := decision.item) is not None:
            items[key] = item
        else:
            del items[key]  # nobody has built it: who needs it in this turn reads its row
        encoded = record if type(record) is bytes else encode_payload(record)
        add_record((u64(position), encoded))
        if followers is not None:
            followers.append((position, encoded, decode_record(encoded)))
        _, came_at, came = stages.get(place) or turn.came_to(place)
        came_at.append(position)
        came.append(key)
        position += 1
        for at_ms, step in decision.timers:
            if at_ms != due_ms:
                due_ms, due = at_ms, u64(at_ms)
            put_timer(due + key + (U32[step] if step < U32_COUNT else u32(step)))
        for lane, sent, content in decision.sent:
            if (table := table_of(lane)) is None:
                turn.send(lane, sent, content)
            else:
                appends[table].append((u64(sent), content))
            out = sent + 1
    else:
        at += 1
    counters.position, counters.outbox = position, out
    turn.decided_count += at - first
    return at
