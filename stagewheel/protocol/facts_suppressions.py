"""Facts about addresses that must not be written to (semantics 8.8).

Import these names from `journal.py`.
"""

from stagewheel.protocol.facts import Fact


class AddressSuppressed(Fact, tag=63):
    """Somebody said, of this item, that nothing of a channel goes to an address any more: unsubscribed |
    complained | bounced; or (`kind` empty) that it may be written to again.
    """

    channel: str
    address: str
    kind: str
    reason: str = ""
    by: int = 0


class AddressesLeftOut(Fact, tag=64):
    """These recipients of an action are suppressed; `kinds` says why, in the same order. If there is nobody
    else the step ends `skipped: suppressed`.
    """

    rule: str
    step: int
    channel: str
    addresses: list[str]
    kinds: list[str]
