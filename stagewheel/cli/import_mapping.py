"""What a row of an import becomes: the words of `create`, from columns that a mapping names.

    item: "lead:{id}"                      # a text with columns in braces
    stage: "{status}"
    stages: {open: new, in progress: talk}  # words of the file -> stages
    entered_at: "{moved on}"
    responsible: "{owner}"
    employees: {Rosa Lind: 7}              # words of the file -> employees
    fields: {amount: sum, tags: labels}    # field: column
    client: {key: "c:{id}", name: "{contact}", emails: [{from: mail, type: work}], phones: [mobile]}
    repeat: {thanks: "{thanked on}"}       # a rule that acted already, and when
    activities: [{text: "{call}", kind: call, deadline: "{call at}"}]
    tasks: [{name: "{to do}", deadline: "{until}", status: "{done}", statuses: {"yes": completed}}]

Laws: without a mapping the columns (or the members of a JSON object) are the words of `create` themselves,
with dots for what is inside: `fields.amount`, `client.name`, `client.email`. An empty value is no value.
Types come from the ruleset: a text becomes a list where the field is multiple, true or false where it is
boolean.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

from msgspec import field

from stagewheel.cli.mapping import MappingInvalid, text_of
from stagewheel.protocol.messages import CreateItem
from stagewheel.server.core.calendar import parse_datetime, parse_zone
from stagewheel.server.core.plan import EntityPlan
from stagewheel.server.rules import yaml
from stagewheel.server.rules.document import Doc, Id, Name
from stagewheel.server.rules.mistakes import Log, Place, Positions
from stagewheel.server.rules.reader import read
from stagewheel.server.scenarios.written import read_command

COLUMN: Final = re.compile(r"\{([^{}]+)\}")
YES, NO = frozenset({"true", "yes", "y", "1", "on"}), frozenset({"false", "no", "n", "0", "off"})
SINGLE: Final = {"email": "emails", "phone": "phones"}  # a column for the first of a list
ADDRESSES: Final = ("emails", "phones")
OF_TASKS: Final = (
    *("name", "ref", "description", "status", "deadline", "created_at", "responsible"),
    *("workgroup", "rule", "stage"),
)
OF_ACTIVITIES: Final = (
    *("text", "kind", "status", "deadline", "duration", "created_at", "responsible"),
    *("address", "room", "link", "result", "rule", "stage"),
)


class AddressDoc(Doc):
    """A column that holds an address, and its type."""

    what: ClassVar[str] = "an address"
    source: str = field(name="from")
    type: str = ""


class PersonDoc(Doc):
    """The contact or company of an item."""

    what: ClassVar[str] = "a client"
    name: str = ""
    key: str = ""
    timezone: str = ""
    emails: list[str | AddressDoc] = field(default_factory=list)
    phones: list[str | AddressDoc] = field(default_factory=list)
    fields: dict[Name, str] = field(default_factory=dict)


class ImportTaskDoc(Doc):
    """A task that an item brings along; there is none in a row that has no name for it."""

    what: ClassVar[str] = "a task"
    name: str
    ref: str = ""
    description: str = ""
    status: str = ""
    statuses: dict[str, str] = field(default_factory=dict)
    deadline: str = ""
    created_at: str = ""
    responsible: str = ""
    workgroup: str = ""
    rule: str = ""
    stage: str = ""


class ImportActivityDoc(Doc):
    """An activity that an item brings along; there is none in a row that has no text for it."""

    what: ClassVar[str] = "an activity"
    text: str
    kind: str = ""
    status: str = ""
    statuses: dict[str, str] = field(default_factory=dict)
    deadline: str = ""
    duration: str = ""
    created_at: str = ""
    responsible: str = ""
    address: str = ""
    room: str = ""
    link: str = ""
    result: str = ""
    rule: str = ""
    stage: str = ""


class ImportDoc(Doc):
    """The mapping of an import."""

    what: ClassVar[str] = "a mapping of an import"
    item: str
    pipeline: str = ""
    stage: str = ""
    stages: dict[str, str] = field(default_factory=dict)
    title: str = ""
    source: str = ""
    entered_at: str = ""
    timezone: str = "UTC"
    responsible: str = ""
    employees: dict[str, int] = field(default_factory=dict)
    fields: dict[Name, str] = field(default_factory=dict)
    client: PersonDoc | None = None
    company: PersonDoc | None = None
    repeat: dict[Id, str] = field(default_factory=dict)
    tasks: list[ImportTaskDoc] = field(default_factory=list)
    activities: list[ImportActivityDoc] = field(default_factory=list)
    delimiter: str = ","
    separator: str = "|"  # between the values of a multiple field


class ImportMapping:
    """Makes commands of rows. `text` is the mapping's file as it was read, "" without one, `positions` where
    its values stand.
    """

    def __init__(
        self, doc: ImportDoc | None, file: str = "", text: str = "", positions: Positions | None = None
    ) -> None:
        self.positions = positions or {}
        self.doc = doc or ImportDoc(item="")
        self.file, self.text = file, text
        self.plain = doc is None
        self.zone = parse_zone(self.doc.timezone)

    def columns(self) -> Iterable[tuple[Place, str]]:
        """Every column that the mapping names, with its place in it."""
        place, doc = Place(self.file), self.doc
        for key in ("item", "pipeline", "stage", "title", "source", "entered_at", "responsible"):
            yield from ((place / key, name) for name in COLUMN.findall(getattr(doc, key)))
        yield from ((place / "fields" / name, column) for name, column in doc.fields.items())
        for rule, text in doc.repeat.items():
            yield from ((place / "repeat" / rule, name) for name in COLUMN.findall(text))
        for word, keys in (("tasks", OF_TASKS), ("activities", OF_ACTIVITIES)):
            for number, one in enumerate(getattr(doc, word)):
                for key in keys:
                    at = place / word / number / key
                    yield from ((at, name) for name in COLUMN.findall(getattr(one, key)))
        for kind in ("client", "company"):
            yield from _columns_of_person(getattr(doc, kind), place / kind)

    def words(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row as `create` is written."""
        return _nested(row) if self.plain else self._mapped(row)

    def _mapped(self, row: Mapping[str, Any]) -> dict[str, Any]:
        doc = self.doc
        stage, owner = _filled(doc.stage, row), _filled(doc.responsible, row)
        words = {
            "item": _filled(doc.item, row),
            "pipeline": _filled(doc.pipeline, row),
            "stage": doc.stages.get(stage, stage),
            "title": _filled(doc.title, row),
            "source": _filled(doc.source, row),
            "entered_at": _filled(doc.entered_at, row),
            "responsible": doc.employees.get(owner, owner),
            "fields": {name: row[column] for name, column in doc.fields.items() if _given(row, column)},
            "client": _person(doc.client, row),
            "company": _person(doc.company, row),
            "repeat": {rule: _filled(text, row) for rule, text in doc.repeat.items()},
            "tasks": [task for one in doc.tasks if (task := self._work(one, OF_TASKS, row))],
            "activities": [
                activity for one in doc.activities if (activity := self._work(one, OF_ACTIVITIES, row))
            ],
        }
        return {name: value for name, value in words.items() if value not in ("", None, {}, [])}

    def _work(
        self, doc: ImportTaskDoc | ImportActivityDoc, keys: tuple[str, ...], row: Mapping[str, Any]
    ) -> dict[str, Any]:
        """A task or activity as `create` has it; empty where the row has none. Its first key is what it can't
        do without.
        """
        words: dict[str, Any] = {key: text for key in keys if (text := _filled(getattr(doc, key), row))}
        if keys[0] not in words:
            return {}
        if "status" in words:
            words["status"] = doc.statuses.get(words["status"], words["status"])
        if "responsible" in words:
            whom = self.doc.employees.get(words["responsible"], words["responsible"])
            words["responsible"] = int(whom) if str(whom).isdecimal() else whom
        return words

    def command(
        self,
        row: Mapping[str, Any],
        pipeline: str,
        entity_of: Callable[[str], EntityPlan | None],
        place: Place,
        log: Log,
    ) -> CreateItem | None:
        """The command of a row, or None: then the log says what is wrong."""
        words = self.words(row)
        words.setdefault("pipeline", pipeline)
        repeat = words.pop("repeat", {})
        try:
            words["responsible"] = int(words.get("responsible", 0))
        except (TypeError, ValueError):
            log.mistake(place / "responsible", f"{words['responsible']!r} is no employee's number")
            return None
        entity = entity_of(str(words["pipeline"]))
        fields = words.get("fields")
        if entity is not None and isinstance(fields, dict):
            words["fields"] = {n: _typed(value, n, entity, self.doc.separator) for n, value in fields.items()}
        made = read_command("create", words, place, log, self.zone)
        if made is None:
            return None
        assert isinstance(made, CreateItem), "the word is create"
        made.imported = True
        return made if _take_repeat(made, repeat, self.zone, place, log) else None


def read_import_mapping(path: Path) -> ImportMapping:
    """The mapping in a YAML file. Raises MappingInvalid with every mistake and its line."""
    log, file, text = Log(), str(path), text_of(path)
    value = yaml.load(file, text, log)
    doc = read(ImportDoc, value, Place(file), log) if not log.mistakes else None
    if doc is not None:
        if not COLUMN.search(doc.item):
            log.mistake(Place(file) / "item", "the key must hold a column, as in 'lead:{id}'")
        if len(doc.delimiter) != 1 or not doc.separator:
            log.mistake(Place(file) / "delimiter", "a delimiter is one character, a separator at least one")
        try:
            parse_zone(doc.timezone)
        except ValueError as error:
            log.mistake(Place(file) / "timezone", str(error))
    if doc is None or log.mistakes:
        raise MappingInvalid(log.mistakes)
    return ImportMapping(doc, file, text, log.positions.get(file))


# ---------------------------------------------------------------- values


def _given(row: Mapping[str, Any], column: str) -> bool:
    return row.get(column) not in (None, "")


def _filled(template: str, row: Mapping[str, Any]) -> str:
    """A text with columns in braces; "" where a column of it is empty."""
    if any(not _given(row, column) for column in COLUMN.findall(template)):
        return ""
    return COLUMN.sub(lambda found: str(row[found[1]]), template)


def _columns_of_person(doc: PersonDoc | None, place: Place) -> Iterable[tuple[Place, str]]:
    if doc is None:
        return
    for key in ("name", "key", "timezone"):
        yield from ((place / key, name) for name in COLUMN.findall(getattr(doc, key)))
    for key in ADDRESSES:
        for number, one in enumerate(getattr(doc, key)):
            yield place / key / number, one if isinstance(one, str) else one.source
    yield from ((place / "fields" / name, column) for name, column in doc.fields.items())


def _person(doc: PersonDoc | None, row: Mapping[str, Any]) -> dict[str, Any]:
    if doc is None:
        return {}
    found: dict[str, Any] = {key: _filled(getattr(doc, key), row) for key in ("name", "key", "timezone")}
    for key in ADDRESSES:
        sources = [AddressDoc(source=one) if isinstance(one, str) else one for one in getattr(doc, key)]
        found[key] = [
            {"address": str(row[one.source]), "type": one.type} for one in sources if _given(row, one.source)
        ]
    found["fields"] = {name: row[column] for name, column in doc.fields.items() if _given(row, column)}
    return {name: value for name, value in found.items() if value not in ("", [], {})}


def _nested(row: Mapping[str, Any]) -> dict[str, Any]:
    """`{"fields.amount": 3}` as `{"fields": {"amount": 3}}`; what is nested already stays so."""
    words: dict[str, Any] = {}
    for name, value in row.items():
        if value in (None, ""):
            continue
        *around, last = name.split(".")
        into = words
        for part in around:
            into = into.setdefault(part, {})
        if around and last in SINGLE:
            into.setdefault(SINGLE[last], []).append(str(value))
        else:
            into[last] = value
    return words


def _typed(value: Any, name: str, entity: EntityPlan, separator: str) -> Any:
    """A text as the field's type wants it; what does not fit stays, and the ruleset refuses it."""
    plan = entity.fields.get(name)
    if plan is None or not isinstance(value, str):
        return value
    if plan.multiple:
        return [_one(part.strip(), plan.type) for part in value.split(separator) if part.strip()]
    return _one(value, plan.type)


def _one(text: str, type_: str) -> Any:
    if type_ == "boolean":
        return True if text.lower() in YES else False if text.lower() in NO else text
    return text


def _take_repeat(made: CreateItem, repeat: Any, zone: ZoneInfo, place: Place, log: Log) -> bool:
    """`{rule: moment}`, or `{rule: {times: 3, last: moment}}`; an empty moment is a rule that never acted."""
    at = place / "repeat"
    if not isinstance(repeat, dict):
        log.mistake(at, "expected rules with the moment when each acted last")
        return False
    for rule, said in repeat.items():
        times, last = (said.get("times", 1), said.get("last", "")) if isinstance(said, dict) else (1, said)
        if last in (None, ""):
            continue
        try:
            made.repeat = {**made.repeat, str(rule): (int(times), parse_datetime(last, zone))}
        except (TypeError, ValueError) as error:
            log.mistake(at / str(rule), str(error))
            return False
    return True
