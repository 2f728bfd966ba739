"""Facts about messages that were sent to try a rule (N11).

Import these names from `journal.py`.
"""

from typing import Any

from stagewheel.protocol.facts import Fact


class RuleTried(Fact, tag=89):
    """A test of a rule's message went to `to`: without an outcome when it was put into the outbox, then once
    more with what became of it: delivered | refused | retry | unknown | expired | cancelled. It is no outcome
    of the rule.
    """

    rule: str
    step: int  # by which the two belong together
    channel: str
    to: str
    outcome: str = ""
    reason: str = ""
    detail: dict[str, Any] = {}
    lane: str = ""  # where it was put, and under which number; an end says neither
    number: int = 0
