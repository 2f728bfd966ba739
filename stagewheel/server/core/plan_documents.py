"""The plan of an action that makes a file of the item: a document, a QR code (A10, A11). Laws: those of
`plan_actions.py`.
"""

from typing import Final

from msgspec import Struct

from stagewheel.server.core.plan_actions import ChannelPlan

DOCUMENT: Final = "document"
QR: Final = "qr"


class NumberPlan(Struct, frozen=True):
    """How documents are numbered: a text with marks for the year, the month and the number in its series,
    which has so many digits at least.
    """

    text: str
    digits: int = 1


class FilePlan(ChannelPlan):
    """Its channel makes the file and stores it; `field` of the item then names it."""

    field: str = ""
    number: NumberPlan | None = None
    ending: str = ""
