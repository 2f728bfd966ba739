"""Do values fit the fields they are for? One sentence when not, "" when they do."""

from typing import Any

from stagewheel.protocol.messages import Client
from stagewheel.server.core.calendar import parse_zone
from stagewheel.server.core.deciding import BUILT_IN_WRITABLE
from stagewheel.server.core.plan import PipelinePlan, Version


def refuse_values(version: Version | None, plan: PipelinePlan | None, values: dict[str, Any]) -> str:
    """ "" if every value may be set, else what is wrong with the first that may not."""
    entity = version.entities.get(plan.entity) if version is not None and plan is not None else None
    fields = entity.fields if entity is not None else {}
    for name, value in values.items():
        field = fields.get(name)
        if field is not None:
            wrong = field.accepts(value) if value is not None else ""
            if wrong:
                return f"field {name}: {wrong}"
        elif name in BUILT_IN_WRITABLE:
            wrong = _refuse_built_in(name, value)
            if wrong:
                return wrong
        elif entity is not None and not entity.extra:
            return f"{name} is not a declared field of {entity.id}"
    return ""


def _refuse_built_in(name: str, value: Any) -> str:
    if name in ("title", "source") and not isinstance(value, str):
        return f"{name} must be text"
    if name == "responsible" and not isinstance(value, int):
        return "responsible must be an employee's id"
    if name == "client" and not isinstance(value, Client | None):
        return "client is no field: give it beside the fields, with its name and addresses"
    if name == "company" and not isinstance(value, Client | None):
        return "company is no field: give it beside the fields, with its key or name"
    if name == "observers" and not (isinstance(value, list) and all(isinstance(one, int) for one in value)):
        return "observers must be a list of employees' ids"
    if name == "products" and not (isinstance(value, list) and all(isinstance(one, dict) for one in value)):
        return "products must be a list of mappings, such as [{name: Roof, price: 100, quantity: 1}]"
    if name == "timezone" and value:
        try:
            parse_zone(value)
        except ValueError as error:
            return str(error)
    return ""
