"""A rate limit as a token bucket: pure, integers only, the time is passed in.

A bucket fills evenly up to `burst` tokens and each delivery takes one. Tokens are counted in millionths, so
that rates below one a second and above a thousand a second are exact without a float that drifts. The
algorithm is the token bucket of RFC 2697 with one rate and one size.

Laws: a bucket is never changed, every function returns a new one; a clock that stands still or jumps back
adds nothing.
"""

from msgspec import Struct, structs

_MICRO = 1_000_000  # millionths of a token in a token
UNLIMITED = 1 << 30  # what a bucket without a rate has


class Bucket(Struct, frozen=True, gc=False):
    """`micro` millionths of a token at `at_ms`. A rate of 0 is no limit."""

    rate_micro_per_ms: int
    burst: int
    micro: int
    at_ms: int


def full(rate_per_s: float, now_ms: int, burst: int = 0) -> Bucket:
    """A full bucket. Without a `burst` it holds a tenth of a second's tokens, at least one: a limit that
    nobody exceeds by more than that in any second.
    """
    size = burst or max(1, int(rate_per_s / 10))
    return Bucket(round(rate_per_s * 1_000), size, size * _MICRO, now_ms)


def available(bucket: Bucket, now_ms: int) -> int:
    """Whole tokens at `now_ms`."""
    if not bucket.rate_micro_per_ms:
        return UNLIMITED
    return _filled(bucket, now_ms) // _MICRO


def take(bucket: Bucket, count: int, now_ms: int) -> Bucket:
    """The bucket after `count` tokens were taken; they must be available."""
    if not bucket.rate_micro_per_ms or not count:
        return bucket
    micro = _filled(bucket, now_ms) - count * _MICRO
    assert micro >= 0, "more tokens were taken than the bucket had"
    return structs.replace(bucket, micro=micro, at_ms=max(now_ms, bucket.at_ms))


def next_ms(bucket: Bucket, now_ms: int) -> int:
    """The moment from which a token is available: `now_ms` if one is."""
    missing = _MICRO - _filled(bucket, now_ms)
    if not bucket.rate_micro_per_ms or missing <= 0:
        return now_ms
    return max(now_ms, bucket.at_ms) - (-missing // bucket.rate_micro_per_ms)


def _filled(bucket: Bucket, now_ms: int) -> int:
    elapsed_ms = max(0, now_ms - bucket.at_ms)
    return min(bucket.burst * _MICRO, bucket.micro + elapsed_ms * bucket.rate_micro_per_ms)
