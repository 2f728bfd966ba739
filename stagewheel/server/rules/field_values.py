"""Values that a rule gives to fields: constants are held against the type of the field, templates are not."""

from typing import Any, Final

from stagewheel.server.core.plan import EntityPlan
from stagewheel.server.core.plan_actions import Value
from stagewheel.server.rules.mistakes import nearest
from stagewheel.server.rules.names import ITEM_KINDS
from stagewheel.server.rules.reader import shown
from stagewheel.server.rules.where import Where

WRITABLE: Final = {
    "title": "text",
    "responsible": "number",
    "timezone": "text",
    "source": "text",
    "observers": "list",
    "products": "list",
}


def field_values(fields: dict[str, Any], entity: EntityPlan, where: Where, *keys: str) -> dict[str, Value]:
    """Fields of an entity, each with the value it gets; constants are checked against the type."""
    place = where.place
    for key in keys:
        place = place / key
    made: dict[str, Value] = {}
    for name, raw in fields.items():
        complaint = _unfit(name, raw, entity)
        if complaint:
            where.work.log.mistake(place / name, complaint)
        else:
            made[name] = where.value(raw, *keys, name)
    return made


def _unfit(name: str, raw: Any, entity: EntityPlan) -> str:
    fixed = not (isinstance(raw, str) and "{{" in raw) and raw is not None
    field = entity.fields.get(name)
    if field is not None:
        if isinstance(raw, list | dict) and "{{" in str(raw):
            return ""
        complaint = field.accepts(raw) if fixed else ""
        return f"'{name}' is {field.type}: {complaint}" if complaint else ""
    if name in WRITABLE:
        types: dict[str, type] = {"text": str, "number": int, "list": list}
        wanted = WRITABLE[name]
        if fixed and (not isinstance(raw, types[wanted]) or isinstance(raw, bool)):
            return f"'{name}' is a {wanted}, not {shown(raw)}"
        return ""
    if name in ITEM_KINDS:
        return f"'{name}' can't be set; it belongs to the engine"
    if entity.extra:
        return ""
    known = [*entity.fields, *WRITABLE]
    return f"unknown field '{name}' of {entity.id}{nearest(name, known)}"
