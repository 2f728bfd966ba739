"""The schemas that editors use say what the readers read: examples pass, mistakes do not."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from stagewheel.cli.main import main
from stagewheel.cli.schema import scenario_schema
from stagewheel.server.rules import yaml
from stagewheel.server.rules.action_table import ACTIONS
from stagewheel.server.rules.document_steps import STEPS
from stagewheel.server.rules.mistakes import Log
from stagewheel.server.rules.schema import ruleset_schema
from tests.conftest import REPOSITORY

EXAMPLES = REPOSITORY / "examples"
RULESETS = sorted(
    path
    for path in EXAMPLES.rglob("*.yaml")
    if "ruleset:" in (text := path.read_text(encoding="utf-8")) and "scenario:" not in text
)
SCENARIOS = sorted((EXAMPLES / "scenarios").glob("*/*.yaml"))
TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}


def complaints(schema: dict[str, Any], value: Any, root: dict[str, Any], path: str = "") -> list[str]:
    """What of a value does not fit: the part of JSON Schema that our schemas use, and no more."""
    known = {
        *("$ref", "$schema", "$defs", "title", "description", "default", "type", "enum", "const", "anyOf"),
        *("allOf", "if", "then", "properties", "required", "additionalProperties", "propertyNames"),
        *("items", "pattern", "minimum", "maximum", "minProperties", "maxProperties", "minItems"),
    }
    assert set(schema) <= known, f"a keyword that this check does not know: {set(schema) - known}"
    found: list[str] = []
    if "$ref" in schema:
        found += complaints(root["$defs"][schema["$ref"].rpartition("/")[2]], value, root, path)
    if "anyOf" in schema and not any(not complaints(one, value, root, path) for one in schema["anyOf"]):
        found.append(f"{path}: fits none")
    for one in schema.get("allOf", ()):
        if "if" not in one or not complaints(one["if"], value, root, path):
            found += complaints(one["then"], value, root, path)
    wanted = schema.get("type")
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if wanted is not None and not any(isinstance(value, TYPES[one]) for one in wanted):
        return [*found, f"{path}: is no {' or '.join(wanted)}"]
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        found.append(f"{path}: {value!r} is not one of them")
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        found.append(f"{path}: {value!r} does not match")
    if isinstance(value, dict):
        found += _of_mapping(schema, value, root, path)
    if isinstance(value, list):
        for number, one in enumerate(value):
            found += complaints(schema.get("items", {}), one, root, f"{path}[{number}]")
    return found


def _of_mapping(schema: dict[str, Any], value: dict[str, Any], root: dict[str, Any], path: str) -> list[str]:
    properties = schema.get("properties", {})
    found = [f"{path}: needs {name}" for name in schema.get("required", ()) if name not in value]
    if not schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", len(value)):
        found.append(f"{path}: has {len(value)} keys")
    for name, one in value.items():
        other = schema.get("additionalProperties", True)
        if name in properties:
            found += complaints(properties[name], one, root, f"{path}.{name}")
        elif other is False:
            found.append(f"{path}: {name} is unknown")
        elif isinstance(other, dict):
            found += complaints(other, one, root, f"{path}.{name}")
        found += complaints(schema.get("propertyNames", {}), name, root, f"{path}.{name}")
    return found


def load(path: Path) -> Any:
    return yaml.load(str(path), path.read_text(encoding="utf-8"), Log())


@pytest.mark.parametrize("path", RULESETS, ids=lambda path: path.stem)
def test_the_rulesets_of_the_examples_fit(path: Path) -> None:
    schema = ruleset_schema()
    assert complaints(schema, load(path), schema) == []


@pytest.mark.parametrize("path", [p for p in SCENARIOS if p.parent.name != "rules"], ids=lambda p: p.stem)
def test_the_scenarios_of_the_examples_fit(path: Path) -> None:
    schema = scenario_schema()
    assert complaints(schema, load(path), schema) == []


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ("{id: a, action: {do: send_mail}}", "'send_mail' is not one of them"),
        ("{id: a, action: {do: notify}}", "needs text"),
        ("{id: a, action: {do: notify, text: x, subject: y}}", "subject is unknown"),
        ("{id: a, actoin: {do: notify, text: x}}", "actoin is unknown"),
        ("{id: a, action: {do: notify, text: x}, when: {amount: 3}}", "is no object"),
        ("{id: a b, action: {do: notify, text: x}}", "'a b' does not match"),
        ("{id: a, on_skip: maybe, action: {do: notify, text: x}}", "'maybe' is not one of them"),
    ],
)
def test_a_mistake_in_a_rule_is_noticed(rule: str, complaint: str) -> None:
    text = f"{{ruleset: r, pipelines: {{p: {{entity: deal, stages: [{{id: s, rules: [{rule}]}}]}}}}}}"
    schema = ruleset_schema()
    found = complaints(schema, yaml.load("r.yaml", text, Log()), schema)
    assert any(complaint in one for one in found), found


def test_every_action_and_step_of_the_language_is_offered() -> None:
    definitions = ruleset_schema()["$defs"]
    assert definitions["Action"]["properties"]["do"]["enum"] == sorted(ACTIONS)
    assert definitions["Step"]["properties"]["do"]["enum"] == sorted({**ACTIONS, **STEPS})


def test_a_step_may_have_what_an_action_of_a_rule_may_not() -> None:
    definitions = ruleset_schema()["$defs"]
    step = {"do": "notify", "text": "x", "name": "tell", "on_failure": "continue"}
    root = {"$defs": definitions}
    assert complaints(definitions["Step"], step, root) == []
    assert complaints(definitions["Action"], step, root) != []


@pytest.mark.parametrize("kind", ["ruleset", "scenario"])
def test_the_command_prints_it_as_json(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", kind]) == 0
    assert json.loads(capsys.readouterr().out)["title"].endswith(f"stagewheel {kind}")
