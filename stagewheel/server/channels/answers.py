"""What an answer of somebody else's server may leave behind: JSON of bounded size and depth, made of what can
be stored.

Why: it goes into the journal and, as `previous`, into every later decision of the chain; a number that no row
can hold, or nesting that no walk comes to the end of, would harm the item and not its sender.
"""

from typing import Any, Final

import msgspec

from stagewheel.server.limits import DETAIL_BYTES_MAX, WEBHOOK_JSON_BYTES_MAX, WEBHOOK_JSON_DEPTH_MAX

UNKEPT: Final = "they are too large or too deep, or have numbers beyond 64 bits"
_encode: Final = msgspec.msgpack.Encoder().encode


def bounded_json(body: bytes) -> Any:
    """The value, or None if it is none, too large or too deep."""
    if not body or len(body) > WEBHOOK_JSON_BYTES_MAX:
        return None
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return value if storable(value, WEBHOOK_JSON_BYTES_MAX) else None


def storable(value: Any, bytes_max: int = DETAIL_BYTES_MAX) -> bool:
    """Can it be kept?"""
    if _depth_over(value, WEBHOOK_JSON_DEPTH_MAX):
        return False
    try:
        return len(_encode(value)) <= bytes_max
    except (OverflowError, UnicodeError, TypeError, msgspec.MsgspecError):
        return False


def _depth_over(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    below = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_depth_over(one, levels - 1) for one in below)
