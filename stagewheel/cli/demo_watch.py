"""The two weeks of the demo: feed the leads, take some over in their week, watch the journal until the end.

Laws: what decides when to act is the server's clock and its journal, never a sleep; a take-over that came too
late raises TooSlow, since the counts would prove nothing then.
"""

import time
from collections.abc import Sequence
from typing import Final

from rich.console import Console

from stagewheel.cli.demo_sample import FIRST, Lead, expected, template_of
from stagewheel.cli.output import beside, progress
from stagewheel.cli.sink import Sink
from stagewheel.client.blocking import Client
from stagewheel.errors import OperatorError
from stagewheel.protocol.journal import FieldsChanged, Record, WorkflowEnded
from stagewheel.protocol.messages import AnyCommand, Failed

DAY_MS: Final = 86_400_000
AUTO: Final = "auto"  # the status that the workflow gives
WEEK_MS: Final = 7 * DAY_MS
LOOK_S: Final = 0.1  # without news from the journal the clock is looked at this often
STALLED_S: Final = 60.0  # nothing at all has happened for so long
LOOK_AFTER_RECORDS: Final = 100


class TooSlow(OperatorError):
    """This machine could not keep up with the clock."""


def now_ms(client: Client) -> int:
    """What time it is for the rules."""
    return int(client.statistics()["now_ms"])


class Watch:
    """One run. Afterwards: how every workflow ended and why, and how long it took."""

    def __init__(
        self, client: Client, sink: Sink, leads: Sequence[Lead], weeks_s: float, out: Console
    ) -> None:
        self.waiting: set[str] = set()  # items that were answered: they wait for their first week to end
        self.ended: dict[str, str] = {}  # item -> outcome of its workflow
        self.reasons: dict[str, str] = {}
        self.records = 0
        self.fed_s = self.seconds = 0.0
        self.virtual_ms = 0
        self._client, self._sink, self._leads, self._out = client, sink, leads, out
        self._weeks_s = weeks_s
        self._cursor = 0
        self._start_ms = self._fed_ms = 0
        self._taken = [False, False]

    def run(self) -> None:
        """From the first lead to the end of the last workflow."""
        self._start_ms = now_ms(self._client)
        started = time.monotonic()
        with progress("{task.description}") as bar:
            task = bar.add_task("day 0", total=len(self._leads), note="")
            self._out = beside(bar, self._out)
            self._fed_ms = self._apply([lead.create() for lead in self._leads])
            self.fed_s = time.monotonic() - started
            self._say(f"{len(self._leads)} leads came in")
            heard = time.monotonic()
            while len(self.ended) < len(self._leads):
                if self._follow():
                    heard = time.monotonic()
                moment_ms = now_ms(self._client)
                self._act(moment_ms)
                day = (moment_ms - self._start_ms) / DAY_MS
                mails = self._sink.statistics().mails
                bar.update(task, completed=len(self.ended), note=f"{mails} mails")
                bar.update(task, description=f"day {day:.0f}")
                self._notice_stall(time.monotonic() - heard)
        self.virtual_ms = now_ms(self._client) - self._start_ms
        self.seconds = time.monotonic() - started
        self._say(f"the last of {len(self.ended)} workflows has ended")

    def _follow(self) -> bool:
        """Take what the journal has; was there anything?"""
        before = self.records
        for position, record in self._client.subscribe(self._cursor, idle_s=LOOK_S):
            self._cursor = position
            self._record(record)
            if self.records - before >= LOOK_AFTER_RECORDS:
                break
        return self.records > before

    def _record(self, record: Record) -> None:
        self.records += 1
        for fact in record.did:
            if isinstance(fact, FieldsChanged) and fact.fields.get("status") == AUTO:
                self.waiting.add(record.item)
            elif isinstance(fact, WorkflowEnded):
                self.ended[record.item] = fact.outcome
                self.reasons[record.item] = fact.reason

    # ---------------------------------------------------------------- the person

    def _act(self, moment_ms: int) -> None:
        """Take leads over: of the first week once all were answered, of the second after their follow-up.

        (The workflow sets the status after its answer, so whoever took a lead over before that would have his
        own status overwritten: by the rules that is right, and no test of a count.)
        """
        answered = len(self.waiting | self.ended.keys()) == len(self._leads)
        if not self._taken[0] and answered and moment_ms >= self._fed_ms + DAY_MS:
            self._taken[0] = True
            self._take_over(1, self._start_ms + WEEK_MS)
        elif self._taken[0] and not self._taken[1] and moment_ms >= self._fed_ms + WEEK_MS:
            mails = self._sink.messages()
            sent = sum(template_of(mail) == FIRST for mail in mails)
            if sent >= expected(list(self._leads))[FIRST]:
                self._taken[1] = True
                self._take_over(2, self._start_ms + 2 * WEEK_MS)

    def _take_over(self, week: int, before_ms: int) -> None:
        commands = [lead.take_over() for lead in self._leads if lead.taken_over == week]
        if self._apply(commands) >= before_ms:
            raise TooSlow(f"too slow: the leads of week {week} were taken over after it; give more --seconds")
        self._say(f"a person took over {len(commands)} leads in week {week}")

    def _apply(self, commands: Sequence[AnyCommand]) -> int:
        """Send, and wait until all is applied; the server's time after that."""
        for result in self._client.submit(commands, wait_applied=True):
            if isinstance(result, Failed):
                raise OperatorError(f"the server refused a command: {result.code}: {result.message}")
        return now_ms(self._client)

    def _notice_stall(self, silent_s: float) -> None:
        if silent_s > max(STALLED_S, self._weeks_s):
            left = len(self._leads) - len(self.ended)
            raise OperatorError(f"nothing has happened for {silent_s:.0f} s and {left} workflows still run")

    def _say(self, text: str) -> None:
        day = (now_ms(self._client) - self._start_ms) / DAY_MS
        self._out.print(f"day {day:4.1f}  {text}")
