"""What a decision did, one small tagged Struct a kind: the facts of items, entries, workflows and clients.

Laws: those of `journal.py`, from where everybody imports these names. Facts of work for people stand in
`facts_work.py`, those of channels in `facts_channels.py`.
"""

from typing import Any

from msgspec import Struct


class Fact(Struct, array_like=True, gc=False, tag_field="tag"):
    """What every entry of `Record.did` is. The tag has a name, since a field may be called `type`."""


class ItemCreated(Fact, tag=1):
    """The item came to be, with these fields and built-in values (`responsible`, `client`, …).

    `entered_ms`: its first entry began in the past (1.12); 0: now. `automation`: False, it begins stopped.
    """

    pipeline: str
    title: str
    source: str = ""
    values: dict[str, Any] = {}
    automation: bool = True
    entered_ms: int = 0


class FieldsChanged(Fact, tag=2):
    """New values of fields and built-in values (`title`, `responsible`, …); None emptied it."""

    fields: dict[str, Any]
    rule: str = ""  # the rule or workflow that did it; empty: the command


class Entered(Fact, tag=3):
    """A new entry began. `trigger` or `rule` say what moved the item; `by` on whose behalf."""

    from_stage: str
    to_stage: str
    entry: int
    by: int = 0
    trigger: str = ""
    rule: str = ""
    pipeline: str = ""  # set when the pipeline changed
    before: int = 0  # the ruleset version of the entry before, where that was another one


class StepWaits(Fact, tag=4):
    """A step waits until `due_ms` (0: until its date field is filled). Written again when it is re-armed.

    `outside` is set for one that is due and held: the hours that it is outside of (3.8).
    """

    rule: str
    step: int
    due_ms: int
    seen: list[Any] = []
    outside: list[str] = []  # of company | responsible | client


class StepEnded(Fact, tag=5):
    """A step's one outcome: done | skipped | failed | cancelled. `step` 0: a rest of a chain that was never
    begun.

    `seen` pairs test numbers of the rule's condition with the values they saw: [test, value, test, value,
    …].
    """

    rule: str
    step: int
    outcome: str
    reason: str = ""
    seen: list[Any] = []


class Dispatched(Fact, tag=6):
    """A channel action went to the outbox under `number`."""

    rule: str
    step: int
    channel: str
    number: int
    seen: list[Any] = []


class DeliveryTried(Fact, tag=7):
    """A delivery did not succeed and is tried again at `next_ms`."""

    rule: str
    step: int
    attempt: int
    reason: str
    next_ms: int


class EventSeen(Fact, tag=10):
    """An event came in; `looked` are the triggers that did not move the item: [id, reason, seen].

    Of the reason "setting" `seen` is [number of the setting, value]. `reason`: why no trigger was looked at.
    """

    type: str
    code: str
    moved_by: str = ""
    looked: list[list[Any]] = []
    seen: list[Any] = []  # what the condition of the one that moved it saw
    reason: str = ""
    version: int = 0  # whose triggers were looked at; 0: that of the item's entry


class WorkflowStarted(Fact, tag=11):
    """A workflow instance began."""

    workflow: str
    instance: int
    why: str = ""
    seen: list[Any] = []  # what the condition of its start saw
    version: int = 0  # of the ruleset, which the instance keeps (6.5)


class WorkflowStepped(Fact, tag=12):
    """One step of a workflow was decided: its number in the plan, what it was and what it saw."""

    workflow: str
    instance: int
    step: int
    what: str
    outcome: str = "done"
    reason: str = ""
    seen: list[Any] = []
    token: int = 0  # the wait that is over with it
    branch: str = ""  # "2.1": in the first branch of a parallel in the second branch of another


class WorkflowEnded(Fact, tag=13):
    """An instance ended: done | stopped | failed | cancelled."""

    workflow: str
    instance: int
    outcome: str
    reason: str = ""


class Held(Fact, tag=14):
    """Automation of the item was paused, resumed or stopped."""

    mode: str
    reason: str = ""
    by: int = 0
    stage: str = ""  # only this stage of the item (9.3)


class ItemDeleted(Fact, tag=15):
    """The item was deleted; its key may be created again."""

    rule: str = ""


class DeadLettered(Fact, tag=16):
    """An action was given up and is kept as a dead letter."""

    rule: str
    step: int
    number: int
    reason: str


class SentToItem(Fact, tag=17):
    """A message for another item was put into its mailbox."""

    item: str
    what: str
    rule: str = ""


class NothingChanged(Fact, tag=18):
    """A command or rule that changed nothing (1.3)."""

    rule: str = ""


class ClientPut(Fact, tag=30):
    """A contact or company came to be, or has new data. `why`: command | item | event."""

    client: Any
    company: str = ""
    why: str = ""


class ClientLinked(Fact, tag=31):
    """An item is linked to this client: `state` is open | closed | gone | refused (with the reason)."""

    item: str
    pipeline: str
    state: str
    reason: str = ""


class EventForwarded(Fact, tag=32):
    """An event of this client went on to items; `created` is the item that was made for it."""

    type: str
    code: str
    items: list[str]
    created: str = ""
    unfit: list[str] = []  # fields that the created item can't have: their values stay with the event


class CapAwaited(Fact, tag=33):
    """A capped action asks its client, or waits until `until_ms` for room under the cap (8.5)."""

    rule: str
    step: int
    channel: str
    client: str = ""
    until_ms: int = 0


class CapCounted(Fact, tag=34):
    """What the cap of a channel said to a step of an item. `until_ms`: when there is room again."""

    channel: str
    item: str
    step: int
    granted: bool
    until_ms: int = 0


class WorkflowNotStarted(Fact, tag=35):
    """A workflow was to start and did not: its condition, `if_running`, or a limit said no."""

    workflow: str
    why: str
    reason: str
    seen: list[Any] = []
    version: int = 0  # of the ruleset whose workflow it was


class WorkflowWaits(Fact, tag=36):
    """A step of a workflow waits, until `due_ms` (0: however long). Written again when it is re-armed.

    `what` it waits for besides: "field due", "event app paid", "change of size, paid", "2 branches", "the
    first of 2 branches", "workflow w". `token` is its step number, as a timer or a delivery report names it.
    """

    workflow: str
    instance: int
    step: int
    name: str
    token: int
    due_ms: int = 0
    what: str = ""
    branch: str = ""


class Enrolled(Fact, tag=40):
    """The entry goes on with the rules of another version (1.6). `over`: rules that have begun in
    this entry, so that they do not begin again. `left`: steps whose actions are on their way and whose rules
    are gone; they are no steps of the entry any more, and their reports close them.
    """

    from_version: int
    version: int
    over: list[str] = []
    left: list[int] = []


class LoopDetected(Fact, tag=26):
    """A guard stopped the automation of the item: what was counted, and what the ruleset allows (9.1).

    `guard`: chain_entries | item_entries | chain_messages.
    """

    guard: str
    count: int
    limit: int


class AutomationHeld(Fact, tag=27):
    """`what` is stopped: the rules of this entry did not begin, or what waited has ended with it (9.3)."""

    what: str


class StepPaused(Fact, tag=28):
    """A step was due at `due_ms` and stays until `what` is resumed (9.3)."""

    rule: str
    step: int
    due_ms: int
    what: str


class Notified(Fact, tag=8):
    """Employees were notified (E1, E2), for `sender` (0: the automation); stored under `number`."""

    rule: str
    to: list[int]
    text: str
    number: int = 0
    sender: int = 0
    link: str = ""


class HistoryAdded(Fact, tag=9):
    """A history entry (E4), stored under `number`."""

    rule: str
    text: str
    created_by: str = ""
    number: int = 0


class StreamPosted(Fact, tag=46):
    """A message in the activity stream (E3), or a reply; `files` are values of file fields by name."""

    rule: str
    number: int
    author: int
    to: list[int]
    text: str
    files: dict[str, Any] = {}
    reply_to: int = 0
    link: str = ""


class EmployeeChosen(Fact, tag=45):
    """One of several was chosen (A3): round_robin (which had `taken` turns before) | random."""

    rule: str
    step: int
    chosen: int
    way: str
    taken: int = 0


class FellBack(Fact, tag=29):
    """An employee who was named is not known (any more); another one stood in for them (7.9)."""

    what: str
    missing: int
    to: int
