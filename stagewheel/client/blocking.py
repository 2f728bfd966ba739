"""The blocking client: no threads, no event loop; the line moves while one of its methods waits.

    with Client("ipc:///run/stagewheel/main.sock") as client:
        client.create_item("lead:1", "sales", fields={"source": "web_form"})
        for result in client.submit([ChangeStage("lead:1", stage="WON")]):
            print(result)

Laws: one thread uses a client. To keep many batches under way, `send` them and take `results()` later:
sending moves the line too. After a time-out the client goes on; what was sent is still resent and may be
applied.
"""

import select
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar

from stagewheel.client import files, questions
from stagewheel.client.activity_verbs import ActivityVerbs
from stagewheel.client.core import Address, ClientCore
from stagewheel.client.each_shard import EachShard
from stagewheel.client.files import Progress, Source, StoredFile, uploading
from stagewheel.client.opening import Opening
from stagewheel.client.outstanding import Cursor, Feed
from stagewheel.client.questions import ALL_TASKS, EVERYTHING, Question
from stagewheel.client.wires import Wires
from stagewheel.protocol import messages as m
from stagewheel.protocol.errors import CommandFailed, TimedOut
from stagewheel.protocol.files import Downloading, view_of
from stagewheel.protocol.journal import Record
from stagewheel.protocol.ticket import SubmitTicket

T = TypeVar("T")


class Ticket:
    """A batch under way."""

    def __init__(self, client: "Client", ticket: SubmitTicket) -> None:
        self._client, self._ticket = client, ticket

    @property
    def done(self) -> bool:
        """Are all results there, or an error? Does not move the line."""
        return self._ticket.settled

    def results(self) -> list[m.Result]:
        """Wait for the results, in the order of the commands. Raises `TimedOut`, `Fenced`, `Expired`, …"""
        self._client.wait(lambda: self._ticket.settled, self._ticket.fate)
        return self._ticket.outcome()


class Subscription(Iterator[tuple[int, Record]]):
    """(position, record), one after the other. `close`, or letting go of it, ends it."""

    def __init__(self, client: "Client", feed: Feed, idle_s: float | None) -> None:
        self._client, self._feed, self._idle_s = client, feed, idle_s

    def __next__(self) -> tuple[int, Record]:
        if not self._client.followed(self._feed, self._idle_s):
            raise StopIteration
        return self._feed.take()

    @property
    def cursor(self) -> tuple[int, ...]:
        """Where to go on behind what was taken: keep it, and give it to `subscribe`. A position a lane, so
        one where the server has one shard.
        """
        return self._feed.cursors()

    def close(self) -> None:
        """The server sends nothing more of it."""
        self._client.unfollow(self._feed)
        self._client.move()

    def __del__(self) -> None:
        self._client.unfollow(self._feed)  # the server hears of it when the client moves next


class Client(ActivityVerbs[m.Result]):
    """A client of one server, of one shard or several. `name` makes it exactly-once over restarts of its own;
    `timeout_s` bounds each wait.
    """

    def __init__(
        self, address: Address, name: str | None = None, timeout_s: float = 30.0, role: str = "feed"
    ) -> None:
        self._core = ClientCore(address, name, role)
        self._wire = Wires(self._core)
        self._timeout_s = timeout_s

    # ---- commands ----

    def submit(self, commands: Sequence[m.AnyCommand], wait_applied: bool = False) -> list[m.Result]:
        """Send a batch and wait until each command is final or `Accepted`; with `wait_applied` until
        final.
        """
        return self.send(commands, wait_applied).results()

    def send(self, commands: Sequence[m.AnyCommand], wait_applied: bool = False) -> Ticket:
        """Send a batch without waiting for results; waits only while too much is outstanding."""
        has_room = self._core.room_for(commands)
        if not has_room():
            self.wait(has_room, lambda: f"{len(commands)} commands were not sent")
        ticket = Ticket(self, self._core.submit(commands, wait_applied))
        self._wire.pump()
        return ticket

    def do(self, command: m.AnyCommand) -> m.Result:
        """Send one command; a `Failed` is raised as `CommandFailed`."""
        result = self.submit([command])[0]
        if isinstance(result, m.Failed):
            raise CommandFailed(result.code, result.message)
        return result

    # ---- questions ----

    def item(self, key: str) -> m.ItemView | None:
        """The item with its waiting steps, or None."""
        return next(self.ask(questions.item(key)), None)

    def client(self, key: str) -> m.ClientView | None:
        """A contact or company, or None."""
        return next(self.ask(questions.client(key)), None)

    def links(self, key: str) -> Iterator[m.LinkView]:
        """The items linked to a contact or company, the open ones first."""
        return self.ask(questions.links(key))

    def waiting(self, key: str) -> list[m.WaitingView]:
        """The item's waiting steps; an unknown item has none."""
        view = self.item(key)
        return view.waiting if view is not None else []

    def timeline(self, key: str, limit: int = 1000) -> list[tuple[int, Record]]:
        """The newest records of an item, newest first, with their journal positions."""
        return [row for row, _ in zip(self.ask(questions.timeline(key)), range(limit), strict=False)]

    def items_of_stage(self, pipeline: str, stage: str) -> Iterator[str]:
        """Keys of the items in a stage, page by page."""
        return self.ask(questions.items_of_stage(pipeline, stage))

    def actions(self, name: str = "") -> Iterator[m.ActionView]:
        """The registered application actions, or the one of this name."""
        return self.ask(questions.actions(name))

    def dead_letters(self) -> Iterator[m.DeadLetterView]:
        """Actions that were given up, oldest first."""
        return self.ask(questions.dead_letters())

    def erasures(self) -> Iterator[m.ErasureView]:
        """Erasures that go on, oldest first."""
        return self.ask(questions.erasures())

    def suppressed(self, channel: str = "", address: str = "") -> Iterator[m.SuppressedView]:
        """Addresses that must not be written to, of a channel or of all."""
        return self.ask(questions.suppressed(channel, address))

    def poison(self, after: int = 0) -> Iterator[m.PoisonView]:
        """Messages whose decision failed with a bug, oldest first, above number `after`."""
        return self.ask(questions.poison(after))

    def holds(self) -> Iterator[m.HoldView]:
        """Rules and pipelines that are stopped or paused."""
        return self.ask(questions.holds())

    def employees(self) -> Iterator[m.Employee]:
        """Employees by id."""
        return self.ask(questions.employees())

    def activities(self, item: str = "", employee: int = 0, status: str = "") -> Iterator[m.ActivityView]:
        """Activities of an item, or those for which an employee is responsible; `status` may be "open"."""
        return self.ask(questions.activities(item, employee, status))

    def calendar(self, employee: int, from_ms: int = 0, to_ms: int = 0) -> Iterator[m.CalendarEntry]:
        """What stands in the calendar of an employee, by its beginning."""
        return self.ask(questions.calendar(employee, from_ms, to_ms))

    def records(self, kind: str, where: m.RecordFilter = EVERYTHING) -> Iterator[m.RecordView]:
        """What is stored for people (history | notification | stream), newest first."""
        return self.ask(questions.records(kind, where))

    def record_counts(self, kind: str, where: m.RecordFilter = EVERYTHING, by: str = "") -> dict[str, int]:
        """How many of them there are, by rule, author, responsible, stage or item; "" is all together."""
        return questions.added_up(self.ask(questions.record_counts(kind, where, by)))

    def tasks(self, where: m.TaskFilter = ALL_TASKS) -> Iterator[m.TaskView]:
        """Tasks, newest first."""
        return self.ask(questions.tasks(where))

    def task(self, number: int) -> m.TaskView | None:
        """A task by its number."""
        return next(self.ask(questions.task(number)), None)

    def task_by_ref(self, item: str, ref: str) -> m.TaskView | None:
        """A task of an item by what the CRM calls it."""
        return next(self.ask(questions.task_by_ref(item, ref)), None)

    def statistics(self, shard: int = -1) -> dict[str, Any]:
        """What the server has done; or one shard of it."""
        return next(self.ask(questions.statistics(shard)), {})

    def statistics_of_each(self) -> list[dict[str, Any] | None]:
        """What each shard has done; None for one that does not answer within `timeout_s`. Raises `TimedOut`
        when the one at our address was never there.
        """
        self.reach()
        each = EachShard(self._core)
        try:
            each.ask()
            self._run(lambda: each.settled, self._timeout_s)
            return each.take()
        finally:
            each.give_up()

    def versions(self, ruleset: str = "") -> list[m.VersionView]:
        """Ruleset versions, newest first."""
        return list(self.ask(questions.versions(ruleset)))

    def enrolments(self) -> list[m.EnrolmentView]:
        """What enrolments do or did, newest first."""
        return list(self.ask(questions.enrolments()))

    def stages(self) -> Iterator[m.StageView]:
        """Stages in which items are or were."""
        return self.ask(questions.stages())

    def source(self, version: int) -> m.VersionSource | None:
        """The texts of a ruleset version, or None."""
        return next(self.ask(questions.source(version)), None)

    # ---- files ----

    def put_file(
        self,
        source: Source,
        name: str = "",
        *,
        file: str = "",
        type: str = "",
        by: int = 0,
        progress: Progress | None = None,
    ) -> m.FileView:
        """Store bytes, a path or an open file under the id `file` (its name, if there is none); what stood
        there is replaced. One that was broken off goes on where it stopped. Raises `CommandFailed`.
        """
        with uploading(source, name, file, type, by) as (begin, upload):
            while not upload.done:
                upload.took(self.submit([upload.next()])[0])
                if progress is not None:
                    progress(upload.offset, begin.size)
            return view_of(begin)

    def get_file(
        self, file: str, into: BinaryIO | None = None, progress: Progress | None = None
    ) -> StoredFile | None:
        """A stored file, its bytes checked; None if there is none. `into` gets them in place of the result.
        Raises `FileChanged` when it was replaced meanwhile.
        """
        download, parts = Downloading(file), []
        while (query := download.next()) is not None:
            data = download.took(list(self.ask(files.part(query))))
            if into is None:
                parts.append(data)
            else:
                into.write(data)
            if progress is not None and download.view is not None:
                progress(download.offset, download.view.size)
        return StoredFile(download.view, b"".join(parts)) if download.view is not None else None

    def files(self, prefix: str = "") -> Iterator[m.FileView]:
        """Stored files by id, those whose ids begin with `prefix`."""
        return self.ask(files.files(prefix))

    def ask(self, question: Question[T]) -> Iterator[T]:
        """Ask any question; rows come page by page. Raises `QueryRefused`, `TimedOut`."""
        asking = self._core.asking(question)
        try:
            while not asking.over:
                asking.ask()
                self.wait(lambda: asking.settled, asking.fate)
                yield from asking.take()
        finally:
            asking.give_up()

    def subscribe(
        self, cursor: Cursor = 0, item: str = "", pipeline: str = "", idle_s: float | None = None
    ) -> "Subscription":
        """Follow the journal after position `cursor` (or one position a lane): (position, record), at least
        once, in order per item, over reconnects. Ends when nothing came for `idle_s` seconds; None: never.
        """
        return Subscription(self, self._core.subscribe(cursor, item, pipeline), idle_s)

    def followed(self, feed: Feed, idle_s: float | None) -> bool:
        """Move the line until the subscription has something to take, or nothing came for so long."""
        return self._run(lambda: feed.settled, idle_s)

    def unfollow(self, feed: Feed) -> None:
        """Nothing more of this subscription is wanted."""
        self._core.unsubscribe(feed)

    def move(self) -> None:
        """Send and take what can be, without waiting."""
        if self._core.error is None:
            self._wire.pump()

    # ---- the line ----

    @property
    def next_seq(self) -> int:
        """The number that this client's next command gets: how many its name has sent, over all restarts (and
        to all shards). Known once `connect` returned.
        """
        return self._core.next_seq

    def connect(self) -> m.Welcome:
        """Wait until the session stands, with every shard; other methods wait by themselves, for the shards
        that they need. Raises `TimedOut`.
        """
        return self._open(self._core.opening())

    def reach(self, within_s: float | None = None) -> m.Welcome:
        """Wait until the shard at our address answers. Raises `TimedOut`."""
        return self._open(self._core.opening(every=False), within_s)

    def sent_before(self) -> Callable[[m.AnyCommand], bool]:
        """For a feeder that gives the same commands in the same order again, under one name, after `connect`:
        asked of each in turn, did an earlier client of the name send it?
        """
        return self._core.sent_before()

    def _open(self, opening: Opening, within_s: float | None = None) -> m.Welcome:
        self.wait(lambda: opening.settled, lambda: "nothing was sent", within_s)
        return opening.welcome()

    def wait(self, done: Callable[[], bool], fate: Callable[[], str], within_s: float | None = None) -> None:
        """Move the line until `done`; raises `TimedOut`."""
        limit_s = self._timeout_s if within_s is None else within_s
        if not self._run(done, limit_s):
            raise TimedOut(f"no answer within {limit_s:g} s ({self._wire.describe()}); {fate()}")

    def close(self) -> None:
        """Close; whatever is outstanding ends with `Closed`."""
        self._core.close()
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, done: Callable[[], bool], limit_s: float | None) -> bool:
        """Move the line until `done` or the limit; which of them is the result."""
        deadline = None if limit_s is None else time.monotonic() + limit_s
        poller, watched = select.poll(), -1
        while not done():
            more = self._wire.pump()
            if done():
                break
            if (fd := self._wire.fd) != watched:
                poller, watched = select.poll(), fd
                poller.register(fd, select.POLLIN)
            sleep_s = 0.0 if more else self._wire.sleep_s()
            if deadline is not None:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return False
                sleep_s = min(sleep_s, left_s)
            if sleep_s:
                poller.poll(max(1, int(sleep_s * 1000)))
        return True
