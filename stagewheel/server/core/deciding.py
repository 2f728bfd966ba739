"""The work sheet of one decision: a private copy of the item, and what was decided so far.

Laws: nothing outside the sheet is changed; containers of the item are replaced, never changed in place (but
for `steps`, which is copied first); a row of the outbox shows the item as it was when the action was decided
(7.2): rows stay *open* while nothing that a template can see changes, and are frozen right before it does, so
that the common case encodes once.
"""

from typing import Any

import msgspec
from msgspec import Struct

from stagewheel.protocol.journal import Did, FieldsChanged, Record, StepEnded
from stagewheel.protocol.messages import Client, Result
from stagewheel.server.core.calendar import parse_zone
from stagewheel.server.core.effects import Decision, Effect, OutboxRow
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.held import stops
from stagewheel.server.core.item import NOTHING_MORE, Item, More, Step, encode_item
from stagewheel.server.core.lineage import Lineage
from stagewheel.server.core.plan import PipelinePlan, StagePlan
from stagewheel.server.core.scope import Scope

BUILT_IN_WRITABLE = frozenset(
    {"title", "responsible", "client", "observers", "timezone", "source", "products", "company"}
)
IN_MORE = ("observers", "timezone", "products", "company")  # of these, what stands among the rare values


class Move(Struct, gc=False):
    """A change of stage, or a deletion, that a rule or workflow wants; kept to the end of the list (2.8)."""

    pipeline: str
    stage: str
    by_rule: str  # rule or workflow id, for the journal
    step: int
    seen: list[Any]
    workflow: bool = False
    delete: bool = False  # the item itself goes (A7)
    erase: bool = False  # with its personal data
    lineage: Lineage | None = None  # of the workflow that wants it; a rule has that of the decision (9.1)
    chain_waits: bool = True  # what is chained behind the rule has not begun


class Changed(Struct, gc=False):
    """A rule or workflow changed fields: triggers and waiting workflows are still to see it (2.10).

    What began to wait after step `since` did so after the change, and does not see it.
    """

    names: tuple[str, ...]
    since: int = 1 << 62
    lineage: Lineage | None = None  # as of a Move


class Happened(Struct, gc=False):
    """A rule, a workflow or a deadline made something happen that events are about: triggers, waiting
    workflows and workflow starts are still to see it (2.10). `since` and `lineage` as of a change.
    """

    type: str
    code: str
    payload: dict[str, Any]
    since: int = 1 << 62
    lineage: Lineage | None = None


class Resume(Struct, gc=False):
    """A workflow moves the item, and its token `step` goes on, once what is before it in the queue is
    done.
    """

    instance: int
    step: int
    move: Move


class Finished(Struct, gc=False):
    """A workflow ended that a step, of a rule or of another workflow, waits for."""

    waiter: int
    outcome: str  # done | stopped | failed | cancelled
    reason: str
    values: dict[str, Any]  # `previous.*` of what comes behind


class Deciding(Struct, gc=False):
    """See the module; made by `begin`. `plan` is that of the present entry's version.

    A Struct and not a plain class, since it is made for every message and msgspec fills it in C.
    """

    item: Item
    steps: list[Step]  # the very list that `item.steps` is
    facts: Facts
    now_ms: int
    lineage: Lineage | None  # of what is decided; None: nothing automatic came before it (9.1)
    plan: PipelinePlan | None
    scope: Scope
    prev: int
    did: list[Did] = []
    effects: list[Effect] = []
    dispatched: int = 0
    open_rows: list[OutboxRow] = []
    moves: list[Move] = []
    causes: list[Changed | Resume | Finished | Happened] = []
    entered: bool = False
    resumed: bool = False
    caused: bool = False  # the message itself is automatic: it came from another item
    keeps_lineage: bool = False  # the present entry is part of `lineage`
    tripped: Struct | None = None  # the guard (guards.Tripped) that this decision passed
    deleted: bool = False  # nothing starts any more, and a tombstone stays
    erased: bool = False  # deleted, and its personal data goes
    was: dict[str, Any] = {}  # old values of what this message changed, None: was empty
    since_entry: bool = False  # rules that waited look further back: at `More.was` (4.2)
    walked: int = 0  # operations of workflows in this decision

    # ---------------------------------------------------------------- reading

    @property
    def more(self) -> More:
        """The item's rare values."""
        return self.item.more or NOTHING_MORE

    @property
    def automatic(self) -> bool:
        """May rules and workflows start?"""
        if self.item.more is None and not self.facts.holds:
            return True
        return not stops(self.item, self.facts.holds)

    @property
    def imported(self) -> bool:
        """Was the item imported, and has its first entry lasted since (1.12)?"""
        more = self.item.more
        return more is not None and more.imported

    def stage_plan(self) -> StagePlan | None:
        """The plan of the present stage as this entry keeps it; None when no version knows it."""
        return self.plan.stages.get(self.item.stage) if self.plan is not None else None

    # ---------------------------------------------------------------- changing

    def use_plan(self, version: int, plan: PipelinePlan) -> None:
        """The next entry keeps this version."""
        self.item.version = version
        self.plan = plan

    def renew_scope(self) -> None:
        """After plan, zone or the entry's trigger changed."""
        tasks = self.scope.tasks
        self.scope = _scope(self.item, self.plan, self.facts, self.now_ms)
        self.scope.tasks = tasks
        self.look_back(self.since_entry)

    def look_back(self, since_entry: bool) -> None:
        """`changed…` speaks of this message, or, for a rule that waited, of all since its entry (4.2)."""
        self.since_entry = since_entry
        if not since_entry:
            self.scope.was = self.was
            return
        kept = self.more.was
        client = kept.get("client")
        self.scope.was = {**kept, "client": msgspec.convert(client, Client)} if client is not None else kept

    def set_more(self, **changes: Any) -> None:
        """Change rare values; the common item goes back to having none."""
        more = msgspec.structs.replace(self.more, **changes)
        self.item.more = None if more == NOTHING_MORE else more

    def created_with(self, names: set[str]) -> None:
        """Of an item that is being created every given value counts as changed from empty (4.2)."""
        self.was = self.scope.was = dict.fromkeys(sorted(names))

    def freeze_rows(self) -> None:
        """Something that a template can see is about to change: rows decided so far keep what they saw."""
        if self.open_rows:
            seen = encode_item(self.item)
            for row in self.open_rows:
                row.item = seen
            self.open_rows = []

    def set_values(self, values: dict[str, Any], rule: str = "") -> tuple[str, ...]:
        """Set fields and built-in values; None empties. Returns the names that really changed, journalled."""
        item = self.item
        old = item.fields
        if self.open_rows:
            self.freeze_rows()
        changed: dict[str, Any] = {}
        before: dict[str, Any] = {}
        fields = old.copy()
        for name, value in values.items():
            if name in BUILT_IN_WRITABLE:
                if (earlier := self._built_in(name)) != value:
                    self._set_built_in(name, value)
                    changed[name], before[name] = value, earlier
            elif (earlier := old.get(name)) != value:
                changed[name], before[name] = value, earlier
                if value is None:
                    del fields[name]
                else:
                    fields[name] = value
        if not changed:
            return ()
        scope, plan = self.scope, self.plan
        item.fields = scope.fields = fields
        self.was = scope.was = _net(self.was, before, changed) if self.was else before
        if plan is not None and plan.keeps_was:
            self._keep_was(before, changed)
        if self.since_entry:
            self.look_back(True)
        data = _as_data(changed) if "client" in changed or "company" in changed else changed
        self.did.append(FieldsChanged(data, rule))
        return tuple(changed)

    def _keep_was(self, before: dict[str, Any], changed: dict[str, Any]) -> None:
        """A rule that waits may ask later what changed since the entry."""
        stage = self.stage_plan()
        asked = [name for name in changed if stage is not None and name in stage.keeps_was]
        if asked:
            now = _as_data({name: changed[name] for name in asked})
            earlier = _as_data({name: before[name] for name in asked})
            self.set_more(was=_net(self.more.was, earlier, now))

    def _built_in(self, name: str) -> Any:
        if name in IN_MORE:
            return getattr(self.more, name)
        return getattr(self.item, name)

    def _set_built_in(self, name: str, value: Any) -> None:
        if name in IN_MORE:
            self.set_more(**{name: value})
        else:
            setattr(self.item, name, value)
        if name == "timezone":
            self.renew_scope()

    def next_step(self) -> int:
        """A step number that was never used."""
        self.item.step_no = number = self.item.step_no + 1
        return number

    def end_step(
        self, rule: str, step: int, outcome: str, reason: str = "", seen: list[Any] | None = None
    ) -> None:
        """Journal a step's one outcome."""
        self.did.append(StepEnded(rule, step, outcome, reason, seen if seen is not None else []))

    # ---------------------------------------------------------------- the end

    def finish(self, result: Result, cause: str) -> Decision:
        """Encode the item, close the open rows, write the record. Nothing done means nothing to write."""
        did, effects = self.did, self.effects
        if not did and not effects:
            return Decision(None, None, result, [], None)
        item, record = self.item, None
        if did:
            record = Record(item.key, self.prev, self.now_ms, item.pipeline, item.version, cause, did)
            item.head = self.facts.position
        item.updated_ms = self.now_ms
        row = encode_item(item)
        for open_row in self.open_rows:
            open_row.item = row
        place = (item.pipeline, item.stage) if self.entered else None
        return Decision(item, row, result, effects, record, place, self.resumed)


def begin(item: Item, facts: Facts, now_ms: int, lineage: Lineage | None) -> Deciding:
    """A sheet for one decision about this item, which stays as it is."""
    item = item.__copy__()  # type: ignore[attr-defined]  # what copy.copy calls, without looking for it
    steps = item.steps = item.steps.copy()
    version = facts.versions.get(item.version)
    plan = version.pipelines.get(item.pipeline) if version is not None else None
    if plan is not None and item.more is None:
        scope = Scope(item, item.fields, plan.entity, facts.employees, plan.zone, now_ms)
    else:
        scope = _scope(item, plan, facts, now_ms)
    d = Deciding(item, steps, facts, now_ms, lineage, plan, scope, item.head)
    if lineage is not None:
        d.caused = True
    return d


def _scope(item: Item, plan: PipelinePlan | None, facts: Facts, now_ms: int) -> Scope:
    """The zone is the item's own, else its pipeline's (3.2)."""
    more = item.more or NOTHING_MORE
    zone = plan.zone if plan is not None else parse_zone("UTC")
    if more.timezone:
        zone = parse_zone(more.timezone)
    entity = plan.entity if plan is not None else ""
    scope = Scope(item, item.fields, entity, facts.employees, zone, now_ms, more.trigger)
    if more.tasks:
        scope.tasks = {number: facts.tasks[number] for number in more.tasks if number in facts.tasks}
    return scope


def _net(was: dict[str, Any], before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Old values after one more change: the oldest counts, and what has it again did not change."""
    was = {**before, **was}
    return {name: old for name, old in was.items() if name not in now or now[name] != old}


def _as_data(values: dict[str, Any]) -> dict[str, Any]:
    """Values as the journal keeps them (a client becomes its array)."""
    clients = {"client": values.get("client"), "company": values.get("company")}
    plain = {name: msgspec.to_builtins(one) for name, one in clients.items() if name in values}
    return {**values, **plain}
