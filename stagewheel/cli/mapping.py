"""The mapping: a small YAML file that says how the events of a log become commands.

Laws: the first entry of `activities` that fits an event decides what it becomes; an event that none fits is
refused, never dropped in silence. Mistakes are all told at once, each with its line, by the reader that
reads rulesets. `log_commands.py` does what a mapping says; `examples/loans/mapping.yaml` is one to copy.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from string import Formatter
from typing import ClassVar, Final, Literal
from zoneinfo import ZoneInfo

from msgspec import field

from stagewheel.cli.logs import Columns, LogEvent
from stagewheel.errors import CallerError
from stagewheel.server.rules import yaml
from stagewheel.server.rules.document import Doc, Employee as EmployeeId, Id, Name
from stagewheel.server.rules.mistakes import Log, Mistake, Place
from stagewheel.server.rules.reader import read

OF_CASE: Final = frozenset({"case"})
OF_EVENT: Final = frozenset({"case", "activity", "lifecycle"})


class MappingInvalid(CallerError):
    """A mapping with mistakes; `mistakes` are all of them, each with its line."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        count = len(self.mistakes)
        text = "\n".join(map(str, self.mistakes))
        super().__init__(f"the mapping has {count} mistake{'s' if count != 1 else ''}:\n{text}")


class Unmappable(CallerError):
    """An event of the log of which the mapping makes nothing."""


class CsvDoc(Doc):
    """Names of columns; not used for XES."""

    what: ClassVar[str] = "'csv'"
    case: str = "case"
    activity: str = "activity"
    time: str = "time"
    lifecycle: str = "lifecycle"
    delimiter: str = ","


class FieldDoc(Doc):
    """A field in its long form: the attribute it comes from, and what its text is read as."""

    what: ClassVar[str] = "a field"
    source: str = field(name="from")
    type: Literal["text", "number", "boolean"] = "text"


class EmployeeDoc(Doc):
    """Somebody whom the rules may notify; put before the first item."""

    what: ClassVar[str] = "an employee"
    id: EmployeeId
    name: str
    supervisor: int = 0


class ActivityDoc(Doc):
    """What the events of some activities become: `match` is a name, or a pattern with `*` and `?`."""

    what: ClassVar[str] = "an entry of 'activities'"
    later: ClassVar[frozenset[str]] = frozenset({"task"})
    match: str
    becomes: Literal["stage", "event", "ignore"]
    lifecycle: str = ""
    stage: str = "{activity}"
    type: str = "app"
    code: str = "{activity}"


class MappingDoc(Doc):
    """The document."""

    what: ClassVar[str] = "a mapping"
    pipeline: Id
    activities: list[ActivityDoc]
    item: str = "item:{case}"
    title: str = "{case}"
    timezone: str = "UTC"
    time_field: Name | None = None
    fields: dict[Name, str | FieldDoc] = field(default_factory=dict)
    payload: dict[Name, str] = field(default_factory=dict)
    responsible: int = 0
    employees: list[EmployeeDoc] = field(default_factory=list)
    csv: CsvDoc | None = None


class Mapping:
    """A mapping, read and checked. `columns` and `zone` are what `logs.read_log` needs."""

    def __init__(self, document: MappingDoc, file: str = "mapping") -> None:
        self.document = document
        self.file = file
        self.zone = ZoneInfo(document.timezone)
        csv = document.csv or CsvDoc()
        self.columns = Columns(csv.case, csv.activity, csv.time, csv.lifecycle, csv.delimiter)
        self.fields = {
            name: source if isinstance(source, FieldDoc) else FieldDoc(source=source)
            for name, source in document.fields.items()
        }
        self._known: dict[tuple[str, str], ActivityDoc] = {}

    def of(self, event: LogEvent) -> ActivityDoc:
        """The entry that decides what the event becomes. Raises Unmappable."""
        key = (event.activity, event.lifecycle)
        entry = self._known.get(key)
        if entry is None:
            entry = self._known[key] = self._first_that_fits(event)
        return entry

    def _first_that_fits(self, event: LogEvent) -> ActivityDoc:
        for entry in self.document.activities:
            if entry.lifecycle in ("", event.lifecycle) and fnmatchcase(event.activity, entry.match):
                return entry
        lifecycle = f" ({event.lifecycle})" if event.lifecycle else ""
        raise Unmappable(
            f"case {event.case}: no entry of 'activities' in {self.file} fits '{event.activity}'{lifecycle}; "
            f"add one, with 'becomes: ignore' if it is not wanted"
        )


def text_of(path: Path) -> str:
    """The text of a file. Raises MappingInvalid if it can't be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MappingInvalid([Mistake(str(path), 0, 0, "", f"the file can't be read: {error}")]) from error


def read_mapping(path: Path) -> Mapping:
    """The mapping in a YAML file. Raises MappingInvalid with every mistake and its line."""
    log, file = Log(), str(path)
    value = yaml.load(file, text_of(path), log)
    document = read(MappingDoc, value, Place(file), log) if not log.mistakes else None
    if document is not None:
        _check(document, Place(file), log)
    if document is None or log.mistakes:
        raise MappingInvalid(log.mistakes)
    return Mapping(document, file)


def _check(document: MappingDoc, place: Place, log: Log) -> None:
    """What the shape of the document does not say."""
    for key in ("item", "title"):
        _check_template(getattr(document, key), OF_CASE, place / key, log)
    if "{case}" not in document.item:
        log.mistake(place / "item", "the key must hold {case}, else all cases would be one item")
    if not document.activities:
        log.mistake(place / "activities", "no activity becomes anything; name at least one")
    for number, entry in enumerate(document.activities):
        for key in ("stage", "code"):
            _check_template(getattr(entry, key), OF_EVENT, place / "activities" / number / key, log)
    try:
        ZoneInfo(document.timezone)
    except (KeyError, ValueError, OSError):
        log.mistake(place / "timezone", f"'{document.timezone}' is no time zone, such as Europe/Rome")
    if document.csv is not None and len(document.csv.delimiter) != 1:
        log.mistake(place / "csv" / "delimiter", "a delimiter is one character")


def _check_template(template: str, names: frozenset[str], place: Place, log: Log) -> None:
    known = " and ".join(f"{{{name}}}" for name in sorted(names))
    try:
        used = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
    except ValueError as error:
        log.mistake(place, f"not a text with {known}: {error}")
        return
    if unknown := sorted(used - names):
        log.mistake(place, f"{{{unknown[0]}}} is not known here; it knows {known}")
