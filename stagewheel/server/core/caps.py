"""Frequency caps: how many actions of a channel a client gets within a window that slides (semantics 8.5).

Laws: counting is pure, and a step counts once however often it asks: its digest stands among the grants. A
client with a key counts over all of its items, in its own actor; for one without a key the item counts
itself, at once. What was granted stays counted, also where the action is not sent after all (its entry ended
meanwhile): a cap is a maximum, and to be a message short is the harmless side.
"""

from hashlib import blake2b

from stagewheel.protocol.journal import CapAwaited
from stagewheel.server.core.acting import ASKS, SKIPPED, Acted, Asked
from stagewheel.server.core.between import CapAsked
from stagewheel.server.core.client_row import Counted, Grant
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import SendToItem, StartTimer
from stagewheel.server.core.limits import CAP_LIMIT_MAX
from stagewheel.server.core.plan_actions import CapPlan

OVER = Acted(SKIPPED, "cap")


def digest_of(item: str, step: int) -> bytes:
    """What stands for a step of an item among the grants; step numbers are never used again."""
    return blake2b(f"{item}/{step}".encode(), digest_size=8).digest()


def count(
    counted: Counted | None, limit: int, window_ms: int, by: bytes, now_ms: int
) -> tuple[bool, int, Counted | None]:
    """(granted, when there is room again, what is counted now). Asked again, what was granted is granted."""
    grants = counted.grants if counted is not None else []
    if any(grant.by == by for grant in grants):
        return True, 0, counted
    inside = [grant.at_ms for grant in grants if grant.at_ms > now_ms - window_ms]
    if len(inside) >= limit:
        return False, inside[-limit] + window_ms, counted
    window_ms = max(window_ms, counted.window_ms if counted is not None else 0)
    kept = [grant for grant in grants if grant.at_ms > now_ms - window_ms]
    return True, 0, Counted(window_ms, [*kept, Grant(now_ms, by)][-CAP_LIMIT_MAX:])


def ask(d: Deciding, cap: CapPlan, asked: Asked) -> Acted | None:
    """None: the action may go. Else the step is skipped, or waits for its client's answer or for room."""
    client = d.item.client
    if client is None:
        return None
    if client.key:
        message = CapAsked(d.item.key, asked.step, cap.channel, cap.limit, cap.window_ms, d.now_ms)
        d.effects.append(SendToItem(client.key, message))
        d.did.append(CapAwaited(asked.rule, asked.step, cap.channel, client.key))
        return Acted(ASKS, due_ms=d.now_ms)
    sent = d.more.sent
    by = digest_of(d.item.key, asked.step)
    granted, until_ms, counted = count(sent.get(cap.channel), cap.limit, cap.window_ms, by, d.now_ms)
    if granted:
        assert counted is not None, "a grant is counted"
        d.set_more(sent={**sent, cap.channel: counted})
        return None
    return until_room(d, cap, asked, until_ms)


def until_room(d: Deciding, cap: CapPlan, asked: Asked, until_ms: int) -> Acted:
    """The cap is reached: the step is skipped, or waits until there is room and asks again."""
    if not cap.wait:
        return OVER
    d.effects.append(StartTimer(until_ms, asked.step))
    d.did.append(CapAwaited(asked.rule, asked.step, cap.channel, "", until_ms))
    return Acted(ASKS, due_ms=until_ms)
