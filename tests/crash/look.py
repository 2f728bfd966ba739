"""Looking at a server from the outside: its whole journal, what waits, and when nothing more will happen."""

from collections.abc import Callable
from typing import Final

from stagewheel.client.blocking import Client
from stagewheel.protocol.journal import Dispatched, Record, StepEnded, StepWaits
from tests.crash.judge import LATE_MS_MAX, Waiting
from tests.server.harness import wait_for

NEAR_MS: Final = 3_600_000  # a step that waits longer than this is meant to be still waiting at the end
GAP_S: Final = 20.0  # the journal is told from a cursor; silence for so long means that it is not told at all


class Journal:
    """The journal as far as it was read, and the steps in it that have no outcome yet."""

    def __init__(self, client: Client) -> None:
        self.records: list[tuple[int, Record]] = []
        self.waits: dict[tuple[str, int], int] = {}  # (item, step) -> due
        self.sending: set[tuple[str, int]] = set()
        self._client = client

    def read(self) -> None:
        """Read on, to where the journal stands by now."""
        newest = int(self._client.statistics()["journal_position"])
        cursor = self.records[-1][0] if self.records else 0
        if cursor >= newest:
            return
        for position, record in self._client.subscribe(cursor, idle_s=GAP_S):
            self._take(position, record)
            if position >= newest:
                return

    def _take(self, position: int, record: Record) -> None:
        self.records.append((position, record))
        for fact in record.did:
            if isinstance(fact, StepWaits):
                self.waits[record.item, fact.step] = fact.due_ms
            elif isinstance(fact, Dispatched):
                self.waits.pop((record.item, fact.step), None)
                self.sending.add((record.item, fact.step))
            elif isinstance(fact, StepEnded):
                self.waits.pop((record.item, fact.step), None)
                self.sending.discard((record.item, fact.step))


def wait_quiet(client: Client, timeout_s: float) -> None:
    """Wait until nothing is left that will happen soon; or for so long that what is left was lost."""
    wait_for(client, is_quiet(client), timeout_s)


def is_quiet(client: Client) -> Callable[[], bool]:
    """Is everything decided and delivered, and does every step wait for a moment far ahead, or in vain?"""
    journal = Journal(client)

    def look() -> bool:
        journal.read()
        now = client.statistics()
        if now["backlog_items"] or now["outbox_stored"] or now["parked_stored"]:
            return False
        return all(not -LATE_MS_MAX <= due_ms - now["now_ms"] < NEAR_MS for due_ms in journal.waits.values())

    return look


def waiting(client: Client, items: set[str]) -> list[Waiting]:
    """Every step that waits by now."""
    return [
        Waiting(item, view.step, view.due_ms)
        for item in sorted(items)
        for view in client.waiting(item)
        if view.state != "sending"
    ]
