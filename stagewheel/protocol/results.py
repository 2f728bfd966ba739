"""Results of commands: what became of what a client asked for.

Laws: those of `messages.py`, from where everybody imports these names. A result is final, or `Accepted`,
which a `Completed` message makes final later.
"""

from typing import Any

from msgspec import Struct


class Applied(Struct, array_like=True, tag=1, gc=False, frozen=True):
    """Final: done. `entry` is the item's entry number after it (0 for reference data)."""

    entry: int = 0


class Accepted(Struct, array_like=True, tag=2, gc=False, frozen=True):
    """Stored in the item's mailbox and never lost; a `Completed` message brings the final result."""


class Failed(Struct, array_like=True, tag=3, gc=False, frozen=True):
    """Final: refused or failed, nothing changed. `code` is one of `protocol.codes`; `message` says what to
    do.
    """

    code: str
    message: str = ""


class Moved(Struct, array_like=True, tag=4, gc=False, frozen=True):
    """Final: a trigger moved the item (5.7)."""

    from_stage: str
    to_stage: str
    trigger: str
    entry: int


class Test(Struct, array_like=True, gc=False, frozen=True):
    """One test of a condition and the value it saw."""

    path: str
    operator: str
    expected: Any
    seen: Any
    held: bool


class Candidate(Struct, array_like=True, gc=False, frozen=True):
    """A trigger that was looked at and did not move the item: why, and the tests that were made."""

    trigger: str
    stage: str
    reason: str
    tests: list[Test] = []


class NotMoved(Struct, array_like=True, tag=5, gc=False, frozen=True):
    """Final: the event was taken, no trigger moved the item (5.7, N10)."""

    reason: str
    candidates: list[Candidate] = []


class Published(Struct, array_like=True, tag=6, gc=False, frozen=True):
    """Final: a ruleset is active (or, as a draft, stored) as `version`; `warnings` are what `check` would
    have said. `enrolment` is the number of what goes on in the background.
    """

    ruleset: str
    version: int
    warnings: list[str] = []
    enrolment: int = 0


class Forwarded(Struct, array_like=True, tag=7, gc=False, frozen=True):
    """Final: an event of a contact or company went on to these items (5.6); each move is in its item's
    journal.

    `more`: further items follow in the next turns; `created`: no item had a trigger, so this one is made.
    """

    items: list[str]
    more: bool = False
    created: str = ""


class FileProgress(Struct, array_like=True, tag=11, gc=False, frozen=True):
    """Final: how far an upload is. `offset` is where its next byte goes; at the end of the file it is stored
    and `done`.
    """

    upload: int
    offset: int
    done: bool = False


class ActivityPut(Struct, array_like=True, tag=13, gc=False, frozen=True):
    """Final: an activity of the item was planned under this number."""

    entry: int
    activity: int


Result = Applied | Accepted | Failed | Moved | NotMoved | Published | Forwarded | FileProgress | ActivityPut
