"""The front of an item's row: all that a report on a plain action changes, where no decoder is needed for it.

    row     = head of an array of 20 ‖ head ‖ updated_ms ‖ actions ‖ the other fields of `Item`
    actions = empty, or b"\\x01" ‖ action*: MessagePack's `bin` of less than 256 bytes
    action  = its number in the outbox (u64) ‖ how many steps were numbered behind it (u16) ‖ rule (u16)

A plain entry (`plain_text.py`) writes the steps of its actions here and not among `steps`, and a report on
one of them (`plain_report.py`) takes 12 bytes out and writes two numbers anew, where decoding and encoding
the item costs more than all the rest of a report.

Laws:
- An action that is listed is one of the present entry, dispatched under that number by the version that the
  item keeps; nothing waits for its delivery; its step is SENDING since the entry began.
- Only a plain entry writes `actions` that are not empty, of an item without rare parts and without a client's
  key; only reports take some out. Whoever else writes the item writes the steps among `steps`.
- `decode_item` makes steps of them: nobody but a plain entry and a report knows in which form it is stored.
"""

from collections.abc import Iterator
from struct import Struct as Packed
from typing import Final

ACTIONS_MAX: Final = 15  # of a stage whose entries list them
RULES_MAX: Final = 1 << 16
ACTION_BYTES: Final = 12
LISTED: Final = b"\x01"
LEAD: Final = bytes((0xDC, 0, 20))
LEAD_BYTES: Final = len(LEAD)
HEADS: Final = tuple(
    bytes((0xC4, len(LISTED) + ACTION_BYTES * count)) + LISTED for count in range(ACTIONS_MAX + 1)
)
NO_ACTIONS: Final = HEADS[0]
HEAD_BYTES: Final = len(NO_ACTIONS)
U32_LEAD: Final = 0xCE  # how a number of four bytes begins, as a journal position is after the first 65,536

# Where things stand behind a head of four bytes, as nearly always, and an `updated_ms` of eight:
SIZE_AT: Final = LEAD_BYTES + 5 + 9 + 1
ALONE: Final = HEADS[1][1]  # the size of actions that are one
NUMBER_AT: Final = slice(SIZE_AT + 2, SIZE_AT + 10)
BEHIND_AT: Final = slice(SIZE_AT + 2 + ACTION_BYTES, None)

_ACTION = Packed(">QHH")
_REST = Packed(">HH")


def rest_of_action(behind: int, rule: int) -> bytes:
    """What stands behind the number of an action, and is the same for all entries of a stage."""
    return _REST.pack(behind, rule)


def actions_in(actions: bytes) -> Iterator[tuple[int, int, int]]:
    """Of each action: its number in the outbox, how many steps are behind it, its rule."""
    return _ACTION.iter_unpack(actions[len(LISTED) :])


# How many bytes MessagePack takes for an unsigned number, by its first one.
INT_BYTES: Final = (1,) * 0xCC + (2, 3, 5, 9) + (0,) * (0x100 - 0xD0)


def head_of(row: bytes) -> tuple[int, int]:
    """`head`, and where the actions begin."""
    end = LEAD_BYTES + INT_BYTES[row[LEAD_BYTES]]
    head = int.from_bytes(row[LEAD_BYTES + 1 : end]) or row[LEAD_BYTES]
    return head, end + INT_BYTES[row[end]]


def unlisted(row: bytes, first: int, number: bytes) -> bytes | None:
    """The row from its actions on, without this one; None: it does not list the action. The actions, with
    their head, begin at `first`; `number` is packed.
    """
    size = row[first + 1] - len(LISTED)
    start, end = first + HEAD_BYTES, first + HEAD_BYTES + size
    at = row.find(number, start, end)
    if size <= 0 or at < 0 or (at - start) % ACTION_BYTES:
        return None
    return HEADS[size // ACTION_BYTES - 1] + row[start:at] + row[at + ACTION_BYTES :]
