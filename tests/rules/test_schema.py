"""The JSON Schema for editors says what the reader says: examples fit, mistakes do not."""

import re
from typing import Any

import pytest

from stagewheel.server.rules.mistakes import Log
from stagewheel.server.rules.schema import ruleset_schema
from stagewheel.server.rules.yaml import load
from tests.conftest import REPOSITORY
from tests.rules.making import in_stage, mistakes, with_stage

SCHEMA = ruleset_schema()
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def fits(value: Any, schema: Any) -> bool:
    """Whether a value is valid, by the keywords that our schema uses."""
    if isinstance(schema, bool):
        return schema
    unknown = (
        schema.keys() - KEYWORDS.keys() - {"$schema", "$defs", "title", "description", "default", "then"}
    )
    assert not unknown, f"the schema uses {unknown}, which this test does not know"
    return all(KEYWORDS[key](value, said, schema) for key, said in schema.items() if key in KEYWORDS)


def _type(value: Any, said: Any, schema: Any) -> bool:
    wanted = [t for name in ([said] if isinstance(said, str) else said) for t in TYPES[name]]
    return isinstance(value, tuple(wanted)) and (not isinstance(value, bool) or bool in wanted)


def _extra(value: Any, said: Any, schema: Any) -> bool:
    if not isinstance(value, dict):
        return True
    return all(fits(one, said) for key, one in value.items() if key not in schema.get("properties", {}))


KEYWORDS: dict[str, Any] = {
    "$ref": lambda v, said, s: fits(v, SCHEMA["$defs"][said.rpartition("/")[2]]),
    "type": _type,
    "enum": lambda v, said, s: v in said,
    "const": lambda v, said, s: v == said,
    "anyOf": lambda v, said, s: any(fits(v, one) for one in said),
    "allOf": lambda v, said, s: all(fits(v, one) for one in said),
    "if": lambda v, said, s: not fits(v, said) or fits(v, s["then"]),
    "required": lambda v, said, s: not isinstance(v, dict) or v.keys() >= set(said),
    "properties": lambda v, said, s: (
        not isinstance(v, dict) or all(fits(v[key], one) for key, one in said.items() if key in v)
    ),
    "additionalProperties": _extra,
    "propertyNames": lambda v, said, s: not isinstance(v, dict) or all(fits(key, said) for key in v),
    "items": lambda v, said, s: not isinstance(v, list) or all(fits(one, said) for one in v),
    "pattern": lambda v, said, s: not isinstance(v, str) or re.search(said, v) is not None,
    "minimum": lambda v, said, s: not isinstance(v, int) or v >= said,
    "minItems": lambda v, said, s: not isinstance(v, list) or len(v) >= said,
    "minProperties": lambda v, said, s: not isinstance(v, dict) or len(v) >= said,
}


def document(text: str) -> Any:
    log = Log()
    value = load("x.yaml", text, log)
    assert not log.mistakes
    return value


@pytest.mark.parametrize("path", ["rulesets/sales.yaml", "lead-auto-reply/rules.yaml"])
def test_the_examples_fit_the_schema(path: str) -> None:
    assert fits(document((REPOSITORY / "examples" / path).read_text()), SCHEMA)


WRONG = [
    in_stage("- {id: a}\n"),
    in_stage("- {id: a b, action: {do: notify, text: x}}\n"),
    in_stage("- {id: a, action: {do: notfy, text: x}}\n"),
    in_stage("- {id: a, action: {do: notify, txt: x}}\n"),
    in_stage("- {id: a, runs: x, action: {do: notify, text: x}}\n"),
    in_stage("- {id: a, run: later, action: {do: notify, text: x}}\n"),
    in_stage("- {id: a, wait: 1, action: {do: notify, text: x}}\n"),
    in_stage("- {id: a, when: {size: {more: 1}}, action: {do: notify, text: x}}\n"),
    in_stage("- {id: a, when: {any: []}, action: {do: notify, text: x}}\n"),
    in_stage("- {id: a, action: {do: send_email, subject: x, body: y, to: {use: middle}}}\n"),
    with_stage("final: lost"),
    with_stage("triggers: [{id: t, on: form_submited}]"),
    with_stage("triggers: [{id: t, on: app, code: 5}]"),
    with_stage(more="workflows: {w: {pipeline: deals, steps: [{do: stp}]}}\n"),
    with_stage(more="workflows: {w: {pipeline: deals, steps: [{do: if, branches: [{steps: []}]}]}}\n"),
    with_stage(more="colour: red\n"),
    in_stage(
        "- {id: a, steps: [{do: parallel, branches: [{when: {size: {gt: 1}}, steps: [{do: stop}]}]}]}\n"
    ),
    in_stage("- {id: a, steps: [{do: wait_for, event: form_submited}]}\n"),
    in_stage("- {id: a, steps: [{do: wait_for, fields: [size], after: 1d}]}\n"),
    in_stage("- {id: a, action: {do: run_workflow, workflow: w, waits: true}}\n"),
]


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_what_an_editor_marks_is_a_mistake_for_check_too(text: str) -> None:
    assert not fits(document(text), SCHEMA)
    assert mistakes({"rules.yaml": text})


STEPS_OF_A_RULE = """\
- id: a
  steps:
    - {do: pause, for: 1d}
    - do: parallel
      wait: first
      on_failure: continue
      branches:
        - steps: [{do: wait_for, event: form_submitted, form: brief, timeout: 3d, on_timeout: [{do: stop}]}]
        - steps: [{do: wait_for, fields: [size], when: {size: {gt: 1}}}]
    - {do: run_workflow, workflow: w, wait: true, vars: {n: 1}, on_failure: continue}
- {id: b, action: {do: run_workflow, workflow: w, vars: {n: 1}, wait: true}}
"""


def test_the_steps_of_a_workflow_fit_the_schema() -> None:
    workflow = (
        "workflows: {w: {pipeline: deals, vars: {n: 0}, steps: [{do: stop, reason: '{{ vars.n }}'}]}}\n"
    )
    text = in_stage(STEPS_OF_A_RULE) + workflow
    assert mistakes({"rules.yaml": text}) == []
    assert fits(document(text), SCHEMA)


def test_the_schema_shows_no_key_that_a_document_can_not_have() -> None:
    assert "place_" not in str(SCHEMA)
    assert "Place" not in SCHEMA["$defs"]
