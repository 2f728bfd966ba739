"""What every command begins with; commands of one topic stand in a file of their own beside `commands.py`."""

from msgspec import Struct


class Command(Struct, array_like=True, gc=False, tag_field="tag"):
    """What every command begins with.

    `item` is the item's key (empty for reference data), `by` the employee on whose behalf it is done (0:
    the integration itself), `at_ms` the time it happened in the source (a server with the replay clock
    follows it), `dedupe_key` makes a command idempotent over client restarts.
    """

    item: str
    by: int = 0
    at_ms: int = 0
    dedupe_key: str = ""
