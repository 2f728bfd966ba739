"""What became of each item, told in a form in which two runs can be laid side by side.

Laws: a thing that happened is known by *what* it was (a rule, a workflow, a message of one of them) and by
its *occurrence*: for a rule, the how-manieth visit of the item to the rule's stage, and the how-manieth
outcome in that visit; for a workflow, the how-manieth instance of it. Step numbers, positions and dead
letters' numbers are no part of it: one rule more shifts them all. Two things of the same name are the same
when outcome, reason and moment are; two messages when their whole content and moment are.
"""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec import Struct

from stagewheel.protocol import journal as j
from stagewheel.server.scenarios.written_activities import told_activity
from stagewheel.server.scenarios.written_tasks import told_task

SHOWN_CHARS_MAX: Final = 160
WAITING: Final = "waiting"
NOT_CONTENT: Final = ("item", "rule", "attempt", "number")
_Sending = j.Dispatched | j.Notified | j.HistoryAdded | j.StreamPosted
RUNNING: Final = "running"


class Stop(Struct, array_like=True, gc=False):
    """A stage that the item came to, how (command, trigger T, rule R), and when; empty: it was deleted."""

    stage: str
    how: str
    at_ms: int


class Mark(Struct, array_like=True, gc=False):
    """What a rule or workflow came to, or waits for; for a message its content, shortened, and its digest."""

    outcome: str
    reason: str
    at_ms: int
    digest: str = ""


class Trail(Struct, array_like=True):
    """One item. The keys of `rules`, `workflows` and `messages` are `name|visit|occurrence`."""

    path: list[Stop] = []
    rules: dict[str, Mark] = {}
    workflows: dict[str, Mark] = {}
    messages: dict[str, Mark] = {}


class _Counts(Struct):
    """What names the next thing of an item."""

    visits: dict[tuple[str, str], int] = {}  # (pipeline, stage) -> times the item came there
    pipeline: str = ""
    next: dict[str, int] = {}  # name|visit -> occurrences so far
    instances: dict[int, str] = {}  # workflow instance -> its key
    sending: list[str] = []  # keys of messages that were decided and not told yet, in order


encode_trail = msgspec.msgpack.Encoder().encode
decode_trail = msgspec.msgpack.Decoder(Trail).decode


class Trails:
    """The trails of one run. `stage_of` says where a rule stands."""

    def __init__(self, stage_of: Mapping[str, tuple[str, str]]) -> None:
        self.trails: dict[str, Trail] = {}
        self._stage_of = stage_of
        self._counts: dict[str, _Counts] = {}

    def record(self, record: j.Record) -> None:
        """One record of the journal."""
        for fact in record.did:
            handler = HANDLERS.get(type(fact))
            if handler is not None:
                if record.item not in self.trails:
                    self.trails[record.item] = Trail()
                    self._counts[record.item] = _Counts()
                handler(self, self.trails[record.item], self._counts[record.item], record, fact)

    def message(self, kind: str, at_ms: int, values: dict[str, Any]) -> None:
        """A message that would have been sent; each is told once, in the order of their facts."""
        trail, counts = self.trails.get(values["item"]), self._counts.get(values["item"])
        if trail is None or counts is None:
            return  # of a contact or company
        content = {name: value for name, value in values.items() if name not in NOT_CONTENT}
        digest = blake2b(msgspec.msgpack.encode(content), digest_size=8).hexdigest()
        key = counts.sending.pop(0) if counts.sending else self._key(counts, values["rule"], "~message")
        trail.messages[key] = Mark(kind, shortened(content), at_ms, digest)

    def waits(self, item: str, rule: str, state: str, due_ms: int) -> None:
        """A step that waits at the end of the run."""
        key = self._key(self._counts[item], rule)
        self.trails[item].rules[key] = Mark(WAITING, "" if state == WAITING else state, due_ms)

    def packed(self) -> dict[str, bytes]:
        """All trails, encoded."""
        return {item: encode_trail(trail) for item, trail in self.trails.items()}

    def _key(self, counts: _Counts, name: str, what: str = "") -> str:
        stage = self._stage_of.get(name)
        visit = counts.visits.get(stage, 0) if stage is not None else 0
        place = f"{name}{what}|{visit}"
        occurrence = counts.next[place] = counts.next.get(place, 0) + 1
        return f"{name}|{visit}|{occurrence}{what}"

    # ---------------------------------------------------------------- facts

    def _created(self, trail: Trail, counts: _Counts, record: j.Record, fact: j.ItemCreated) -> None:
        counts.pipeline = fact.pipeline

    def _entered(self, trail: Trail, counts: _Counts, record: j.Record, fact: j.Entered) -> None:
        counts.pipeline = fact.pipeline or counts.pipeline
        place = (counts.pipeline, fact.to_stage)
        counts.visits[place] = counts.visits.get(place, 0) + 1
        how = f"trigger {fact.trigger}" if fact.trigger else f"rule {fact.rule}" if fact.rule else "command"
        trail.path.append(Stop(fact.to_stage, how, record.at_ms))

    def _deleted(self, trail: Trail, counts: _Counts, record: j.Record, fact: j.ItemDeleted) -> None:
        trail.path.append(Stop("", f"rule {fact.rule}" if fact.rule else "command", record.at_ms))

    def _ended(self, trail: Trail, counts: _Counts, record: j.Record, fact: j.StepEnded) -> None:
        trail.rules[self._key(counts, fact.rule)] = Mark(fact.outcome, fact.reason, record.at_ms)

    def _sends(self, trail: Trail, counts: _Counts, record: j.Record, fact: _Sending) -> None:
        counts.sending.append(self._key(counts, fact.rule, "~message"))

    def _task(self, trail: Trail, counts: _Counts, record: j.Record, fact: j.TaskPut | j.TaskChanged) -> None:
        if told_task(fact) is not None:
            counts.sending.append(self._key(counts, fact.rule, "~message"))

    def _activity(
        self, trail: Trail, counts: _Counts, record: j.Record, fact: j.ActivityPlanned | j.ActivityChanged
    ) -> None:
        if told_activity(fact) is not None:
            counts.sending.append(self._key(counts, fact.rule, "~message"))

    def _calendar(
        self, trail: Trail, counts: _Counts, record: j.Record, fact: j.CalendarPut | j.CalendarTaken
    ) -> None:
        counts.sending.append(self._key(counts, fact.rule, "~message"))

    def _started(self, trail: Trail, counts: _Counts, record: j.Record, fact: j.WorkflowStarted) -> None:
        key = counts.instances[fact.instance] = self._key(counts, fact.workflow, "~run")
        trail.workflows[key] = Mark(RUNNING, "", record.at_ms)

    def _finished(self, trail: Trail, counts: _Counts, record: j.Record, fact: j.WorkflowEnded) -> None:
        key = counts.instances.pop(fact.instance, None)
        if key is not None:
            trail.workflows[key] = Mark(fact.outcome, fact.reason, record.at_ms)


def shortened(content: dict[str, Any]) -> str:
    """The words of a message that tell it from others: to whom, and its subject or text."""
    to = content.get("to")
    people = ", ".join(map(str, to)) if isinstance(to, list) else str(to or content.get("url", ""))
    text = str(
        content.get("subject") or content.get("text") or content.get("body") or content.get("name") or ""
    )
    told = f"to {people}: {text}" if people else text
    told = " ".join(told.split())
    return told if len(told) <= SHOWN_CHARS_MAX else f"{told[: SHOWN_CHARS_MAX - 1]}…"


HANDLERS: Final[Mapping[type, Callable[[Trails, Trail, _Counts, j.Record, Any], None]]] = MappingProxyType(
    {
        j.ItemCreated: Trails._created,
        j.Entered: Trails._entered,
        j.ItemDeleted: Trails._deleted,
        j.StepEnded: Trails._ended,
        j.Dispatched: Trails._sends,
        j.Notified: Trails._sends,
        j.HistoryAdded: Trails._sends,
        j.StreamPosted: Trails._sends,
        j.TaskPut: Trails._task,
        j.TaskChanged: Trails._task,
        j.ActivityPlanned: Trails._activity,
        j.ActivityChanged: Trails._activity,
        j.CalendarPut: Trails._calendar,
        j.CalendarTaken: Trails._calendar,
        j.WorkflowStarted: Trails._started,
        j.WorkflowEnded: Trails._finished,
    }
)
