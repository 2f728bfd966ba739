"""What a sender process may do of what the whole server may: limits are said of the server, and each process
keeps to its share.

Laws: a provider's rate is divided exactly, so that all processes together keep to it. Deliveries under way
(`pool_size`, `per_group_max`) are divided by whole numbers, rounded down, at least one: they exceed what was
said only where there are more processes than that. Breakers are each process's own: each finds out by itself
that a provider is down.

Why not one budget that is handed round: a process that waits for its share of another one's tokens would
stand still when that one dies.
"""

from typing import Any, Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

RATE_LEAST_PER_S: Final = 0.001  # what a bucket can count; 0 would be no limit
COUNTS: Final = ("pool_size", "per_group_max")
S = TypeVar("S", bound=Struct)


def share_of(settings: S, processes: int) -> S:
    """The settings of channels as one of so many equal processes has them."""
    if processes <= 1:
        return settings
    changed: dict[str, Any] = {}
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        if name == "rate_per_s" and value:
            changed[name] = max(value / processes, RATE_LEAST_PER_S)
        elif name in COUNTS and value:
            changed[name] = max(1, value // processes)
        elif isinstance(value, Struct):
            changed[name] = share_of(value, processes)
        elif isinstance(value, dict):
            parts = {
                key: share_of(part, processes) for key, part in value.items() if isinstance(part, Struct)
            }
            changed[name] = {**value, **parts}
    return replace(settings, **changed)
