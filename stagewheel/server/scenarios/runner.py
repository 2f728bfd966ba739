"""Plays a scenario: its steps one after the other against the real engine, until one does not hold.

Laws: a run depends on the scenario's file and its ruleset and on nothing else, so it gives the same answer
every time; the first step that does not hold ends it, and says in which line and how what was seen differs.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from stagewheel.protocol.journal import Record
from stagewheel.protocol.messages import (
    DeadLettersQuery,
    Failed,
    PutEmployee,
    PutRuleset,
    Query,
    Refused,
    Result,
)
from stagewheel.protocol.plain import kind_of, plain
from stagewheel.server.actors.queries import answer
from stagewheel.server.core.calendar import add, format_ms
from stagewheel.server.core.plan import Version
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.mistakes import Mistake
from stagewheel.server.scenarios.drive import Drive
from stagewheel.server.scenarios.expect import difference, dump, missing, unwanted
from stagewheel.server.scenarios.recorder import Recorder
from stagewheel.server.scenarios.steps import (
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
)

MOMENTS: Final = frozenset({"entered_ms", "created_ms", "updated_ms", "due_ms", "at_ms", "next_ms"})
LETTERS_MAX: Final = 1000


class Failure(Struct, frozen=True):
    """Why a scenario does not hold: the step, and the difference as lines (`- ` expected, `+ ` seen)."""

    file: str
    line: int
    step: int
    word: str
    message: str
    difference: list[str] = []

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: step {self.step} ({self.word}): {self.message}"


class Ran(Struct, frozen=True):
    """How a scenario went; it holds where `failure` is None."""

    file: str
    name: str
    steps: int
    expectations: int
    failure: Failure | None = None


class Compiler:
    """Compiles each ruleset once, however many scenarios use it."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, tuple[tuple[str, str], ...]], tuple[Version, list[Mistake]]] = {}

    def __call__(self, files: Mapping[str, str], number: int) -> tuple[Version, list[Mistake]]:
        key = (number, tuple(sorted(files.items())))
        if key not in self._made:
            self._made[key] = compile_ruleset(files, number)
        return self._made[key]


class _Differs(Exception):
    """A step does not hold."""

    def __init__(self, message: str, difference: list[str] | None = None) -> None:
        super().__init__(message)
        self.difference = difference or []


def run(scenario: Scenario, compiler: Compiler | None = None) -> Ran:
    """Play a scenario to its end, or to the first step that does not hold."""
    player = _Player(scenario, compiler or Compiler())
    expectations = 0
    first = Step(0, "ruleset", 0, Publish(scenario.files))
    for at, step in enumerate([first, *scenario.steps]):
        following = scenario.steps[at] if at < len(scenario.steps) else None
        expectations += step.word.startswith("expect")
        try:
            player.play(step, following)
        except _Differs as differs:
            failure = Failure(
                scenario.file, step.line, step.number, step.word, str(differs), differs.difference
            )
            return Ran(scenario.file, scenario.name, len(scenario.steps), expectations, failure)
    return Ran(scenario.file, scenario.name, len(scenario.steps), expectations)


class _Player:
    """The state of one run."""

    def __init__(self, scenario: Scenario, compiler: Compiler) -> None:
        self.scenario = scenario
        self.zone = scenario.zone
        self.facts: dict[str, list[dict[str, Any]]] = {}  # item -> what its journal says, oldest first
        self.result: Result | None = None
        self.recorder = Recorder(scenario.channels)
        self.drive = Drive(scenario.at_ms, compiler, self.recorder, self._records)
        for employee in scenario.employees:
            self.drive.submit(PutEmployee("", employee=employee))

    def play(self, step: Step, following: Step | None) -> None:
        """One step; raises _Differs."""
        if isinstance(step.action, Command):
            self._command(step.action, following)
        else:
            STEPS[type(step.action)](self, step.action)

    def _records(self, records: list[tuple[int, bytes, Record]]) -> None:
        for _, _, record in records:
            facts = self.facts.setdefault(record.item, [])
            about = {
                "at": format_ms(record.at_ms, self.zone),
                "cause": record.cause,
                "version": record.version,
            }
            facts += [self._shown(plain(fact)) | about for fact in record.did]

    def _shown(self, value: Any) -> Any:
        """Moments as an author writes them: `due_ms: 17…` is `due: 2026-03-09T09:00:00+01:00`."""
        if isinstance(value, dict):
            named = {}
            for name, one in value.items():
                if name in MOMENTS and isinstance(one, int):
                    named[name.removesuffix("_ms")] = format_ms(one, self.zone) if one else None
                else:
                    named[name] = self._shown(one)
            return named
        return [self._shown(one) for one in value] if isinstance(value, list) else value

    # ---------------------------------------------------------------- steps

    def _command(self, step: Command, following: Step | None) -> None:
        self.result = result = self.drive.submit(step.command)
        expected = following is not None and isinstance(following.action, ExpectResult)
        if isinstance(result, Failed) and not expected:
            raise _Differs(f"the command failed: {result.code}: {result.message}")

    def publish(self, step: Publish) -> None:
        result = self.drive.submit(PutRuleset("", files=step.files))
        if isinstance(result, Failed):
            raise _Differs(result.message)

    def wait(self, step: Wait) -> None:
        now_ms = self.drive.engine.now_ms()
        until_ms = step.until_ms
        if step.duration is not None:
            until_ms = add(now_ms, step.duration, self.zone)
        if until_ms < now_ms:
            raise _Differs(f"it is {format_ms(now_ms, self.zone)} already; time does not go back")
        self.drive.advance_to(until_ms)

    def channels(self, step: Channels) -> None:
        self.recorder.channels.update(step.channels)
        self.drive.settle()

    def expect(self, step: Expect) -> None:
        seen = self.recorder.take()
        if step.effects is not None:
            differs = difference(step.effects, seen)
            if differs:
                wanted = "nothing" if not step.effects else f"{len(step.effects)} effects"
                raise _Differs(f"expected {wanted}, saw {len(seen)}", differs)
            return
        self._contains("effect", step.contains, step.lacks, seen, ordered=False)

    def expect_item(self, step: ExpectItem) -> None:
        view = self.drive.item(step.item) or self.drive.client(step.item)
        if view is None or step.deleted:
            if (view is None) != step.deleted:
                raise _Differs(f"item {step.item} {'is not there' if view is None else 'is there'}")
            return
        seen = self._shown(plain(view))
        unknown = [name for name in step.values if name not in seen]
        if unknown:
            raise _Differs(f"an item has no '{unknown[0]}'; it has {', '.join(seen)}")
        differs = difference([step.values], [seen])
        if differs:
            raise _Differs(f"item {step.item} is not as expected", differs)

    def expect_journal(self, step: ExpectJournal) -> None:
        seen = self.facts.get(step.item)
        if seen is None:
            raise _Differs(f"nothing was ever journalled about item {step.item}")
        self._contains("fact of the journal", step.contains, step.lacks, seen, ordered=True)

    def expect_result(self, step: ExpectResult) -> None:
        if self.result is None:
            raise _Differs("no command was sent before this")
        kind = kind_of(self.result)
        seen = {kind: {n: v for n, v in plain(self.result).items() if n != "kind"}}
        expected = {step.result: {}} if isinstance(step.result, str) else step.result
        differs = difference([expected], [seen])
        if differs:
            raise _Differs("the command was answered otherwise", differs)

    def expect_dead_letters(self, step: ExpectDeadLetters) -> None:
        reply = answer(self.drive.engine, Query(0, DeadLettersQuery(limit=LETTERS_MAX)))
        assert not isinstance(reply, Refused), "dead letters can always be asked for"
        differs = difference(step.letters, self._shown([plain(letter) for letter in reply.rows]))
        if differs:
            raise _Differs(f"{len(reply.rows)} dead letters, not as expected", differs)

    def _contains(
        self, what: str, contains: list[Any], lacks: list[Any], seen: list[Any], *, ordered: bool
    ) -> None:
        lines = missing(contains, seen, ordered=ordered)
        if lines:
            all_of_it = [f"  {line}" for line in dump(seen)]
            raise _Differs(
                f"an expected {what} was not seen",
                [*lines, f"  all that was seen ({len(seen)}):", *all_of_it],
            )
        lines = unwanted(lacks, seen)
        if lines:
            raise _Differs(f"an unwanted {what} was seen", lines)


STEPS: Final[Mapping[type, Callable[[_Player, Any], None]]] = MappingProxyType(
    {
        Publish: _Player.publish,
        Wait: _Player.wait,
        Channels: _Player.channels,
        Expect: _Player.expect,
        ExpectItem: _Player.expect_item,
        ExpectJournal: _Player.expect_journal,
        ExpectResult: _Player.expect_result,
        ExpectDeadLetters: _Player.expect_dead_letters,
    }
)
