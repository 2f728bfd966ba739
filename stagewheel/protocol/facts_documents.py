"""Facts about documents and QR codes (A10, A11). Laws: those of `journal.py`."""

from stagewheel.protocol.facts import Fact


class NumberGiven(Fact, tag=82):
    """A document got its number: the `count`th of its series."""

    rule: str
    step: int
    number: str
    series: str
    count: int


class FileMade(Fact, tag=83):
    """A document or a QR code is there, as a stored file; `field` of the item names it, if not empty.

    `link` is where others see it: the signed address.
    """

    rule: str
    step: int
    kind: str  # document | qr
    file: str
    name: str
    number: str = ""
    field: str = ""
    link: str = ""
