"""A circuit breaker as data: pure, the time is passed in.

    closed ──N failures in a row──▶ open ──pause over──▶ half-open ──probe delivered──▶ closed
                                     ▲                       │
                                     └──────probe failed─────┘   (the pause doubles, up to its maximum)

Only failures of the provider as a whole count (it does not answer, it closes the connection, it says that
it is unavailable). A message that it refuses proves that it is there, so it closes the breaker like a
delivery.

Laws: a breaker is never changed, every function returns a new one. Open means that nothing is handed to a
sender; what waits stays where it is and uses up no attempt, so a provider may be down for a day and nothing
is given up for it. Why not on a rate of failures over a window: a row of failures needs one integer, and a
provider that is down fails every time. The pattern is Michael Nygard's, "Release It!", 2007.
"""

from msgspec import Struct, structs

CLOSED = "closed"
OPEN = "open"
HALF_OPEN = "half-open"

PAUSE_MS_MAX = 300_000


class Breaker(Struct, frozen=True, gc=False):
    """`failures_max` in a row open it for `pause_ms` (the first time); 0 is a breaker that never opens."""

    failures_max: int
    pause_ms: int
    failures: int = 0
    until_ms: int = 0  # open until then; 0: closed
    next_pause_ms: int = 0  # after one more failed probe
    probing: bool = False  # half-open, and the one probe is under way


def state(breaker: Breaker, now_ms: int) -> str:
    """closed | open | half-open."""
    if not breaker.until_ms:
        return CLOSED
    return OPEN if now_ms < breaker.until_ms and not breaker.probing else HALF_OPEN


def admitted(breaker: Breaker, now_ms: int, many: int) -> int:
    """How many jobs may be handed out now: `many`, or one probe, or none."""
    match state(breaker, now_ms):
        case "closed":
            return many
        case "half-open" if not breaker.probing:
            return 1
    return 0


def handed(breaker: Breaker, now_ms: int) -> Breaker:
    """After a job was handed to a sender: in the half-open state it is the probe."""
    if state(breaker, now_ms) == HALF_OPEN:
        return structs.replace(breaker, probing=True)
    return breaker


def not_begun(breaker: Breaker) -> Breaker:
    """A job that was handed out was not begun after all: if it was the probe, another one is."""
    return structs.replace(breaker, probing=False) if breaker.probing else breaker


def wait_ms(breaker: Breaker, now_ms: int) -> tuple[int, int]:
    """(until the next probe at the earliest, the length of the pause) of one that is not closed."""
    pause_ms = max(breaker.pause_ms, breaker.next_pause_ms // 2)
    return (breaker.until_ms - now_ms if now_ms < breaker.until_ms else pause_ms), pause_ms


def succeeded(breaker: Breaker) -> Breaker:
    """The provider answered."""
    if not breaker.failures and not breaker.until_ms:
        return breaker
    return Breaker(breaker.failures_max, breaker.pause_ms)


def failed(breaker: Breaker, now_ms: int) -> Breaker:
    """The provider failed."""
    failures = breaker.failures + 1
    if not breaker.failures_max or failures < breaker.failures_max:
        return structs.replace(breaker, failures=failures)
    if state(breaker, now_ms) == OPEN:
        return breaker  # a job that was under way when it opened; it says nothing new
    pause_ms = breaker.next_pause_ms or breaker.pause_ms
    return structs.replace(
        breaker,
        failures=failures,
        until_ms=now_ms + pause_ms,
        next_pause_ms=min(pause_ms * 2, PAUSE_MS_MAX),
        probing=False,
    )
