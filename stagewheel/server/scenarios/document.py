"""The scenario file: a ruleset, a moment, and steps, read with every mistake at its file, line and path.

    scenario: the follow-up is not sent when somebody took over
    ruleset: ../rules                   # a file, a folder, or a list of them, seen from this file
    at: 2026-03-02T09:00:00+01:00
    steps: [create: …, wait: 6d, update: …, expect: nothing]

Laws: a step is one word and what it needs; the words of commands are those of `written.py`, the others are
`wait`, `channels`, `publish` and the expectations. Reading never stops at the first mistake.
"""

from pathlib import Path
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

from msgspec import field

from stagewheel.errors import CallerError
from stagewheel.server.actors.outboxes import OUTBOX_TABLES
from stagewheel.server.actors.reference import Compile
from stagewheel.server.core.calendar import Duration, parse_datetime, parse_duration, parse_zone
from stagewheel.server.rules import yaml
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.document import Doc
from stagewheel.server.rules.load import CannotLoad, load_folder_or_files
from stagewheel.server.rules.mistakes import Log, Mistake, Place, RulesetInvalid, listed, nearest
from stagewheel.server.rules.reader import read, shown
from stagewheel.server.scenarios.steps import (
    Action,
    ChannelDoc,
    Channels,
    Command,
    Expect,
    ExpectDeadLetters,
    ExpectItem,
    ExpectJournal,
    ExpectResult,
    Publish,
    Scenario,
    Step,
    Wait,
    effect_of,
)
from stagewheel.server.scenarios.written import WORDS, read_command
from stagewheel.server.scenarios.written_activities import ACTIVITY, CALENDAR
from stagewheel.server.scenarios.written_people import EmployeeDoc, employee_of
from stagewheel.server.scenarios.written_tasks import TASK

NOTHING: Final = "nothing"


class ScenarioInvalid(CallerError):
    """A scenario file with mistakes; `mistakes` are all of them."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = mistakes
        super().__init__("\n".join(str(one) for one in mistakes))


class ScenarioDoc(Doc):
    """The document."""

    what: ClassVar[str] = "a scenario"
    scenario: str
    ruleset: str | list[str]
    at: str
    steps: list[Any]
    timezone: str = ""  # of times without an offset, `wait: 1d` and what is shown; else the ruleset's
    employees: list[EmployeeDoc] = field(default_factory=list)
    channels: dict[str, ChannelDoc] = field(default_factory=dict)


class ContainsDoc(Doc):
    """`{contains: […], lacks: […]}`: some of a list, and none of another."""

    what: ClassVar[str] = "an expectation"
    contains: list[Any] = field(default_factory=list)
    lacks: list[Any] = field(default_factory=list)
    item: str = ""


class UntilDoc(Doc):
    """`wait: {until: 2026-03-05T10:00}`."""

    what: ClassVar[str] = "'wait'"
    until: str


def is_scenario(value: Any) -> bool:
    """Is a document of a folder one of ours?"""
    return isinstance(value, dict) and "scenario" in value


def read_scenario(path: Path, compiler: Compile = compile_ruleset) -> Scenario:
    """A scenario file; its ruleset is compiled for its zone and its mistakes. Raises ScenarioInvalid."""
    log, file = Log(), str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ScenarioInvalid([Mistake(file, 0, 0, "", f"the file can't be read: {reason}")]) from None
    value = yaml.load(file, text, log)
    place = Place(file)
    doc = read(ScenarioDoc, value, place, log) if not log.mistakes else None
    scenario = _Reader(path, place, log, compiler).scenario(doc) if doc is not None else None
    if scenario is None or log.mistakes:
        raise ScenarioInvalid(log.mistakes)
    return scenario


class _Reader:
    """Reads the parts of one document."""

    def __init__(self, path: Path, place: Place, log: Log, compiler: Compile) -> None:
        self.path = path
        self.compiler = compiler
        self.place = place
        self.log = log
        self.zone = ZoneInfo("UTC")

    def scenario(self, doc: ScenarioDoc) -> Scenario:
        paths = [doc.ruleset] if isinstance(doc.ruleset, str) else doc.ruleset
        files = self.files(paths, self.place / "ruleset")
        self.zone = self.zone_of(doc, files)
        return Scenario(
            file=self.place.file,
            name=doc.scenario,
            at_ms=self.moment(doc.at, self.place / "at"),
            zone=self.zone,
            files=files,
            employees=[employee_of(one) for one in doc.employees],
            channels=self.channels(doc.channels, self.place / "channels"),
            steps=self.steps(doc.steps),
        )

    def zone_of(self, doc: ScenarioDoc, files: dict[str, str]) -> ZoneInfo:
        """The scenario's own zone, else that of the ruleset's first pipeline."""
        if doc.timezone:
            try:
                return parse_zone(doc.timezone)
            except ValueError as error:
                self.log.mistake(self.place / "timezone", str(error))
        if not files:
            return self.zone
        try:
            version, _ = self.compiler(files, 1)
        except RulesetInvalid as invalid:
            self.log.mistake(self.place / "ruleset", str(invalid))
            return self.zone
        return next((pipeline.zone for pipeline in version.pipelines.values()), self.zone)

    def moment(self, text: str, place: Place) -> int:
        try:
            return parse_datetime(text, self.zone)
        except ValueError as error:
            self.log.mistake(place, str(error))
            return 0

    def files(self, paths: list[str], place: Place) -> dict[str, str]:
        try:
            return load_folder_or_files([self.path.parent / path for path in paths])
        except CannotLoad as error:
            self.log.mistake(place, str(error))
            return {}

    def channels(self, channels: dict[str, ChannelDoc], place: Place) -> dict[str, ChannelDoc]:
        for name, channel in channels.items():
            if name not in OUTBOX_TABLES:
                hint = nearest(name, OUTBOX_TABLES) or f"; there are {listed(OUTBOX_TABLES)}"
                self.log.mistake(place / name, f"unknown channel '{name}'{hint}")
            self.duration(channel.after, place / name / "after")
        return channels

    def duration(self, text: Any, place: Place) -> Duration:
        try:
            return parse_duration(text)
        except ValueError as error:
            self.log.mistake(place, str(error))
            return Duration()

    def steps(self, raw: list[Any]) -> list[Step]:
        steps = []
        for number, one in enumerate(raw):
            place = self.place / "steps" / number
            if not isinstance(one, dict) or len(one) != 1:
                said = "a mapping of several keys" if isinstance(one, dict) else shown(one)
                self.log.mistake(
                    place, f"a step is one word and what it needs, such as 'wait: 6d', not {said}"
                )
                continue
            word, value = next(iter(one.items()))
            action = self.step(word, value, place)
            if action is not None:
                steps.append(Step(number + 1, word, self.log.line_of(place / word), action))
        return steps

    def step(self, word: str, value: Any, place: Place) -> Action | None:
        at = place / word
        if word in WORDS:
            command = read_command(word, value, at, self.log, self.zone)
            return Command(command) if command is not None else None
        reader = getattr(self, f"_{word}", None) if word in OTHER_WORDS else None
        if reader is None:
            known = [*WORDS, *OTHER_WORDS]
            self.log.mistake(place, f"unknown step '{word}'{nearest(word, known) or f'; {listed(known)}'}")
            return None
        action: Action | None = reader(value, at)
        return action

    # ---------------------------------------------------------------- words that are no commands

    def _wait(self, value: Any, place: Place) -> Action | None:
        if isinstance(value, dict):
            doc = read(UntilDoc, value, place, self.log)
            return Wait(until_ms=self.moment(doc.until, place / "until")) if doc is not None else None
        return Wait(duration=self.duration(value, place))

    def _channels(self, value: Any, place: Place) -> Action | None:
        if not isinstance(value, dict):
            self.log.mistake(place, f"expected channels by name, got {shown(value)}")
            return None
        read_docs = {name: read(ChannelDoc, one or {}, place / name, self.log) for name, one in value.items()}
        return Channels(self.channels({n: d for n, d in read_docs.items() if d is not None}, place))

    def _publish(self, value: Any, place: Place) -> Action | None:
        paths = value if isinstance(value, list) else [value]
        if not all(isinstance(path, str) for path in paths):
            self.log.mistake(place, f"expected a path or a list of paths, got {shown(value)}")
            return None
        return Publish(self.files(paths, place))

    def _expect(self, value: Any, place: Place) -> Action | None:
        if value == NOTHING or value == []:
            return Expect(effects=[])
        if isinstance(value, list):
            return Expect(effects=self.effects(value, place))
        if not isinstance(value, dict):
            self.log.mistake(
                place, f"expected '{NOTHING}', a list of effects, or contains:, not {shown(value)}"
            )
            return None
        doc = read(ContainsDoc, value, place, self.log)
        if doc is None:
            return None
        contains = self.effects(doc.contains, place / "contains")
        return Expect(contains=contains, lacks=self.effects(doc.lacks, place / "lacks"))

    def effects(self, values: list[Any], place: Place) -> list[Any]:
        for number, one in enumerate(values):
            name = next(iter(one)) if isinstance(one, dict) and len(one) == 1 else None
            if name not in EFFECTS:
                hint = nearest(name, EFFECTS) if isinstance(name, str) else ""
                known = hint or f"; it is one of {listed(EFFECTS)}"
                self.log.mistake(place / number, f"an effect is a kind and its values{known}")
        return values

    def _expect_item(self, value: Any, place: Place) -> Action | None:
        if not isinstance(value, dict) or not isinstance(value.get("item"), str):
            self.log.mistake(place, f"expected 'item:' and values of it, got {shown(value)}")
            return None
        values = {name: one for name, one in value.items() if name not in ("item", "deleted")}
        return ExpectItem(value["item"], values, value.get("deleted") is True)

    def _expect_journal(self, value: Any, place: Place) -> Action | None:
        doc = read(ContainsDoc, value, place, self.log)
        if doc is None:
            return None
        if not doc.item or not (doc.contains or doc.lacks):
            self.log.mistake(place, "it needs 'item:' and 'contains:' or 'lacks:' with facts")
        return ExpectJournal(doc.item, doc.contains, doc.lacks)

    def _expect_result(self, value: Any, place: Place) -> Action:
        return ExpectResult(value)

    def _expect_dead_letters(self, value: Any, place: Place) -> Action | None:
        letters: Any = [] if value == NOTHING else value
        if not isinstance(letters, list):
            self.log.mistake(place, f"expected '{NOTHING}' or a list of dead letters, got {shown(value)}")
            return None
        return ExpectDeadLetters(letters)


OF_CHANNELS: Final = tuple(effect_of(channel) for channel in OUTBOX_TABLES)
EFFECTS: Final[tuple[str, ...]] = (*OF_CHANNELS, "notify", "history", "stream", TASK, ACTIVITY, CALENDAR)
OTHER_WORDS: Final = (
    "wait",
    "channels",
    "publish",
    "expect",
    "expect_item",
    "expect_journal",
    "expect_result",
    "expect_dead_letters",
)
