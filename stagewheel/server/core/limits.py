"""The maxima that decisions themselves hold to; the engine's are in `server/limits.py`."""

from typing import Final

ITEM_KEY_BYTES_MAX: Final = 200
TEXT_BYTES_MAX: Final = 65_536  # of a text rendered within the turn (4.7)
ABSENCES_MAX: Final = 366  # of one employee
OPENING_HOURS_MAX: Final = 100  # of one week
FIELDS_BYTES_MAX: Final = 262_144  # of all values that one command may carry
INSTANCES_MAX: Final = 32  # running workflows an item (6.5)
STEPS_WITHOUT_WAIT_MAX: Final = 200  # of a workflow, then it yields to the next turn (6.3)
STEPS_A_DECISION_MAX: Final = 2_000  # of all workflows together; then they yield as well
TOKENS_MAX: Final = 32  # threads of one workflow instance
ROUNDS_MAX: Final = 1_000  # of a while loop (6.3), and of workflows that start one another
# What a ruleset may set its guards to (9.1); the standard is in lineage.py. An item carries up to so many
# moments.
CHAIN_ENTRIES_MAX: Final = 200
ITEM_ENTRIES_MAX: Final = 400
CHAIN_MESSAGES_MAX: Final = 100_000
STAGE_HOLDS_MAX: Final = 100  # stages of one item that are stopped or paused (9.3)
LINKS_MAX: Final = 20_000  # items linked to one contact or company
LINKS_SLICE: Final = 256  # of them told in one decision
SPREADS_MAX: Final = 16  # events of one client that are still on their way to further items
CLIENT_BYTES_MAX: Final = 16_384  # of a contact or company; each linked item holds a copy
REPEATS_MAX: Final = 1_000  # rules whose history an imported item may bring along (1.12)
TASKS_OPEN_MAX: Final = 100  # of one item
TASKS_CLOSED_KEPT: Final = 20  # the latest closed ones that its conditions can still ask for
TASK_TEXT_BYTES_MAX: Final = 16_384  # of a task's description, or its result
TASK_NAME_BYTES_MAX: Final = 1_000  # of its name, of a tag
TASK_REF_BYTES_MAX: Final = 200  # of its workgroup, and what the CRM calls it: parts of keys
TASK_LIST_MAX: Final = 100  # participants, observers, tags, points of the checklist
TASK_BYTES_MAX: Final = 65_536  # of all that one task says
CAP_LIMIT_MAX: Final = 100  # actions that one cap allows within its window
PENDING_MS_MIN: Final = 1_000  # for which the end of a delivery is waited for at least
PENDING_MS_MAX: Final = 31 * 24 * 3_600_000
DETAIL_BYTES_MAX: Final = 16_384  # of what the end of a delivery brings for `previous.*`
CHATS_MAX: Final = 10  # of one item; the one that was bound longest ago is forgotten
CHAT_ITEMS_MAX: Final = 20  # of one chat, likewise
CHAT_ID_BYTES_MAX: Final = 128  # of a chat's id, and of a provider's name
CHAT_NAME_CHARS_MAX: Final = 200  # of who wrote, of a file's name, of a message's number
CHAT_FILES_MAX: Final = 20  # of one message
ACTIVITIES_OPEN_MAX: Final = 32  # of one item: they stand in its row
ACTIVITY_TEXT_BYTES_MAX: Final = 8_192
ACTIVITY_LINE_BYTES_MAX: Final = 200  # of its room, and so of a key of the store; of address and link
ACTIVITY_PEOPLE_MAX: Final = 100
ACTIVITY_FILES_MAX: Final = 20
ERASED_WORDS_MAX: Final = 1_000  # texts of an erased item that answers are searched for; its files likewise

assert STEPS_WITHOUT_WAIT_MAX <= STEPS_A_DECISION_MAX, "one workflow alone must come through its own share"
assert CHAIN_ENTRIES_MAX <= ITEM_ENTRIES_MAX, "a single chain stops before the count of the day does"
