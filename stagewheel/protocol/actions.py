"""Application actions (H8): what is registered, and how workers are given jobs of them.

Laws: those of `messages.py`, from where everybody imports these names. A worker's session says Hello with
role `worker`, then `Register`; `Pull` and `Reports` are those of sender processes, with the lane `app/NAME`
in place of a channel. A job that is not answered is given again, always with the same `key`.
"""

import re
from typing import Any

from msgspec import Struct

from stagewheel.protocol.base import Command

VALUE_TYPES = ("text", "number", "boolean", "date", "datetime", "money", "list", "employee")
HANDLERS = ("worker", "http")
ACTION_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")  # it names a lane, too (`server/actors/outboxes.py`)
ACTION_NAME_IS = "1 to 100 letters of a to z, digits, '_', '-' and '.'"


class ValueSpec(Struct, array_like=True, gc=False, frozen=True):
    """A parameter or a result: `type` is one of VALUE_TYPES. A parameter without a value has `default`."""

    name: str
    type: str = "text"
    required: bool = False
    default: Any = None
    description: str = ""


class ActionSpec(Struct, array_like=True, gc=False, frozen=True):
    """An action that a third party does. `handler` is worker, or http: then jobs are POSTed to `url`.

    `timeout_ms` is how long an answer may take, `concurrency` how many jobs are under way at once over all
    workers (0: no limit), `attempts_max` how often a job is tried.
    """

    name: str
    description: str = ""
    parameters: list[ValueSpec] = []
    results: list[ValueSpec] = []
    handler: str = "worker"
    url: str = ""
    timeout_ms: int = 60_000
    concurrency: int = 0
    attempts_max: int = 10


class RegisterAction(Command, tag=51):
    """Register an action, or replace what was registered under its name."""

    action: ActionSpec = ActionSpec("")


class DropAction(Command, tag=52):
    """Forget an action. Jobs of it wait until it is registered again, or until they expire."""

    name: str = ""


class ActionsQuery(Struct, array_like=True, tag=51):
    """The registered actions by name, or the one of this name -> ActionView"""

    name: str = ""
    cursor: bytes = b""


class ActionView(Struct, array_like=True):
    """A registered action, since when, and how it goes: workers that offer it, jobs that they have."""

    action: ActionSpec
    at_ms: int
    by: int = 0
    workers: int = 0
    under_way: int = 0


class Register(Struct, array_like=True):
    """A worker offers these actions; those that are not registered yet, or differ, are registered by it.

    It will say something at least every `heartbeat_ms`; one that is silent for three of them is lost, and
    what it had is given to another.
    """

    id: int
    actions: list[ActionSpec]
    heartbeat_ms: int = 5_000


class Registered(Struct, array_like=True):
    """What became of a `Register`: `wrong` is empty, or says why nothing of it was taken."""

    id: int
    wrong: str = ""


class ActionJob(Struct, array_like=True, gc=False):
    """A job for a worker. `key` is the same in every attempt; the answer is due within `timeout_ms`."""

    lane: str
    number: int
    action: str
    key: str
    item: str
    entry: int
    rule: str
    attempt: int  # from 1
    at_ms: int  # when it was decided
    timeout_ms: int
    parameters: dict[str, Any] = {}


class ActionJobs(Struct, array_like=True):
    """Jobs for a worker, within its credit."""

    jobs: list[ActionJob]
