"""Plans of waits and workflows: a workflow is a program, a list of operations that is walked by number.

Laws: those of `plan.py`.
"""

from typing import Any

from msgspec import Struct

from stagewheel.server.core.calendar import Duration
from stagewheel.server.core.events import Setting
from stagewheel.server.core.plan_actions import ActionPlan, Condition, RunWorkflowPlan, Text
from stagewheel.server.core.working import WorkingDuration


class Wait(Struct, frozen=True):
    """When a rule runs. No `of`: `duration` after the entry (or the previous rule). With `of`: around a date
    field.
    """

    duration: Duration | None = None
    sign: int = 1  # -1: before
    of: str = ""
    time: str = ""  # "09:00" replaces the clock time of the field's day
    skip_if_past: bool | None = None  # None: as the entry says (imported items skip, others run)
    if_empty: str = "wait"  # wait | skip | run
    follow: bool = True
    max_late_ms: int = 0  # 0: however late
    working: WorkingDuration | None = None  # in place of `duration`: working days or hours
    hours: tuple[str, ...] = ()  # company | responsible | client: only within all of these (3.8)
    date: str = ""  # in place of `of`: a date or moment as it was written


class Operation(Struct, kw_only=True, frozen=True):
    """`name` is for the journal. The next operation is the next number unless it says otherwise."""

    name: str


class Act(Operation, frozen=True):
    """Run an action; a failed one ends the instance unless `on_failure_continue`."""

    action: ActionPlan
    condition: Condition | None = None
    on_failure_continue: bool = False
    wait_delivery: bool = True


class Branch(Operation, frozen=True):
    """Go on if the condition holds, else at `otherwise`."""

    condition: Condition
    otherwise: int


class Jump(Operation, frozen=True):
    """Go on at `to`."""

    to: int


class Loop(Operation, frozen=True):
    """While the condition holds go on (counting rounds, at most `rounds_max`), else at `otherwise`."""

    condition: Condition
    otherwise: int
    rounds_max: int


class Pause(Operation, frozen=True):
    """Wait (duration, or until a date field or date)."""

    wait: Wait


class Stop(Operation, frozen=True):
    """End the instance as stopped, if the condition holds."""

    condition: Condition | None
    reason: Text


class Fork(Operation, frozen=True):
    """`parallel` (W8): a thread for each branch, that begins at its number in `branches`; when all have ended
    (or the `first`) one thread goes on at `join`.
    """

    branches: tuple[int, ...]
    join: int
    first: bool = False
    on_failure_continue: bool = False


class Join(Operation, frozen=True):
    """The end of a branch."""


class WaitFor(Operation, frozen=True):
    """Wait for an event (W9), or for a change of `fields`; when the time-out comes first go on at
    `otherwise`.
    """

    event: str
    code: str
    fields: tuple[str, ...]
    condition: Condition | None
    timeout: Wait | None
    otherwise: int
    settings: tuple[Setting, ...] = ()


class Run(Operation, frozen=True):
    """Start another workflow (W10)."""

    action: RunWorkflowPlan
    condition: Condition | None = None
    on_failure_continue: bool = False


class End(Operation, frozen=True):
    """End the instance as done."""


class WorkflowPlan(Struct, frozen=True):
    """A workflow as a program."""

    id: str
    pipeline: str
    program: tuple[Operation, ...]
    vars: dict[str, Any]
    condition: Condition | None = None  # of its start
    if_running: str = "ignore"  # ignore | restart | parallel
    until_stage_change: bool = False
    condition_always: bool = False  # the condition is for starts by hand and by actions too
    rule: str = ""  # the rule whose `steps:` it is
