"""Facts about deliveries whose end comes later, and about application actions (H8). Laws: those of
`journal.py`.
"""

from typing import Any

from stagewheel.protocol.facts import Fact


class DeliveryAwaited(Fact, tag=77):
    """A provider or worker took an action; its end is waited for until `until_ms`. `detail` is what is known
    of it so far; `number` is what `CompleteDelivery` names.
    """

    rule: str
    step: int
    channel: str
    number: int
    until_ms: int
    detail: dict[str, Any] = {}
