"""The checker's process: it reads the log, asks the server for its journal, reads the mails, and judges.

    python -m tests.crash.checker --address ADDRESS --log FILE --mails FILE [--no-duplicates]

It prints one JSON object, with what it counted and what it complains of, and ends with status 1 if there is
anything to complain of. It knows nothing of how the server was treated.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Final

import msgspec

from stagewheel.client.blocking import Client
from stagewheel.protocol.journal import Dispatched, StepWaits
from tests.crash import judge
from tests.crash.judge import Mail, Observed
from tests.crash.log import ACCEPTED, Answered, Broken, Reader, Sent
from tests.crash.look import Journal, waiting

COMPLAINTS_SHOWN_MAX: Final = 40


class Verdict(msgspec.Struct):
    """What the checker says."""

    complaints: list[str]
    complaint_count: int
    commands_sent: int
    commands_acknowledged: int
    commands_accepted_first: int
    batches_broken: int
    records: int
    steps_waited: int
    steps_still_waiting: int
    mails_decided: int
    mails_taken: int
    mails_repeated: int


def observe(address: str, log: Path, mails: Path) -> Observed:
    """Everything there is to see."""
    with Client(address, role="read") as client:
        journal = Journal(client)
        journal.read()
        now = client.statistics()
        return Observed(
            lines=list(Reader(log).new()),
            journal=journal.records,
            mails=msgspec.json.decode(mails.read_bytes(), type=list[Mail]),
            waiting=waiting(client, {record.item for _, record in journal.records}),
            now_ms=now["now_ms"],
            dead_letters=now["dead_letters_stored"],
            poison=now["poison_stored"],
        )


def verdict(seen: Observed, duplicates: bool) -> Verdict:
    """Judge, and count what was judged."""
    complaints = judge.judge(seen, duplicates)
    facts = Counter(type(fact) for _, record in seen.journal for fact in record.did)
    answers = [line.results for line in seen.lines if isinstance(line, Answered)]
    came = Counter(mail.message_id for mail in seen.mails)
    return Verdict(
        complaints=complaints[:COMPLAINTS_SHOWN_MAX],
        complaint_count=len(complaints),
        commands_sent=sum(len(line.commands) for line in seen.lines if isinstance(line, Sent)),
        commands_acknowledged=sum(map(len, answers)),
        commands_accepted_first=sum(results.count(ACCEPTED) for results in answers),
        batches_broken=sum(isinstance(line, Broken) for line in seen.lines),
        records=len(seen.journal),
        steps_waited=facts[StepWaits],
        steps_still_waiting=len(seen.waiting),
        mails_decided=facts[Dispatched],
        mails_taken=len(seen.mails),
        mails_repeated=len(seen.mails) - len(came),
    )


def main() -> int:
    """The life of the process."""
    parser = argparse.ArgumentParser(description="the checker of the crash test")
    parser.add_argument("--address", required=True)
    parser.add_argument("--log", required=True, type=Path)
    parser.add_argument("--mails", required=True, type=Path)
    parser.add_argument("--no-duplicates", action="store_true")
    told = parser.parse_args()
    found = verdict(observe(told.address, told.log, told.mails), not told.no_duplicates)
    print(msgspec.json.encode(found).decode())
    return 1 if found.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
