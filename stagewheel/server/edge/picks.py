"""Where a value stands in a request: `body.order.id`, `body.lines.0.price`, `query.deal`, `header.x-deal`.

Laws: pure. A path is read once, when the configuration is; a request in which it leads nowhere has None
there. Headers that carry tokens cannot be picked.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

ROOTS: Final = ("body", "query", "header")
SECRET_HEADERS: Final = frozenset({"authorization", "cookie", "x-token", "proxy-authorization"})


class Pick(Struct, frozen=True):
    """A path that was read."""

    root: str
    names: tuple[str, ...]


class Sent(Struct):
    """What a request brought."""

    body: Any
    query: Mapping[str, str]
    headers: Mapping[str, str]


def read_pick(text: str) -> Pick:
    """Raises ValueError, which says what a path looks like."""
    root, *names = text.split(".")
    if root not in ROOTS or (root != "body" and len(names) != 1) or not all(names):
        raise ValueError(f"{text!r}: write body.NAME.NAME, query.NAME or header.NAME")
    if root == "header" and names[0].lower() in SECRET_HEADERS:
        raise ValueError(f"{text!r}: this header holds a secret")
    return Pick(root, tuple(names))


def picked(pick: Pick, sent: Sent) -> Any:
    """The value, or None."""
    if pick.root == "query":
        return sent.query.get(pick.names[0])
    if pick.root == "header":
        return sent.headers.get(pick.names[0].lower())
    value = sent.body
    for name in pick.names:
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def key_text(value: Any) -> str:
    """A value as an item's key: text or a whole number; "" for anything else."""
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""
