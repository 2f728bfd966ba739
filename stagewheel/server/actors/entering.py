"""The way of nearly every command at its shortest: moves of items that were read at a glance, to stages that
have plain entries.

Laws: those of `ordinary.py`, which goes on where this stops: at a command that is not a plain entry, or whose
entry answers None or fails. What is decided here is what `decide` would have decided, so who has put another
decider into the engine is asked, and this way is not taken.

Why a second loop: a plain entry is bytes, a place and a few numbers, so half of what `ordinary.py` asks about
a decision is answered; and a stage's plan is looked up once for all moves of a frame to it.
"""

from typing import TYPE_CHECKING, Final, cast

from stagewheel.protocol.codec import decode_record
from stagewheel.protocol.messages import AnyCommand, ChangeStage, Result
from stagewheel.server.actors.outboxes import OUTBOX_TABLES
from stagewheel.server.core.decide import decide as as_ever
from stagewheel.server.core.item import Glance
from stagewheel.server.core.plain_text import Change
from stagewheel.server.store.keys import u32, u64

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn

U32_COUNT: Final = 4096
U32: Final = tuple(u32(number) for number in range(U32_COUNT))  # step numbers of items that are not very old
Way = tuple[Change | None, int, list[int], list[bytes]]
"""To a stage: its plain entry, the version it is of, and the turn's lists: when items came, and which."""

NO_WAY: Final[Way] = (None, 0, [], [])


def enter_run(
    turn: "Turn", commands: list[AnyCommand], keys: list[bytes], results: list[Result], first: int
) -> int:
    """Decide and collect from command `first` on, while they are plain entries; the first that is not."""
    if not turn.glances or turn.engine.decide is not as_ever:
        return first
    facts, counters, now_ms, items, rows = turn.facts, turn.counters, turn.now_ms, turn.items, turn.rows
    appends, add_record, put_timer = turn.batch.appends, turn.append_journal, turn.put_timer
    followers = turn.records if turn.engine.followed else None
    position, out, due_ms, due = counters.position, counters.outbox, -1, b""
    pipeline, ways, table_of = "", dict[str, Way](), OUTBOX_TABLES.get
    moves = cast("list[ChangeStage]", commands)  # or there were no glances
    for at in range(first, len(moves)):
        command, key = moves[at], keys[at]
        item = items.get(key)
        if type(item) is not Glance or command.dedupe_key:
            break
        if item.pipeline != pipeline:
            pipeline, ways = item.pipeline, {}
        wanted = command.stage
        if (way := ways.get(wanted)) is None:
            way = ways[wanted] = way_of(turn, pipeline, wanted)
        change, version, came_at, came = way
        if change is None or item.version != version or item.stage == wanted:
            break
        try:
            entered = change(item, command, facts, now_ms, position, out)
        except Exception:
            break
        if entered is None:
            break
        row, result, record, timers, sends = entered
        results.append(result)
        rows[key] = row
        del items[key]  # nobody has built it: who needs it in this turn reads its row
        add_record((u64(position), record))
        if followers is not None:
            followers.append((position, record, decode_record(record)))
        came_at.append(position)
        came.append(key)
        position += 1
        for at_ms, step in timers:
            if at_ms != due_ms:
                due_ms, due = at_ms, u64(at_ms)
            put_timer(due + key + (U32[step] if step < U32_COUNT else u32(step)))
        for lane, sent, content in sends:
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


def way_of(turn: "Turn", pipeline: str, stage: str) -> Way:
    """The stage that a move is to, as `decide` finds it."""
    version = turn.facts.active.get(pipeline)
    plan = version.pipelines[pipeline].stages.get(stage) if version is not None else None
    if version is None or plan is None or plan.plain is None:
        return NO_WAY
    _, came_at, came = turn.came_to((pipeline, stage))
    return plan.plain, version.number, came_at, came
