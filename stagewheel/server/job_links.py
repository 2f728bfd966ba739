"""The address at which an HTTP handler tells the end of a job (H8): what it holds.

Laws: an address is for one job alone and holds no secret; who has it may end that job, once.
"""

from typing import Final

from msgspec import Struct

CALL_BACK: Final = "a"  # its route


class CallBack(Struct, frozen=True, array_like=True):
    """What the address holds."""

    item: str
    number: int
