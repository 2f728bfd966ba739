"""The steps of a scenario, checked and ready to be played; `document.py` reads and `runner.py` plays them."""

from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from stagewheel.protocol.messages import AnyCommand, Employee
from stagewheel.server.core.calendar import Duration
from stagewheel.server.core.lanes import channel_of
from stagewheel.server.rules.ads import CHANNEL as ADS
from stagewheel.server.rules.document import Doc

AUDIENCE: Final = "ad_audience"


def effect_of(lane: str) -> str:
    """What an expectation calls what left through a channel: its name, or the action where it has but one."""
    channel = channel_of(lane)
    return AUDIENCE if channel == ADS else channel


class ChannelDoc(Doc):
    """What a channel answers from now on; nothing: it delivers."""

    what: ClassVar[str] = "a channel"
    refuse: str = ""
    retry: str = ""
    unknown: str = ""
    accept: str = ""  # it takes it, and its end comes later, within this time
    hold: bool = False  # nobody takes anything: it stays in the outbox
    times: int = 0  # so many attempts, then it delivers; 0: for ever
    after: str = "5m"  # until the next attempt
    detail: dict[str, Any] = field(default_factory=dict)  # `previous.*` of the next rule


class Command(Struct, frozen=True):
    """Send it; a result that is `failed` fails the scenario unless `expect_result` follows."""

    command: AnyCommand


class Wait(Struct, frozen=True):
    """Let time pass, with all that falls due at its own moment."""

    duration: Duration | None = None
    until_ms: int = 0


class Channels(Struct, frozen=True):
    """Change what channels answer."""

    channels: dict[str, ChannelDoc]


class Publish(Struct, frozen=True):
    """Publish another version."""

    files: dict[str, str]


class Expect(Struct, frozen=True):
    """All effects since the last one, in order; or some and none of others."""

    effects: list[Any] | None = None
    contains: list[Any] = []
    lacks: list[Any] = []


class ExpectItem(Struct, frozen=True):
    """Values of an item; `deleted` where there is none."""

    item: str
    values: dict[str, Any]
    deleted: bool = False


class ExpectJournal(Struct, frozen=True):
    """Facts of an item's timeline, in order."""

    item: str
    contains: list[Any]
    lacks: list[Any]


class ExpectResult(Struct, frozen=True):
    """What the last command was answered."""

    result: Any


class ExpectDeadLetters(Struct, frozen=True):
    """All dead letters, oldest first."""

    letters: list[Any]


Action = (
    Command
    | Wait
    | Channels
    | Publish
    | Expect
    | ExpectItem
    | ExpectJournal
    | ExpectResult
    | ExpectDeadLetters
)


class Step(Struct, frozen=True):
    """One step and where it stands."""

    number: int
    word: str
    line: int
    action: Action


class Scenario(Struct, frozen=True):
    """A scenario, checked and ready to run. `files` are those of its ruleset."""

    file: str
    name: str
    at_ms: int
    zone: ZoneInfo
    files: dict[str, str]
    employees: list[Employee] = field(default_factory=list)
    channels: dict[str, ChannelDoc] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
