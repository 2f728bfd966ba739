"""Aliases of keys, and the removal of personal data (semantics 7.5, 7.6). Import these names from
`messages.py`.
"""

from msgspec import Struct

from stagewheel.protocol.base import Command


class AliasItem(Command, tag=57):
    """Bind the CRM's own id to an item, contact or company: commands and queries may name it by `alias`.

    An alias is bound once; it is refused where it is taken, also by a key. The same once more is `applied`.
    """

    alias: str = ""


class EraseClient(Command, tag=58):
    """Remove the personal data of a contact or company, and of all items that name it."""


class ErasuresQuery(Struct, array_like=True, tag=54):
    """Erasures that are not at their end, oldest first -> [ErasureView, …]."""

    after: int = 0
    limit: int = 100


class ErasureView(Struct):
    """An erasure that goes on: what it is at, and what it has removed so far."""

    number: int
    item: str
    by: int
    at_ms: int
    doing: str  # journal | records | files | answers | senders (actions that senders have not reported on)
    records: int
    rows: int
