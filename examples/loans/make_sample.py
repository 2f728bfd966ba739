"""Makes sample.csv, an invented log of a loan desk in the shape that mapping.yaml reads.

    python examples/loans/make_sample.py            # writes sample.csv beside this file

Every case is drawn from a fixed seed, so that the file comes out the same each time. Cases take the ways that
occur at a real loan desk: declined at once, cancelled for want of an answer, one offer or several, granted in
three bookings within a second in any order, or still open when the log ends.
"""

import csv
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

CASES = 50
FIRST = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
COLUMNS = ("case", "activity", "time", "lifecycle", "AMOUNT_REQ", "org:resource")
ENDS = {"granted": 45, "declined": 15, "cancelled": 25, "open": 15}  # shares in percent
WORKERS = ("anna", "bert", "cleo")
Row = tuple[str, datetime, str, str]  # activity, time, lifecycle, worker


class Case:
    """One application: a clock of its own, and the rows it leaves."""

    def __init__(self, draw: random.Random, start: datetime) -> None:
        self.draw = draw
        self.now = start
        self.rows: list[Row] = []

    def note(self, activity: str, lifecycle: str = "COMPLETE", worker: str = "") -> None:
        self.rows.append((activity, self.now, lifecycle, worker))

    def later(self, low_s: float, high_s: float) -> None:
        self.now += timedelta(milliseconds=self.draw.randrange(int(low_s * 1000), int(high_s * 1000)))

    def work(self, activity: str) -> None:
        """Work that somebody starts and completes."""
        worker = self.draw.choice(WORKERS)
        self.note(activity, "START", worker)
        self.later(120, 1200)
        self.note(activity, "COMPLETE", worker)

    def offer(self) -> None:
        """An offer goes out; its three rows come within a second, two of them often at the same moment."""
        self.note("O_SELECTED")
        if self.draw.random() < 0.5:
            self.later(0, 0.4)
        self.note("O_CREATED")
        self.later(0.1, 0.5)
        self.note("O_SENT")

    def live(self) -> None:
        """The application from its submission to its end."""
        self.note("A_SUBMITTED")
        self.later(0.2, 1)
        self.note("A_PARTLYSUBMITTED")
        [end] = self.draw.choices(list(ENDS), list(ENDS.values()))
        self.later(30, 4000)
        if end == "declined" and self.draw.random() < 0.4:
            self.note("A_DECLINED")
            return
        self.note("A_PREACCEPTED")
        self.note("W_Complete the application", "SCHEDULE")
        self.later(3600, 5 * 86_400)
        if end == "cancelled" and self.draw.random() < 0.3:
            self.note("A_CANCELLED")
            return
        self.work("W_Complete the application")
        self.note("A_ACCEPTED")
        self.later(60, 600)
        self.note("A_FINALIZED")
        self.negotiate(end)

    def negotiate(self, end: str) -> None:
        """Offers until one is taken, or nobody answers any more."""
        self.offer()
        for _ in range(self.draw.choice((0, 0, 1, 2))):
            self.later(86_400, 9 * 86_400)
            self.work("W_Call about the offer")
            self.note("O_CANCELLED")
            self.offer()
        self.later(2 * 86_400, 16 * 86_400)
        if end == "open":
            return
        if end == "cancelled":
            self.note("O_CANCELLED")
            self.note("A_CANCELLED")
            return
        self.note("O_SENT_BACK")
        self.later(3600, 3 * 86_400)
        self.work("W_Assess the application")
        if end == "declined":
            self.note("O_DECLINED")
            self.note("A_DECLINED")
            return
        bookings = ["A_APPROVED", "A_REGISTERED", "A_ACTIVATED", "O_ACCEPTED"]
        self.draw.shuffle(bookings)
        for booking in bookings:
            self.note(booking)
            if self.draw.random() < 0.3:
                self.later(0, 0.2)


def rows(seed: int = 2026) -> Iterator[tuple[str, ...]]:
    """The rows of the sample, case by case, as a log is usually exported."""
    draw = random.Random(seed)
    start = FIRST
    for number in range(CASES):
        start += timedelta(seconds=draw.randrange(600, 40_000))
        amount = str(draw.randrange(2, 60) * 500)
        case = Case(draw, start)
        case.live()
        for activity, moment, lifecycle, worker in case.rows:
            time = moment.isoformat(timespec="milliseconds")
            yield str(1001 + number), activity, time, lifecycle, amount, worker


def write(file: TextIO) -> None:
    """The whole sample, with its header."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows())


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("sample.csv")
    with target.open("w", encoding="utf-8", newline="") as output:
        write(output)
