"""The tables of a shard's store: what each holds, as key ‖ value.

Laws: names are part of the format on disk and are never given a second meaning; a new table may come, a
renamed one is a new format version. Big numbers are u64 and u32, big-endian, so that byte order is number
order (`keys.py`).
Why an IntEnum: a table is a list index and a dict key (31 ns, as fast as a str). Only naming it is slow:
`Table.ITEMS` takes 120 ns in Python 3.11, so a hot loop names it once, before.
"""

import enum
from typing import Final


class Table(enum.IntEnum):
    """One ordered table of bytes to bytes. The comment behind each says key ‖ value."""

    META = 0  # name (ascii) ‖ one small value: format version, lane, counters, the last recorded now
    ITEMS = 1  # item key ‖ the item, encoded
    MAILBOX = 2  # u16 length, item key, u64 number ‖ one message that waits for its item
    TIMERS = 3  # u64 due_ms, item key, u32 step number ‖ what to check and do when it is due: the next ones
    JOURNAL = 4  # u64 position ‖ one decision's record (appended, trimmed from the front)
    ANSWERS = 5  # 16 bytes producer, u64 sequence ‖ the encoded answer of that Submit
    PRODUCERS = 6  # 16 bytes producer ‖ epoch, next sequence, owner, last seen
    PARKED = 7  # u64 outbox number of its dispatch ‖ an outbox row that waits for its retry
    DEAD = 8  # u64 number ‖ a dead letter: the outbox row and why it was given up
    POISON = 9  # u64 number ‖ a message that no decision could take, and the error
    RULESETS = 10  # u64 version ‖ what a stored ruleset is: its name, when, by whom, why
    EMPLOYEES = 11  # employee key ‖ the employee, encoded
    STAGES = 12  # u16 length, pipeline, u16 length, stage, u64 position ‖ who came up to it (stage_lists.py)
    DEDUPE = 13  # dedupe key ‖ where its first answer stands
    DEDUPE_EXPIRY = 14  # u64 expires_ms, dedupe key ‖ empty
    BLOBS = 15  # u64 number of an upload, u32 chunk ‖ bytes of a file
    RELAY = 16  # u16 shard, u64 sequence of this lane there ‖ a command for that shard (actors/relay.py)
    OUTBOX_EMAIL = 17  # u64 number ‖ an action for the e-mail channel (appended, trimmed from the front)
    OUTBOX_WEBHOOK = 18  # as OUTBOX_EMAIL
    OUTBOX_SMS = 19  # as OUTBOX_EMAIL
    OUTBOX_CALL = 20  # as OUTBOX_EMAIL
    OUTBOX_CHAT = 21  # as OUTBOX_EMAIL
    OUTBOX_APP = 22  # as OUTBOX_EMAIL: notices and tasks inside the application
    OUTBOX_ADS = 23  # as OUTBOX_EMAIL: audiences of advertising networks
    RULESET_FILES = 24  # u64 version ‖ the paths and texts of a stored ruleset
    HELD_BY = 25  # u64 employee, item key ‖ u64 due_ms until when that employee's hours hold a step of it
    RELOOKS = 26  # u64 employee ‖ key of the item that was told last that these hours changed
    LINKS = 27  # u16 length, client key, 0 open or 1 closed, item key ‖ an item that names the client
    HOLDS = 28  # "kind:target" ‖ a rule or pipeline that is stopped or paused (9.3)
    KEPT_STEPS = 29  # u16 length, hold, timer's key ‖ empty: a step that was due while it was paused
    MOVED = 30  # u64 outbox number of an action's dispatch ‖ u64 number under which a later attempt stands
    TAKEN = 31  # u64 outbox number of a row that leaves at most once ‖ its channel and who took it
    TURNS = 32  # name of a round robin ‖ u64 turns taken
    HISTORY = 33  # u64 number ‖ an entry of the history (appended)
    NOTIFICATIONS = 34  # u64 number ‖ a notification (appended)
    STREAM = 35  # u64 number ‖ a message of the activity stream (appended)
    SUPPRESSED = 40  # channel, 0, address as it is compared ‖ what was said of it, by kind
    OUTBOX_PROVIDERS = 41  # lane, NUL, u64 number ‖ as OUTBOX_EMAIL, for a provider that its rule names
    FILES = 39  # 0 and file id ‖ a stored file; 1 and u64 upload ‖ an upload that is not at its end
    ACTIONS = 45  # name ‖ a registered application action
    TIMERS_FAR = 55  # u8 level, u64 start_ms, u64 number ‖ some rows of TIMERS that are due later (far.py)
    TIMER_BUCKETS = 56  # u8 level, u64 start_ms ‖ how many rows a far bucket has, and its next number
    PENDING = 44  # u64 outbox number of its dispatch ‖ an action whose end is waited for, and until when
    CHATS = 42  # u16 length, provider, id of a chat ‖ the items it was bound to, the last one first
    INVITATIONS = 43  # u64 outbox number of its dispatch ‖ the item that the client was invited to, and when
    ALIASES = 49  # 0, alias ‖ the key that it names; 1, u16 length, that key, alias ‖ empty
    ERASURES = 50  # u64 number ‖ an erasure that goes on, and how far it is
    TASKS = 36  # a byte for the way, what is asked for, u64 number ‖ a task, or nothing (actors/tasks.py)
    ACTIVITIES = 37  # "a", item, number ‖ an activity; "e" and "c": by responsible, and in calendars
    OUTBOX_DOCUMENT = 46  # as OUTBOX_EMAIL: documents that are to be made
    OUTBOX_QR = 47  # as OUTBOX_EMAIL: QR codes that are to be made
    BROADCASTS = 51  # u64 number ‖ whom a result is owed to when all shards have answered
    KNOWN_CLIENTS = 52  # client key ‖ a contact or company of another shard, as it was told last
    ROOMS = 38  # u16 length, room, u64 start_ms, u16 length, item, u64 number ‖ u64 end_ms: it is taken


FORMAT_KEY: Final = b"format"
"""The row of META that says how all others are to be read, as u64. The store writes it, and nobody else."""

FORMAT_VERSION: Final = 1

TABLES: Final[tuple[Table, ...]] = tuple(sorted(Table))
SLOTS: Final = range(max(Table) + 1)
"""What a list that is indexed by tables is made of: numbers may have gaps."""

OUTBOXES: Final[tuple[Table, ...]] = tuple(table for table in Table if table.name.startswith("OUTBOX_"))
