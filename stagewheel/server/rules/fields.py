"""Entities and their declared fields: what values each type accepts.

Laws: a field can't have the name of a root or of a built-in field; None (empty) is always accepted and is
not asked here; numbers may come as text, since forms send nothing else (4.2).
"""

from collections.abc import Callable, Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from stagewheel.server.core.calendar import parse_date, parse_datetime
from stagewheel.server.core.plan import EntityPlan, FieldPlan
from stagewheel.server.limits import FIELD_CHARS_MAX, FIELD_VALUES_MAX
from stagewheel.server.rules.compare import money, number
from stagewheel.server.rules.document import EntityDoc, FieldDoc
from stagewheel.server.rules.mistakes import Log, Place
from stagewheel.server.rules.names import CLIENT_KINDS, EMPLOYEE_KINDS, RESERVED, Kind
from stagewheel.server.rules.reader import shown

CLIENT_ENTITIES: Final = ("contact", "company")
EMPLOYEE_ENTITY: Final = "employee"
# These need no declaration: an item of one of them that has no fields of its own is common.
KNOWN_ENTITIES: Final = ("lead", "deal", "quote", "invoice", *CLIENT_ENTITIES)
UTC: Final = ZoneInfo("UTC")

# Of these very types every value fits; text, dates and what else comes as text has to be looked at.
ANY_OF: Final[Mapping[str, type]] = {"number": int, "money": int, "boolean": bool}

Accepts = Callable[[Any], str]


def compile_entity(id_: str, doc: EntityDoc, place: Place, log: Log) -> EntityPlan:
    """The plan of an entity; wrong fields are left out and logged."""
    reserved = RESERVED
    if id_ in CLIENT_ENTITIES:
        reserved = frozenset(CLIENT_KINDS)
    elif id_ == EMPLOYEE_ENTITY:
        reserved = frozenset(EMPLOYEE_KINDS)
    fields: dict[str, FieldPlan] = {}
    for name, field in doc.fields.items():
        at = place / "fields" / name
        if name in reserved:
            log.mistake(at, f"'{name}' is a name of the language and can't be a field")
            continue
        fields[name] = _field(name, field, at, log)
    defaults = {name: field.default for name, field in fields.items() if field.default is not None}
    any_of = {
        n: ANY_OF[field.type] for n, field in fields.items() if field.type in ANY_OF and not field.multiple
    }
    return EntityPlan(id=id_, fields=fields, extra=doc.extra, defaults=defaults, any_of=any_of)


def kinds_of(entity: EntityPlan | None) -> dict[str, Kind]:
    """The declared fields of an entity as types."""
    if entity is None:
        return {}
    return {name: Kind(field.type, field.multiple) for name, field in entity.fields.items()}


def kinds_of_all(entities: Mapping[str, EntityPlan], ids: tuple[str, ...]) -> dict[str, Kind]:
    """The declared fields of several entities together."""
    return {name: kind for id_ in ids for name, kind in kinds_of(entities.get(id_)).items()}


def _field(name: str, field: str | FieldDoc, place: Place, log: Log) -> FieldPlan:
    doc = FieldDoc(type=field) if isinstance(field, str) else field  # type: ignore[arg-type]  # it was read as one
    accepts = _multiple(ACCEPTS[doc.type]) if doc.multiple else ACCEPTS[doc.type]
    default = doc.default
    if default is not None:
        complaint = accepts(default)
        if complaint:
            log.mistake(place / "default", f"the default does not fit: {complaint}")
            default = None
    return FieldPlan(name=name, type=doc.type, multiple=doc.multiple, default=default, accepts=accepts)


def _multiple(one: Accepts) -> Accepts:
    def accepts(value: Any) -> str:
        if not isinstance(value, list):
            return f"a list is expected, not {shown(value)}"
        if len(value) > FIELD_VALUES_MAX:
            return f"at most {FIELD_VALUES_MAX} values"
        return next((complaint for each in value if (complaint := one(each))), "")

    return accepts


def _text(value: Any) -> str:
    if not isinstance(value, str):
        return f"text is expected, not {shown(value)}"
    return "" if len(value) <= FIELD_CHARS_MAX else f"at most {FIELD_CHARS_MAX} characters"


def _number(value: Any) -> str:
    return "" if number(value) is not None else f"a number is expected, not {shown(value)}"


def _money(value: Any) -> str:
    if money(value) is None:
        return f"an amount is expected, a number or {{amount, currency}}, not {shown(value)}"
    if isinstance(value, dict) and not isinstance(value.get("currency", ""), str):
        return "the currency is text, such as EUR"
    return ""


def _boolean(value: Any) -> str:
    return "" if isinstance(value, bool) else f"true or false is expected, not {shown(value)}"


def _date(value: Any) -> str:
    return _parsed(parse_date, value)


def _datetime(value: Any) -> str:
    return _parsed(parse_datetime, value)


def _parsed(parse: Callable[[str | int, ZoneInfo], int], value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return f"a date is expected, such as 2026-03-29, not {shown(value)}"
    try:
        parse(value, UTC)
    except ValueError as error:
        return str(error)
    return ""


def _file(value: Any) -> str:
    if isinstance(value, str | dict):
        return ""
    return f"the name of a file or a mapping that describes it is expected, not {shown(value)}"


ACCEPTS: Final[dict[str, Accepts]] = {
    "text": _text,
    "number": _number,
    "money": _money,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
    "file": _file,
}
