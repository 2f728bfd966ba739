"""`stagewheel schema`: the JSON Schema of ruleset and scenario files, for completion and checks in editors.

Laws: both are made of the very Structs that read the files, so they can't say anything else than these do.
"""

from typing import Any, Final

import click
import msgspec

from stagewheel.cli.output import emit
from stagewheel.server.rules.events import EVENTS, SETTINGS
from stagewheel.server.rules.schema import DIALECT, REF, Schema, ruleset_schema
from stagewheel.server.scenarios.document import OTHER_WORDS, ScenarioDoc
from stagewheel.server.scenarios.written import WORDS

KINDS: Final = ("ruleset", "scenario")


@click.command()
@click.argument("kind", type=click.Choice(KINDS), default="ruleset")
def command(kind: str) -> None:
    """Print the JSON Schema of ruleset files (or of scenario files)."""
    emit(ruleset_schema() if kind == "ruleset" else scenario_schema())


def scenario_schema() -> Schema:
    """The schema of a scenario file."""
    documents: list[Any] = [ScenarioDoc, *(written.doc for written in WORDS.values())]
    made, definitions = msgspec.json.schema_components(documents, ref_template=REF)
    words: Schema = dict(zip(WORDS, made[1:], strict=True))
    for word in ("delete", "erase_client", "pause", "stop", "resume"):
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
