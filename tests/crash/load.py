"""The load of the crash test: one process, one named client, commands that can be told apart in the journal.

    python -m tests.crash.load --address ADDRESS --log FILE --seed N [--items N] [--batches N]

Each command carries a number that counts its item's commands: as the new value of the field `n`, as the
code of an event, or as the person on whose behalf an item is paused and resumed. Some items are paused for a
while, so that what is sent to them is only accepted. It goes on until SIGTERM (or `--batches` are sent), then
resumes what is paused, waits until every command has its final result, and ends with status 0.
"""

import argparse
import random
import signal
import sys
from pathlib import Path
from typing import Final

from stagewheel.client.blocking import Client, Ticket
from stagewheel.errors import StagewheelError
from stagewheel.protocol.messages import (
    Address,
    AnyCommand,
    ChangeStage,
    Client as Person,
    CreateItem,
    Failed,
    HoldItem,
    RaiseEvent,
    Result,
    UpdateItem,
)
from tests.crash.log import (
    CREATE,
    EVENT,
    FAILED,
    PAUSE,
    RESUME,
    STAGE,
    UPDATE,
    Answered,
    Broken,
    Completed,
    Meant,
    Sent,
    Writer,
)

NAME: Final = "crash-load"
PIPELINE: Final = "jobs"
STAGES: Final = ("a", "b")
RULESET: Final = "crash"
RULES: Final = """
ruleset: crash
entities: {job: {fields: {n: number}}}
pipelines:
  jobs:
    entity: job
    stages:
      - id: a
        rules:
          - id: mail
            action: {do: send_email, subject: "{{ item.key }} {{ item.entry }} {{ item.n }}", body: Hello}
          - {id: mailed, after_previous: true, action: {do: add_history, text: mailed}}
          - {id: soon, run: {after: 4s}, action: {do: add_history, text: soon}}
          - {id: next, after_previous: true, run: {after: 4s}, action: {do: add_history, text: next}}
      - id: b
        rules:
          - {id: short, run: {after: 15s}, action: {do: add_history, text: short}}
          - id: later
            run: {after: 8s}
            action: {do: send_email, subject: "{{ item.key }} {{ item.entry }} {{ item.n }}", body: Hello}
          - {id: far, run: {after: 30d}, action: {do: add_history, text: far}}
"""

KINDS: Final = (UPDATE,) * 9 + (EVENT,) * 7 + (STAGE,) * 4
UNANSWERED_MAX: Final = 4  # batches under way; those that merely wait for a paused item do not count
PAUSED_MAX: Final = 3
COMMANDS_MAX: Final = 8  # in a batch
PATIENCE_S: Final = 120.0
ADA: Final = Person("Ada", [Address("ada@example.com")])


class Load:
    """What was sent and what came back, as it is written to the log."""

    def __init__(self, address: str, log: Writer, seed: int, items: int) -> None:
        self.address = address
        self.log = log
        self.dice = random.Random(seed)
        self.items = [f"job:{number}" for number in range(items)]
        self.stopping = False
        self.sent = 0
        self._numbers = dict.fromkeys(self.items, 0)
        self._stage = dict.fromkeys(self.items, STAGES[0])
        self._paused: dict[str, int] = {}  # item -> the batch after which it is resumed
        self._touched: set[str] = set()  # items that were ever paused
        self._open: dict[int, Ticket] = {}
        self._answered: set[int] = set()  # of the open ones
        self._client = Client(address, NAME, timeout_s=PATIENCE_S)

    def run(self, batches: int) -> None:
        """Create the items, then send until told to stop."""
        for at in range(0, len(self.items), COMMANDS_MAX):
            self.send([self._command(item, CREATE) for item in self.items[at : at + COMMANDS_MAX]])
        while not self.stopping and (not batches or self.sent < batches):
            self.wait_news(UNANSWERED_MAX)
            self.send(self._batch())
        self.stopping = False
        self._resume_all()
        while self._open:
            if self.wait_news(0):
                self._resume_all()  # the client broke, and with it perhaps what would have resumed an item
        self._client.close()

    def _resume_all(self) -> None:
        """Whatever was paused once: a mistake may lose even an answered resumption."""
        if self._touched:
            self.send([self._command(item, RESUME) for item in sorted(self._touched)])

    def send(self, batch: list[tuple[Meant, AnyCommand]]) -> None:
        """Log the intent, then send."""
        self.sent += 1
        self.log.write(Sent(self.sent, [meant for meant, _ in batch]))
        self._open[self.sent] = self._client.send([command for _, command in batch], wait_applied=True)

    def wait_news(self, unanswered_max: int) -> bool:
        """Log what came; wait while too many batches are unanswered (0: while any is open). Did it break?"""
        broken = self._look()
        if unanswered_max == 0 and self._open:
            self._client.wait(self._has_news, lambda: f"{len(self._open)} batches are open")
        elif len(self._open) - len(self._answered) >= unanswered_max:
            self._client.wait(lambda: self.stopping or self._has_news(), lambda: "no batch is answered")
        return self._look() or broken

    # ---------------------------------------------------------------- what is sent

    def _batch(self) -> list[tuple[Meant, AnyCommand]]:
        for item, until in self._paused.items():
            if self.sent >= until:
                return [self._resume(item)]
        if len(self._paused) < PAUSED_MAX and self.dice.random() < 0.15:
            item = self.dice.choice(self.items)
            if item not in self._paused:
                self._touched.add(item)
                self._paused[item] = self.sent + self.dice.randint(5, 25)
                return [self._command(item, PAUSE)]
        choice = self.dice.choice
        return [
            self._command(choice(self.items), choice(KINDS))
            for _ in range(self.dice.randint(1, COMMANDS_MAX))
        ]

    def _resume(self, item: str) -> tuple[Meant, AnyCommand]:
        del self._paused[item]
        return self._command(item, RESUME)

    def _command(self, item: str, kind: str) -> tuple[Meant, AnyCommand]:
        self._numbers[item] += 1
        n = self._numbers[item]
        meant = Meant(item, n, kind)
        if kind == CREATE:
            return meant, CreateItem(item, pipeline=PIPELINE, fields={"n": n}, client=ADA)
        if kind == UPDATE:
            return meant, UpdateItem(item, fields={"n": n})
        if kind == EVENT:
            return meant, RaiseEvent(item, code=str(n))
        if kind == STAGE:
            return meant, ChangeStage(item, stage=self.dice.choice(STAGES), fields={"n": n}, restart=True)
        return meant, HoldItem(item, by=n, mode=kind)

    # ---------------------------------------------------------------- what comes back

    def _has_news(self) -> bool:
        return any(
            ticket.done or (batch not in self._answered and None not in ticket._ticket.results)
            for batch, ticket in self._open.items()
        )

    def _look(self) -> bool:
        """Log new results, each once; a client that gave up is followed by another one of the same name."""
        broken = False
        for batch, ticket in list(self._open.items()):
            results, error = ticket._ticket.results, ticket._ticket.error
            if error is not None:
                self.log.write(Broken(batch, str(error)))
                broken = True
            elif batch in self._answered and ticket.done:
                self.log.write(Completed(batch, [said(result) for result in results]))
            elif batch not in self._answered and None not in results:
                self.log.write(Answered(batch, [said(result) for result in results]))
                self._answered.add(batch)
            if ticket.done:
                del self._open[batch]
                self._answered.discard(batch)
        if broken:
            self._client.close()
            self._client = Client(self.address, NAME, timeout_s=PATIENCE_S)
        return broken


def said(result: Result | None) -> str:
    """A result in a word or two."""
    if isinstance(result, Failed):
        return f"{FAILED} {result.code}"
    return type(result).__name__.lower()


def main() -> int:
    """The life of the process."""
    parser = argparse.ArgumentParser(description="the load of the crash test")
    parser.add_argument("--address", required=True)
    parser.add_argument("--log", required=True, type=Path)
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--items", default=20, type=int)
    parser.add_argument("--batches", default=0, type=int)
    told = parser.parse_args()
    with Writer(told.log) as log:
        load = Load(told.address, log, told.seed, told.items)

        def stop(number: int, frame: object) -> None:
            load.stopping = True

        signal.signal(signal.SIGTERM, stop)
        try:
            load.run(told.batches)
        except StagewheelError as error:
            print(f"the load ended early: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
