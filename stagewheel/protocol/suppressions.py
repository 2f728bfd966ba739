"""Addresses that must not be written to (semantics 8.8): commands and questions.

Import these names from `messages.py`.
"""

from msgspec import Struct

from stagewheel.protocol.base import Command


class Suppress(Command, tag=42):
    """Nothing of a channel goes to this address any more. `kind`: unsubscribed | complained | bounced.

    `item`, if there is one, is where that was said; it is told in its timeline. Said again, it changes
    nothing.
    """

    channel: str = ""
    address: str = ""
    kind: str = "unsubscribed"
    reason: str = ""


class Unsuppress(Command, tag=43):
    """The address may be written to again; with `kind`, only that one is taken back."""

    channel: str = ""
    address: str = ""
    kind: str = ""


class SuppressedQuery(Struct, array_like=True, tag=48):
    """Suppressed addresses, by channel and address -> [SuppressedView, …]. `channel` and `address` empty: all
    of them.
    """

    channel: str = ""
    address: str = ""
    cursor: bytes = b""
    limit: int = 100


class SuppressedView(Struct):
    """Why an address is suppressed: one view a kind."""

    channel: str
    address: str
    kind: str  # unsubscribed | complained | bounced
    at_ms: int
    by: int = 0  # the employee who said so; 0: the client, or a program
    item: str = ""  # where it was said
    reason: str = ""
