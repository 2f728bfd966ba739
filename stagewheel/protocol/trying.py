"""Trying a rule: one real message of it goes to an address of one's own (N11).

Import these names from `messages.py`.
"""

from stagewheel.protocol.base import Command


class TryRule(Command, tag=60):
    """Send the message of a rule of the item's pipeline, as it would be now, to the address `to` instead of
    its recipient, marked as a test. The item's timeline tells the outcome; nothing else of the item changes.
    """

    rule: str = ""
    to: str = ""
