"""What a turn is given and what it gives."""

from msgspec import Struct

from stagewheel.protocol.journal import Record
from stagewheel.protocol.messages import Answer, Delivered, Hello, Register, Report, StoreFile, Submit

Frame = tuple[bytes, bytes, bytes]


class Inbound(Struct, gc=False):
    """What came in since the last turn."""

    hellos: list[tuple[bytes, Hello]] = []
    submits: list[tuple[bytes, Submit, int]] = []  # route, message, bytes of its payload
    reports: list[Report] = []
    registers: list[tuple[bytes, Register]] = []
    files: list[tuple[bytes, StoreFile]] = []  # route, what a sender process stores
    relayed: list[tuple[int, Answer]] = []  # shard, its answer to what this one had for it
    delivered: list[Delivered] = []  # reports by columns

    def is_empty(self) -> bool:
        """Did nothing come in?"""
        return not (
            self.hellos
            or self.submits
            or self.reports
            or self.delivered
            or self.registers
            or self.files
            or self.relayed
        )


class Outbound(Struct, gc=False):
    """What a committed turn has for the outside: frames in order, and the journal's new records."""

    frames: list[Frame]
    records: list[tuple[int, bytes, Record]]
    committed: bool = True
    left: list[tuple[bytes, Submit, int]] = []  # Submits that the turn had no time for: come again with them
