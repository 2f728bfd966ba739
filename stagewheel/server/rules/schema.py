"""The JSON Schema of the rule language, for editors: completion and red lines while a rule is written.

Laws: it is made from the Structs that read a ruleset, so it can't say anything else; what those leave
open (actions, steps, conditions, triggers) is put in here from the same tables the compiler uses. It
admits whatever `check` admits, and refuses unknown keys.
"""

from typing import Any, Final

import msgspec

from stagewheel.server.rules.action_table import ACTIONS
from stagewheel.server.rules.caps import CHANNELS, RATE
from stagewheel.server.rules.compare import NEGATIVE, OPERATORS
from stagewheel.server.rules.document import CapDoc, RulesetDoc, SourceDoc, TriggerDoc
from stagewheel.server.rules.document_steps import FRAMED, STEPS, StepFrame
from stagewheel.server.rules.events import EVENTS, SETTING_SCHEMA, SETTINGS

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
REF: Final = "#/$defs/{name}"
Schema = dict[str, Any]


def ruleset_schema() -> Schema:
    """The schema of one ruleset file."""
    kinds = dict.fromkeys((*ACTIONS.values(), *STEPS.values(), *FRAMED))
    docs = (RulesetDoc, TriggerDoc, SourceDoc, CapDoc, StepFrame, *kinds)
    (top, *_), defs = msgspec.json.schema_components(docs, ref_template=REF)
    defs = {name: _without_place(schema) for name, schema in defs.items() if name != "Place"}
    frame = defs["StepFrame"]["properties"]
    actions = {do: _of_kind(defs[doc.__name__], do) for do, doc in ACTIONS.items()}
    steps = {do: _of_kind(defs[doc.__name__], do) for do, doc in STEPS.items()}
    for step in steps.values():
        for key in step["properties"].keys() & {"steps", "else", "on_timeout"}:
            step["properties"][key] = _list("Step")
        if "branches" in step["properties"]:
            parallel = step["title"] == "parallel"
            step["properties"]["branches"] = _list("ThreadDoc" if parallel else "BranchDoc")
    steps["wait_for"]["properties"] |= dict.fromkeys(sorted(SETTINGS), SETTING_SCHEMA)
    steps["wait_for"]["properties"]["event"] = {"enum": sorted(EVENTS)}
    framed = {do: {**one, "properties": {**frame, **one["properties"]}} for do, one in actions.items()}
    defs["Condition"] = _condition()
    defs["Action"] = _one_of(actions)
    defs["Step"] = _one_of({**framed, **steps})
    defs["TriggerDoc"] = _trigger(defs["TriggerDoc"])
    defs["RuleDoc"]["properties"] |= {"action": _ref("Action"), "steps": _list("Step")}
    defs["RuleDoc"]["anyOf"] = [{"required": ["action"]}, {"required": ["steps"]}]
    defs["StageDoc"]["properties"]["triggers"] = _list("TriggerDoc")
    defs["SourceDoc"]["properties"] |= dict.fromkeys(sorted(SETTINGS), SETTING_SCHEMA)
    defs["SourceDoc"]["properties"]["on"] = {"enum": sorted(EVENTS)}
    defs["RulesetDoc"]["properties"]["sources"]["additionalProperties"] = _ref("SourceDoc")
    defs["Caps"] = _caps()
    for name in ("RulesetDoc", "PipelineDoc", "RuleDoc"):
        defs[name]["properties"]["caps"] = _ref("Caps")
    defs["WorkflowDoc"]["properties"]["steps"] = _list("Step")
    for name in ("BranchDoc", "ThreadDoc"):
        defs[name]["properties"]["steps"] = _list("Step")
    for schema in (*defs.values(), *actions.values(), *framed.values(), *steps.values()):
        if "when" in schema.get("properties", {}):
            schema["properties"]["when"] = _ref("Condition")
    return {"$schema": DIALECT, "title": "A stagewheel ruleset", **top, "$defs": dict(sorted(defs.items()))}


def _without_place(schema: Schema) -> Schema:
    properties = {key: one for key, one in schema.get("properties", {}).items() if key != "place_"}
    return {**schema, "properties": properties} if "properties" in schema else schema


def _of_kind(schema: Schema, do: str) -> Schema:
    return {**schema, "title": do, "properties": {**schema["properties"], "do": {"const": do}}}


def _one_of(kinds: dict[str, Schema]) -> Schema:
    """Told apart by `do`, so that an editor completes the keys of the kind that was written."""
    cases = [
        {"if": {"properties": {"do": {"const": do}}, "required": ["do"]}, "then": schema}
        for do, schema in sorted(kinds.items())
    ]
    return {
        "type": "object",
        "properties": {"do": {"enum": sorted(kinds)}},
        "required": ["do"],
        "allOf": cases,
    }


def _trigger(schema: Schema) -> Schema:
    settings = dict.fromkeys(sorted(SETTINGS), SETTING_SCHEMA)
    on = {"enum": sorted(EVENTS)}
    return {**schema, "properties": {**schema["properties"], **settings, "on": on}}


def _caps() -> Schema:
    """By channel: `2 per 1d`, the same with what is over, or none."""
    rate = {"type": "string", "pattern": f"^({RATE.pattern}|none)$"}
    by_channel = {channel: {"anyOf": [rate, _ref("CapDoc")]} for channel in CHANNELS}
    some = {"type": "object", "properties": by_channel, "additionalProperties": False}
    return {"anyOf": [{"enum": ["none", None]}, some]}


def _condition() -> Schema:
    operators = sorted({*OPERATORS, *NEGATIVE, "case"})
    several = {"type": "array", "items": _ref("Condition"), "minItems": 1}
    return {
        "type": ["object", "null"],
        "properties": {"all": several, "any": several, "not": _ref("Condition"), "expr": {"type": "string"}},
        "additionalProperties": {"type": "object", "propertyNames": {"enum": operators}, "minProperties": 1},
        "minProperties": 1,
    }


def _ref(name: str) -> Schema:
    return {"$ref": REF.format(name=name)}


def _list(name: str) -> Schema:
    return {"type": "array", "items": _ref(name)}
