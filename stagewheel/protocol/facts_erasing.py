"""Facts about aliases and about the removal of personal data (7.5, 7.6). Laws: those of `journal.py`.

None of them may hold personal data: they are what stays.
"""

from stagewheel.protocol.facts import Fact


class AliasBound(Fact, tag=85):
    """The item may be named by this alias."""

    alias: str
    by: int = 0


class Erased(Fact, tag=86):
    """Its personal data is removed, from here on in the background: by a rule, on behalf of an employee
    (`by`), or with its client. `state`: deleted (it was there until now) | gone (it was deleted before).
    """

    rule: str = ""
    by: int = 0
    client: bool = False
    state: str = "deleted"


class ErasureEnded(Fact, tag=87):
    """All that the store held of it is removed: so many records of the journal were emptied, so many rows
    taken out.
    """

    records: int
    rows: int
    since_ms: int
