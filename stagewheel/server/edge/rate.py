"""How often an address may ask: a token bucket each, and a bound on how many addresses are remembered.

Laws: pure, the moment is passed in. An address that is forgotten begins with a full bucket; the one that
asked longest ago is forgotten first, so whoever floods is remembered. An IPv6 address counts as its /64,
which is what one customer of a provider has.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final

from stagewheel.server.limits import EDGE_ADDRESSES_MAX

HEADER_ADDRESSES_MAX: Final = 20  # of X-Forwarded-For that are looked at, from its end


class Rates:
    """Buckets by address."""

    def __init__(self, per_minute: int, burst: int, addresses_max: int = EDGE_ADDRESSES_MAX) -> None:
        self._per_s, self._burst, self._addresses_max = per_minute / 60, float(burst), addresses_max
        self._buckets: OrderedDict[str, tuple[float, float]] = (
            OrderedDict()
        )  # (tokens, at_s), oldest use first

    def __len__(self) -> int:
        return len(self._buckets)

    def is_out(self, address: str, now_s: float) -> bool:
        """Is there no token? Takes none."""
        tokens, at_s = self._buckets.get(address, (self._burst, now_s))
        return tokens + max(0.0, now_s - at_s) * self._per_s < 1.0

    def wait_s(self, address: str, now_s: float) -> float:
        """Take a token: 0.0 if there was one, else in how many seconds there is."""
        tokens, at_s = self._buckets.pop(address, (self._burst, now_s))
        tokens = min(self._burst, tokens + max(0.0, now_s - at_s) * self._per_s)
        taken = tokens >= 1.0
        self._buckets[address] = (tokens - 1.0 if taken else tokens, now_s)
        if len(self._buckets) > self._addresses_max:
            self._buckets.popitem(last=False)
        return 0.0 if taken else (1.0 - tokens) / self._per_s


def address_of(peer: str, forwarded_for: Iterable[str], trusted: frozenset[str]) -> str:
    """Who asks. What proxies wrote into X-Forwarded-For counts only as far as they are ours, from its end."""
    given = [one.strip() for line in forwarded_for for one in line.split(",")][-HEADER_ADDRESSES_MAX:]
    address = peer
    while address in trusted and given:
        address = given.pop()
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return peer  # a trusted proxy wrote something else: then it is all the same address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def is_local(peer: str, headers: Mapping[str, str]) -> bool:
    """Did a program on this machine ask by itself, with no proxy between?"""
    if "x-forwarded-for" in headers or "forwarded" in headers:
        return False
    try:
        return ipaddress.ip_address(peer).is_loopback
    except ValueError:
        return False
