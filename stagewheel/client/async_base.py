"""What the trio and the asyncio client share: every method; only how one waits and wakes differs.

Laws: one task owns the wire (`_run` of the shell); methods only change the core and wake that task, so
EVENTS is looked at in one place. A user's wait is bounded by `timeout_s`; after a time-out the client
goes on.
"""

from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, BinaryIO, Protocol, TypeVar

from stagewheel.client import files, questions
from stagewheel.client.activity_verbs import ActivityVerbs
from stagewheel.client.asking import Asking
from stagewheel.client.async_streams import Rows, Subscription
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


class Settles(Protocol):
    """A ticket, a question or a feed: calls each of `on_settled` when there is something to take."""

    on_settled: list[Callable[[], None]]

    @property
    def settled(self) -> bool:
        """Is there something to take?"""


class AsyncTicket:
    """A batch under way."""

    def __init__(self, client: "AsyncClient", ticket: SubmitTicket) -> None:
        self._client, self._ticket = client, ticket

    @property
    def done(self) -> bool:
        """Are all results there, or an error?"""
        return self._ticket.settled

    async def results(self) -> list[m.Result]:
        """Wait for the results, in the order of the commands. Raises `TimedOut`, `Fenced`, `Expired`, …"""
        await self._client.settle(self._ticket, self._ticket.fate)
        return self._ticket.outcome()


class AsyncClient(ActivityVerbs[Awaitable[m.Result]]):
    """A client of one server, of one shard or several; made by `open_client` of the two shells."""

    def __init__(
        self, address: Address, name: str | None = None, timeout_s: float = 30.0, role: str = "feed"
    ) -> None:
        self._core = ClientCore(address, name, role)
        self._wire = Wires(self._core)
        self._timeout_s = timeout_s

    @abstractmethod
    def _wake(self) -> None:
        """Let the task that owns the wire pump again."""

    @abstractmethod
    async def _wait(self, thing: Settles, limit_s: float | None) -> None:
        """Sleep until the thing has settled or the limit has passed."""

    async def settle(self, thing: Settles, fate: Callable[[], str]) -> None:
        """Wait until the thing has settled; raises `TimedOut`."""
        self._wake()
        if not thing.settled:
            await self._wait(thing, self._timeout_s)
        if not thing.settled:
            raise TimedOut(f"no answer within {self._timeout_s:g} s ({self._wire.describe()}); {fate()}")

    # ---- commands ----

    async def submit(self, commands: Sequence[m.AnyCommand], wait_applied: bool = False) -> list[m.Result]:
        """Send a batch and wait until each command is final or `Accepted`; with `wait_applied` until
        final.
        """
        return await self.send(commands, wait_applied).results()

    def send(self, commands: Sequence[m.AnyCommand], wait_applied: bool = False) -> AsyncTicket:
        """Send a batch without waiting. Raises `TooMuchOutstanding`; `await` older tickets before."""
        ticket = AsyncTicket(self, self._core.submit(commands, wait_applied))
        self._wake()
        return ticket

    async def do(self, command: m.AnyCommand) -> m.Result:
        """Send one command; a `Failed` is raised as `CommandFailed`."""
        result = (await self.submit([command]))[0]
        if isinstance(result, m.Failed):
            raise CommandFailed(result.code, result.message)
        return result

    # ---- questions ----

    async def item(self, key: str) -> m.ItemView | None:
        """The item with its waiting steps, or None."""
        return await self._first(questions.item(key))

    async def client(self, key: str) -> m.ClientView | None:
        """A contact or company, or None."""
        return await self._first(questions.client(key))

    def links(self, key: str) -> AsyncIterator[m.LinkView]:
        """The items linked to a contact or company, the open ones first."""
        return self.ask(questions.links(key))

    async def waiting(self, key: str) -> list[m.WaitingView]:
        """The item's waiting steps; an unknown item has none."""
        view = await self.item(key)
        return view.waiting if view is not None else []

    async def timeline(self, key: str, limit: int = 1000) -> list[tuple[int, Record]]:
        """The newest records of an item, newest first, with their journal positions."""
        rows: list[tuple[int, Record]] = []
        async for row in self.ask(questions.timeline(key)):
            rows.append(row)
            if len(rows) >= limit:
                break
        return rows

    def items_of_stage(self, pipeline: str, stage: str) -> AsyncIterator[str]:
        """Keys of the items in a stage, page by page."""
        return self.ask(questions.items_of_stage(pipeline, stage))

    def actions(self, name: str = "") -> AsyncIterator[m.ActionView]:
        """The registered application actions, or the one of this name."""
        return self.ask(questions.actions(name))

    def dead_letters(self) -> AsyncIterator[m.DeadLetterView]:
        """Actions that were given up, oldest first."""
        return self.ask(questions.dead_letters())

    def erasures(self) -> AsyncIterator[m.ErasureView]:
        """Erasures that go on, oldest first."""
        return self.ask(questions.erasures())

    def suppressed(self, channel: str = "", address: str = "") -> AsyncIterator[m.SuppressedView]:
        """Addresses that must not be written to, of a channel or of all."""
        return self.ask(questions.suppressed(channel, address))

    def poison(self, after: int = 0) -> AsyncIterator[m.PoisonView]:
        """Messages whose decision failed with a bug, oldest first, above number `after`."""
        return self.ask(questions.poison(after))

    def holds(self) -> AsyncIterator[m.HoldView]:
        """Rules and pipelines that are stopped or paused."""
        return self.ask(questions.holds())

    def employees(self) -> AsyncIterator[m.Employee]:
        """Employees by id."""
        return self.ask(questions.employees())

    def activities(
        self, item: str = "", employee: int = 0, status: str = ""
    ) -> AsyncIterator[m.ActivityView]:
        """Activities of an item, or those for which an employee is responsible; `status` may be "open"."""
        return self.ask(questions.activities(item, employee, status))

    def calendar(self, employee: int, from_ms: int = 0, to_ms: int = 0) -> AsyncIterator[m.CalendarEntry]:
        """What stands in the calendar of an employee, by its beginning."""
        return self.ask(questions.calendar(employee, from_ms, to_ms))

    def records(self, kind: str, where: m.RecordFilter = EVERYTHING) -> AsyncIterator[m.RecordView]:
        """What is stored for people (history | notification | stream), newest first."""
        return self.ask(questions.records(kind, where))

    async def record_counts(
        self, kind: str, where: m.RecordFilter = EVERYTHING, by: str = ""
    ) -> dict[str, int]:
        """How many of them there are, by rule, author, responsible, stage or item; "" is all together."""
        return questions.added_up([row async for row in self.ask(questions.record_counts(kind, where, by))])

    def tasks(self, where: m.TaskFilter = ALL_TASKS) -> AsyncIterator[m.TaskView]:
        """Tasks, newest first."""
        return self.ask(questions.tasks(where))

    async def task(self, number: int) -> m.TaskView | None:
        """A task by its number."""
        return await self._first(questions.task(number))

    async def task_by_ref(self, item: str, ref: str) -> m.TaskView | None:
        """A task of an item by what the CRM calls it."""
        return await self._first(questions.task_by_ref(item, ref))

    async def statistics(self, shard: int = -1) -> dict[str, Any]:
        """What the server has done; or one shard of it."""
        return await self._first(questions.statistics(shard)) or {}

    async def statistics_of_each(self) -> list[dict[str, Any] | None]:
        """What each shard has done; None for one that does not answer within `timeout_s`. Raises `TimedOut`
        when the one at our address was never there.
        """
        await self.reach()
        each = EachShard(self._core)
        try:
            each.ask()
            self._wake()
            if not each.settled:
                await self._wait(each, self._timeout_s)
            return each.take()
        finally:
            each.give_up()

    async def versions(self, ruleset: str = "") -> list[m.VersionView]:
        """Ruleset versions, newest first."""
        return [row async for row in self.ask(questions.versions(ruleset))]

    async def enrolments(self) -> list[m.EnrolmentView]:
        """What enrolments do or did, newest first."""
        return [row async for row in self.ask(questions.enrolments())]

    def stages(self) -> AsyncIterator[m.StageView]:
        """Stages in which items are or were."""
        return self.ask(questions.stages())

    async def source(self, version: int) -> m.VersionSource | None:
        """The texts of a ruleset version, or None."""
        return await self._first(questions.source(version))

    # ---- files ----

    async def put_file(
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
        there is replaced. One that was broken off goes on where it stopped. The source is
        read within the calling task. Raises `CommandFailed`.
        """
        with uploading(source, name, file, type, by) as (begin, upload):
            while not upload.done:
                upload.took((await self.submit([upload.next()]))[0])
                if progress is not None:
                    progress(upload.offset, begin.size)
            return view_of(begin)

    async def get_file(
        self, file: str, into: BinaryIO | None = None, progress: Progress | None = None
    ) -> StoredFile | None:
        """A stored file, its bytes checked; None if there is none. `into` gets them in place of the result.
        Raises `FileChanged` when it was replaced meanwhile.
        """
        download, parts = Downloading(file), []
        while (query := download.next()) is not None:
            data = download.took([row async for row in self.ask(files.part(query))])
            if into is None:
                parts.append(data)
            else:
                into.write(data)
            if progress is not None and download.view is not None:
                progress(download.offset, download.view.size)
        return StoredFile(download.view, b"".join(parts)) if download.view is not None else None

    def files(self, prefix: str = "") -> AsyncIterator[m.FileView]:
        """Stored files by id, those whose ids begin with `prefix`."""
        return self.ask(files.files(prefix))

    def ask(self, question: Question[T]) -> AsyncIterator[T]:
        """Ask any question; rows come page by page. Raises `QueryRefused`, `TimedOut`."""
        return Rows(self._core, question, self._page)

    def subscribe(self, cursor: Cursor = 0, item: str = "", pipeline: str = "") -> Subscription:
        """Follow the journal after position `cursor` (or one position a lane): (position, record), at least
        once, in order per item, over reconnects.
        """
        feed = self._core.subscribe(cursor, item, pipeline)
        self._wake()
        return Subscription(self._core, feed, self._records)

    # ---- the session ----

    @property
    def next_seq(self) -> int:
        """The number that this client's next command gets: how many its name has sent, over all restarts (and
        to all shards); known once `connect` returned.
        """
        return self._core.next_seq

    async def connect(self) -> m.Welcome:
        """Wait until the session stands, with every shard; other methods wait by themselves, for the shards
        that they need. Raises `TimedOut`.
        """
        return await self._open(self._core.opening())

    async def reach(self) -> m.Welcome:
        """Wait until the shard at our address answers. Raises `TimedOut`."""
        return await self._open(self._core.opening(every=False))

    def sent_before(self) -> Callable[[m.AnyCommand], bool]:
        """For a feeder that gives the same commands in the same order again, under one name, after `connect`:
        asked of each in turn, did an earlier client of the name send it?
        """
        return self._core.sent_before()

    async def _open(self, opening: Opening) -> m.Welcome:
        await self.settle(opening, lambda: "nothing was sent")
        return opening.welcome()

    async def _first(self, question: Question[T]) -> T | None:
        asking = self._core.asking(question)
        rows: list[T] = []
        while not asking.over and not rows:
            await self._page(asking)
            rows = asking.take()
        return rows[0] if rows else None

    async def _page(self, asking: Asking[T]) -> None:
        """Wait for the next rows."""
        asking.ask()
        try:
            await self.settle(asking, asking.fate)
        except BaseException:
            asking.give_up()
            raise

    async def _records(self, feed: Feed) -> None:
        self._wake()  # credit may have to go out
        await self._wait(feed, None)
