"""Facts about deliveries that have to wait. Laws: those of `journal.py`."""

from stagewheel.protocol.facts import Fact


class DeliveryHeld(Fact, tag=70):
    """An action is put aside until `due_ms`, since it is outside of its hours; `outside` says whose (company
    | responsible | client).
    """

    rule: str
    step: int
    due_ms: int
    outside: list[str] = []
