"""The front of an item's row: all that a report on a plain action changes, where no decoder is needed for it.

    row     = head of an array of 20 ‖ head ‖ updated_ms ‖ actions ‖ the other fields of `Item`
    actions = nil, or the array of (place, number in the outbox)* as MessagePack
    place   = 2^31 ‖ how many steps were numbered behind its step ‖ index of its rule, in 1, 15 and 16 bits

A plain entry (`plain_text.py`) writes the steps of its actions here and not among `steps`, and a report on
one of them (`plain_report.py`) takes some bytes out and writes two numbers anew, where decoding and encoding
the item costs more than all the rest of a report.

Laws:
- An action that is listed is one of the present entry, dispatched under that number by the version that the
  item keeps; nothing waits for its delivery; its step is SENDING since the entry began.
- Only a plain entry lists actions, of an item without rare parts and without a client's key; only reports
  take some out. Whoever else writes the item writes the steps among `steps`, and nil.
- `decode_item` makes steps of them: nobody but a plain entry and a report knows in which form it is stored.
"""

from collections.abc import Iterator, Sequence
from typing import Final

ACTIONS_MAX: Final = 7  # of a stage whose entries list them: MessagePack's short array
RULES_MAX: Final = 1 << 16
_PLACE: Final = 1 << 31
LEAD: Final = bytes((0xDC, 0, 20))
LEAD_BYTES: Final = len(LEAD)
NONE_LISTED: Final = b"\x90"  # no array in front of an item is as short, but nil is none

# Where things stand while positions and numbers take four bytes, as from 65,536 on, and a moment eight:
HEAD_AT: Final = slice(3, 8)
U32: Final = 0xCE  # row[3]: how a number of four bytes begins, and one of eight
U64: Final = 0xCF  # row[8]
LISTED: Final = 0x90  # row[17] & 0xF0: the head of a short array, where actions are listed, be it none …
ALONE: Final = 0x92  # … and where one is
NUMBER_AT: Final = slice(23, 28)
BEHIND_AT: Final = slice(28, None)


def place_of(behind: int, rule: int) -> int:
    """The place of an action: the same for all entries of a stage."""
    return _PLACE | behind << 16 | rule


def steps_in(actions: Sequence[int], last: int) -> Iterator[tuple[int, int]]:
    """Of each action its step and its rule; `last` is the number of the newest step."""
    for place in actions[::2]:
        yield last - ((place ^ _PLACE) >> 16), place & 0xFFFF


def without(actions: Sequence[int], number: int) -> list[int] | None:
    """The actions without this one; None: it is not listed."""
    numbers = actions[1::2]
    if number not in numbers:
        return None
    at = 2 * numbers.index(number)
    return [*actions[:at], *actions[at + 2 :]]


# How many bytes MessagePack takes for an unsigned number, by its first one.
INT_BYTES: Final = (1,) * 0xCC + (2, 3, 5, 9) + (0,) * (0x100 - 0xD0)


def head_of(row: bytes) -> tuple[int, int]:
    """`head`, and where the actions begin."""
    end = LEAD_BYTES + INT_BYTES[row[LEAD_BYTES]]
    head = int.from_bytes(row[LEAD_BYTES + 1 : end]) or row[LEAD_BYTES]
    return head, end + INT_BYTES[row[end]]
