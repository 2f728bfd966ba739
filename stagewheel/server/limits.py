"""Every maximum of the server, and the relations between them that the engine relies on.

Laws: a queue, a frame or a table without a number here does not exist; the relations are asserted at import,
so a build with limits that contradict each other never starts. Units stand last in the names.
"""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# ---- frames and credit (told to each client in Welcome) ----

FRAME_COMMANDS_MAX: Final = 256
FRAME_BYTES_MAX: Final = 1 * MIB  # also the largest single command: a ruleset with all its files

# Two turns' worth: one is being decided while the next one arrives.
CREDIT_COMMANDS: Final = 8192
CREDIT_BYTES: Final = 8 * MIB

# ---- one turn ----

TURN_COMMANDS_MAX: Final = 4096
TURN_BYTES_MAX: Final = 4 * MIB

# ---- sessions and producers ----

SESSIONS_MAX: Final = 10_000
SESSION_IDLE_MIN_MS: Final = 10_000  # a session used within this time is never evicted for a new one
PRODUCER_NAME_BYTES_MAX: Final = 64
PRODUCER_KEPT_MS: Final = 7 * 24 * 3600 * 1000  # an idle producer's row; then its numbers are `expired`

# Answers kept for one producer until it acknowledges them: about 5 MB of rows at 64 commands a frame.
UNACKNOWLEDGED_COMMANDS_MAX: Final = 1_000_000

assert FRAME_COMMANDS_MAX <= 0xFFFF, "the frame header counts commands in 16 bits"
assert FRAME_COMMANDS_MAX <= TURN_COMMANDS_MAX, "a frame is admitted whole, within one turn"
assert FRAME_BYTES_MAX <= TURN_BYTES_MAX, "a frame is admitted whole, within one turn"
assert CREDIT_COMMANDS >= 2 * FRAME_COMMANDS_MAX, "a client fills the next frame while one is under way"
assert CREDIT_BYTES >= 2 * FRAME_BYTES_MAX, "a client fills the next frame while one is under way"
assert CREDIT_COMMANDS >= 2 * TURN_COMMANDS_MAX, "one client alone can keep the server busy"
assert UNACKNOWLEDGED_COMMANDS_MAX >= 4 * CREDIT_COMMANDS, "the window is bounded by credit, not by answers"
