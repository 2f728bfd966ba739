"""`stagewheel schema ruleset`: the JSON Schema of ruleset files, for completion and checks in editors.

Laws: it is made of the very Structs that read the files, so it can't say anything else than they do; what a
Struct leaves open (actions and steps are told apart by their `do`) is closed here from the tables of actions
and steps. Conditions are checked by `stagewheel check`, which knows the fields; the schema knows their shape.
"""

from collections.abc import Mapping
from typing import Any, Final

import click
import msgspec

from stagewheel.cli.output import emit
from stagewheel.server.rules.document import RulesetDoc, TriggerDoc
from stagewheel.server.rules.document_actions import ACTIONS
from stagewheel.server.rules.document_steps import STEPS, StepFrame
from stagewheel.server.rules.events import EVENTS, SETTING_SCHEMA, SETTINGS
from stagewheel.server.scenarios.document import OTHER_WORDS, ScenarioDoc
from stagewheel.server.scenarios.written import WORDS

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
REF: Final = "#/$defs/{name}"
CONDITION: Final = {"$ref": "#/$defs/condition"}
KINDS: Final = ("ruleset", "scenario")
Schema = dict[str, Any]


@click.command()
@click.argument("kind", type=click.Choice(KINDS), default="ruleset")
def command(kind: str) -> None:
    """Print the JSON Schema of ruleset files (or of scenario files)."""
    emit(ruleset_schema() if kind == "ruleset" else scenario_schema())


def ruleset_schema() -> Schema:
    """The schema of a ruleset file."""
    documents = [RulesetDoc, TriggerDoc, *ACTIONS.values(), *STEPS.values()]
    made, definitions = msgspec.json.schema_components(documents, ref_template=REF)
    definitions = {name: dict(one) for name, one in definitions.items()}
    definitions["condition"] = _condition()
    acts = _branches(ACTIONS, definitions)
    as_steps = _branches(ACTIONS, definitions, _properties_of(StepFrame))
    definitions["action"] = _told_apart(acts)
    definitions["step"] = _told_apart({**as_steps, **_branches(STEPS, definitions)})
    for name, one in definitions.items():
        _close(name, one)
    return {"$schema": DIALECT, "title": "stagewheel ruleset", **made[0], "$defs": definitions}


def scenario_schema() -> Schema:
    """The schema of a scenario file."""
    documents: list[Any] = [ScenarioDoc, *(written.doc for written in WORDS.values())]
    made, definitions = msgspec.json.schema_components(documents, ref_template=REF)
    words: Schema = dict(zip(WORDS, made[1:], strict=True))
    for word in ("delete", "pause", "stop", "resume"):
        words[word] = {"anyOf": [words[word], {"type": "string"}]}
    properties = {**words, **{word: {} for word in OTHER_WORDS}}
    step = {"type": "object", "properties": properties, "minProperties": 1, "maxProperties": 1}
    definitions["step"] = {**step, "additionalProperties": False}
    event = definitions["EventDoc"]["properties"]
    event["on"] = {"type": "string", "enum": sorted(EVENTS), "default": "app"}
    event |= {setting: {"type": "string"} for setting in sorted(SETTINGS)}
    scenario = definitions["ScenarioDoc"]
    scenario["properties"]["steps"] = {"type": "array", "items": {"$ref": "#/$defs/step"}}
    return {"$schema": DIALECT, "title": "stagewheel scenario", **made[0], "$defs": definitions}


def _properties_of(kind: Any) -> Schema:
    """The properties of one Struct."""
    _, definitions = msgspec.json.schema_components([kind], ref_template=REF)
    properties: Schema = definitions[kind.__name__]["properties"]
    return properties


def _branches(kinds: Mapping[str, Any], definitions: Schema, frame: Schema | None = None) -> Schema:
    """The schema of each Struct by the word that `do` says; `frame` are properties that all of them have."""
    branches: Schema = {}
    for name, kind in kinds.items():
        own = definitions[kind.__name__]
        properties = {**(frame or {}), **own["properties"], "do": {"const": name}}
        required = sorted({*own.get("required", ()), "do"})
        shape = {"properties": _closed(properties), "required": required}
        branches[name] = {**shape, "additionalProperties": False}
    return branches


def _told_apart(branches: Schema) -> Schema:
    """A mapping whose `do` says which branch it is."""
    told = [{"if": {"properties": {"do": {"const": name}}}, "then": one} for name, one in branches.items()]
    words = {"do": {"type": "string", "enum": list(branches)}}
    return {"type": "object", "properties": words, "required": ["do"], "allOf": told}


def _close(name: str, definition: Schema) -> None:
    """Fill what the Structs leave open."""
    if "properties" in definition:
        definition["properties"] = _closed(definition["properties"])
    if name == "StageDoc":
        trigger = {"$ref": "#/$defs/TriggerDoc"}
        definition["properties"]["triggers"] = {"type": "array", "items": trigger}
    if name == "TriggerDoc":
        definition["properties"]["on"] = {"type": "string", "enum": sorted(EVENTS)}
        definition["properties"] |= dict.fromkeys(sorted(SETTINGS), SETTING_SCHEMA)


def _closed(properties: Schema) -> Schema:
    """Properties that hold actions, steps and conditions, by their names."""
    closed = dict(properties)
    if "action" in closed:
        closed["action"] = {"$ref": "#/$defs/action"}
    for name in ("steps", "else"):
        if name in closed:
            closed[name] = {"type": "array", "items": {"$ref": "#/$defs/step"}}
    if "when" in closed:
        closed["when"] = CONDITION
    return closed


def _condition() -> Schema:
    """Tests by path, and their combinations."""
    several = {"type": "array", "items": CONDITION, "minItems": 1}
    return {
        "type": "object",
        "minProperties": 1,
        "properties": {"all": several, "any": several, "not": CONDITION},
        "additionalProperties": {"type": "object", "minProperties": 1},
    }
