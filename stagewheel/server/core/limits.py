"""The maxima that decisions themselves hold to; the engine's are in `server/limits.py`."""

from typing import Final

ITEM_KEY_BYTES_MAX: Final = 200
TEXT_BYTES_MAX: Final = 65_536  # of a text rendered within the turn (4.7)
FIELDS_BYTES_MAX: Final = 262_144  # of all values that one command may carry
INSTANCES_MAX: Final = 32  # running workflows an item (6.5)
STEPS_WITHOUT_WAIT_MAX: Final = 200  # of a workflow, then it yields to the next turn (6.3)
ROUNDS_MAX: Final = 1_000  # of a while loop (6.3)
DEPTH_MAX: Final = 25  # automatic entries and creations in one chain of causes (9.1)
AUTOMATIC_ENTRIES_MAX: Final = 100  # of one item within a day (9.1)
DAY_MS: Final = 86_400_000

assert DEPTH_MAX < AUTOMATIC_ENTRIES_MAX, "a single chain must stop before the day's count does"
