"""How long to wait before a delivery is tried again: exponential back-off with full jitter, in integers.

After attempt n the delay is drawn evenly from 0 … min(cap, base · 2ⁿ⁻¹). The whole range is drawn from
("full jitter"), not a band around its end, since that spreads the retries of a thousand mails that failed
in the same second best and costs the provider the fewest calls; see Marc Brooker, "Exponential Backoff And
Jitter", AWS Architecture Blog, 2015.

Laws: nothing here draws a random number; who calls passes one in, so a test can say which. The sender draws
and the delay travels in its report (8.2), so that the decision stays pure.
"""

BASE_MS = 5_000
CAP_MS = 3_600_000


def delay_max_ms(attempt: int, base_ms: int = BASE_MS, cap_ms: int = CAP_MS) -> int:
    """The longest delay after attempt number `attempt` (the first is 1) has failed."""
    # A shift by more than 62 is beyond every cap; without the bound attempt 10,000 would build a number of
    # 10,000 bits.
    return min(cap_ms, base_ms << min(max(attempt, 1) - 1, 62))


def draw(attempt: int, random01: float, base_ms: int = BASE_MS, cap_ms: int = CAP_MS) -> int:
    """The delay in ms after attempt number `attempt`, for a random number 0 ≤ `random01` < 1."""
    return int((delay_max_ms(attempt, base_ms, cap_ms) + 1) * random01)
