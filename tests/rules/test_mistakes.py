"""Every mistake is found at once, each with its file and line, and nothing else is."""

import re

import pytest

from tests.rules.making import in_stage, mistakes

HEAD = """\
ruleset: r
timezone: Europe/Rome
entities:
  deal:
    fields: {amount: money, due: date, name: text, size: number, paid: boolean}
"""
PIPELINE = """\
pipelines:
  deals:
    entity: deal
    stages:
    - id: new
    - {id: done, final: success}
"""


def planted(text: str) -> tuple[dict[str, str], list[str]]:
    """The text without its marks `#! said`, and what is expected: `line said`."""
    expected = []
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        code, mark, said = line.partition("  #! ")
        lines.append(code)
        if mark:
            expected += [f"{number} {one}" for one in said.split(" && ")]
    return {"rules.yaml": "\n".join(lines) + "\n"}, expected


def held_against(found: list[str], expected: list[str]) -> None:
    assert len(found) == len(expected), "\n".join(found)
    for seen, wanted in zip(found, expected, strict=True):
        line, _, said = wanted.partition(" ")
        assert re.match(rf"rules\.yaml:{line}: ", seen), f"{seen} is not in line {line}"
        assert said in seen


RULES = """\
ruleset: r
timezone: Europe/Rom  #! unknown time zone 'Europe/Rom'
holidays: {}  #! unknown key 'holidays' of a ruleset file
calendar: {}  #! a calendar needs 'week'
fallback_user: Boss  #! expected an employee's id (a whole number from 1), got 'Boss'
entities:
  deal:
    fields:
      amount: mony  #! expected one of text, number, money
      client: text  #! 'client' is a name of the language
      due: date
      name: {type: text, default: 5}  #! the default does not fit
      "my-field": text  #! expected a name of letters, digits and '_'
      size: number
  lead:
    field: {}  #! unknown key 'field' of an entity; did you mean 'fields'?
pipelines:
  deals:
    entity: dael  #! unknown entity 'dael'; did you mean 'deal'?
    stages:
    - id: new
  other:
    entity: deal
    stages:
    - id: new
      final: sucess  #! expected one of success, failure, got 'sucess'; did you mean 'success'?
      rules: {}  #! expected a list, each of it a rule as a mapping
    - id: new  #! id 'new' stands twice; it is first in rules.yaml:25
    - name: nameless  #! a stage needs 'id'
    - [x]  #! expected a stage as a mapping
workflows:
  w:
    pipeline: othr  #! there is no pipeline 'othr'; did you mean 'other'?
    steps: []
"""


def test_mistakes_of_the_frame_are_found_all_at_once() -> None:
    files, expected = planted(RULES)
    held_against(mistakes(files), expected)


STAGE = """\
- action: {do: notify, text: x}  #! a rule needs 'id'
- {id: a}  #! a rule has 'action' or 'steps'; this one has neither
- {id: a b, action: {do: notify, text: x}}  #! expected an id of letters
- id: b
  runs: {after: 1d}  #! unknown key 'runs' of a rule; did you mean 'run'?
  hours: company  #! company hours need 'calendar:'
  action: {do: notfy, text: x}  #! unknown action 'notfy'; did you mean 'notify'?
- id: c
  run: {after: 1x}  #! unknown unit 'x'
  check: never  #! expected one of due, entry, both
  action: {do: create_task, name: x, dedline: {after: 1d}}  #! unknown key 'dedline' of create_task
- id: d
  run: {after: 11y}  #! longer than 10 years
  action: {do: notify, txt: x}  #! notify needs 'text' && unknown key 'txt' of notify
- id: e
  on_leave: withdraw  #! only an action that leaves through a channel can be withdrawn
  run: {after: 3wd}  #! '3wd' needs the company's working time
  action: {do: notify, text: "{{ item.nam }}"}  #! unknown field 'nam' of deal; did you mean 'name'?
- id: f
  run: {before: 1d}  #! 'before' needs 'of', the date field
  action: {do: set_fields, fields: {nmae: x}}  #! unknown field 'nmae' of deal; did you mean 'name'?
- id: g
  run: {at: name}  #! 'name' is text; a rule waits for a date or datetime field
  action: {do: set_fields, fields: {size: many}}  #! 'size' is number: a number is expected, not 'many'
- id: h
  run: {after: 1d, of: dew}  #! unknown field 'dew' of deal; did you mean 'due'?
  action: {do: set_fields, fields: {stage: done}}  #! 'stage' can't be set
- id: i
  run: {after: 1d, before: 1d, of: due}  #! this one says both 'after' and 'before'
  action: {do: set, vars: {x: 1}}  #! variables exist in workflows only
- id: j
  run: {after: 1d, time: "10:00"}  #! 'time' needs a date field
  action: {do: change_stage, stage: dne}  #! pipeline 'deals' has no stage 'dne'; did you mean 'done'?
- id: k
  run: {at: due, time: "25:00"}  #! is no time of day
  action: {do: change_responsible, to: somebody}  #! expected an employee's id
- id: l
  when: {size: {contains: x}}  #! 'contains' does not fit 'size', which is number
  action: {do: send_email, subject: x, body: no.txt.j2}  #! there is no template 'no.txt.j2'
- id: m
  when: {any: [{size: {gt: 1}}, {nam: {is: x}}]}  #! unknown field 'nam' of deal; did you mean 'name'?
  action: {do: delete_item, erase: perhaps}  #! expected true or false
- id: n
  again_on_change: true  #! it needs a date field ('of' or 'at' in 'run')
  action: {do: send_email, subject: x, body: y, from: me}  #! expected 'auto' or an e-mail address
- id: o
  repeat: {every: 7 days}  #! '7' is no duration
  action: {do: send_email, subject: x, body: y, to: {use: second}}  #! expected one of first, last
- id: p
  action: {do: webhook, url: "{{ item.name }}/x"}  #! a host that is written out
- id: q
  action: {do: webhook, url: "https://{{ item.name }}.example.com"}  #! a host that is written out
- id: r
  action: {do: webhook, url: "https://x.example.com", body: x, json: {}}  #! 'body' or 'json', not both
- id: s
  action: {do: webhook, url: "https://x.example.com", headers: {"a b": x}}  #! is no name of a header
- id: t
  action: {do: webhook, url: "https://x.example.com", method: get}  #! expected one of GET, POST
- id: t2
  action: {do: webhook, url: "https://x.example.com", sign: "s3cret key!"}  #! not the secret itself
- id: t3
  action: {do: webhook, url: "https://x.example.com", method: GET, body: x}  #! a GET has no body
- id: t4
  action: {do: webhook, url: "https://x.example.com", auth: c, headers: {authorization: x}}  #! 'auth' makes
- id: u
  action: {do: create_from, pipeline: dels}  #! there is no pipeline 'dels'; did you mean 'deals'?
- id: v
  action: {do: create_from, pipeline: deals, stage: nw}  #! pipeline 'deals' has no stage 'nw'
- id: w
  action: {do: create_from, pipeline: deals, copy: [nme]}  #! unknown field 'nme' of deal
- id: x
  action: {do: notify, to: [], text: x}  #! the list of recipients is empty
- id: y
  action: {text: x}  #! an action needs 'do', its kind
- id: z
  action: x  #! an action is a mapping with 'do'
- id: z  #! the rule id 'z' stands twice
  action: {do: notify, text: "{{ item.name"}  #! the template
"""


def test_mistakes_of_rules_are_found_all_at_once() -> None:
    files, expected = planted(STAGE)
    whole = in_stage(files["rules.yaml"])
    first = whole.splitlines().index("      - action: {do: notify, text: x}") + 1
    pairs = [one.split(" ", 1) for one in expected]
    moved = [f"{int(line) + first - 1} {said}" for line, said in pairs]
    held_against(mistakes({"rules.yaml": whole}), moved)


TRIGGERS = """\
      - {id: a, on: form_submited, form: x}  #! unknown event 'form_submited'; did you mean 'form_submitted'?
      - {id: b, on: form_submitted, page: x}  #! 'page' is no setting of a trigger on 'form_submitted'; it has
      - {id: c, on: app}  #! a trigger on 'app' needs 'code'
      - {id: d, on: site_visit, page: 5}  #! expected text, got 5
      - {id: e, on: field_changed, fields: [nam]}  #! unknown field 'nam' of deal
      - {id: f, on: payment_received, fields: [name]}  #! 'fields' is a setting of 'field_changed' only
      - {id: g, on: app, code: x, when: {trigger: {is: 1}}}  #! 'trigger' is not one value
      - {id: g, on: app, code: x}  #! the trigger id 'g' stands twice
      - {on: app, code: x}  #! a trigger needs 'id'
      - {id: h}  #! a trigger needs 'on'
      - {id: i, on: app, code: x, as_user: 0}  #! expected an employee's id
      - {id: j, on: app, code: x, allow_backward: true}  #! did you mean 'allow_backwards'?
      - form  #! expected a trigger as a mapping
"""


def test_mistakes_of_triggers_are_found_all_at_once() -> None:
    stages = PIPELINE.replace("    - {id: done, final: success}\n", "    - id: done\n      triggers:\n")
    files, expected = planted(HEAD + stages + TRIGGERS)
    held_against(mistakes(files), expected)


WORKFLOWS = """\
workflows:
  a:
    pipeline: deals
    start: on_crate  #! expected one of by_hand, on_create, got 'on_crate'; did you mean 'on_create'?
    vars: {round: 0}
    steps:
    - {do: if, branches: []}  #! an 'if' needs at least one branch
    - {do: if, branches: [{steps: []}]}  #! a branch needs 'when'
    - {do: while, when: {vars.rund: {lt: 2}}, steps: []}  #! unknown variable 'rund'; did you mean 'round'?
    - {do: while, when: {vars.round: {is: x}}, steps: []}  #! a number is expected
    - {do: pause}  #! a pause says 'for' (a duration) or 'until'
    - {do: pause, for: 7 days}  #! '7' is no duration
    - {do: pause, until: name}  #! 'name' is text
    - {do: pause, for: 1d, time: "10:00"}  #! 'time' needs 'until'
    - {do: wait_for, event: x}  #! unknown event 'x'
    - {do: wait_for, timeout: 1d}  #! says 'event' (its type) or 'fields' (those that change)
    - {do: wait_for, event: form_submitted, page: x}  #! 'page' is no setting of the event 'form_submitted'
    - {do: wait_for, event: app}  #! needs 'code'
    - {do: wait_for, fields: [nam]}  #! unknown field 'nam'
    - {do: wait_for, event: invoice_paid, fields: [name]}  #! 'fields' is a setting of 'field_changed' only
    - {do: wait_for, fields: [name], on_timeout: [{do: stop}]}  #! 'on_timeout' needs 'timeout'
    - {do: wait_for, fields: [name], timeout: soon}  #! 'soon' is no duration
    - {do: parallel, branches: []}  #! a 'parallel' needs at least one branch
    - {do: parallel, branches: [{steps: []}]}  #! the branch has no steps
    - {do: parallel, branches: [{step: x, steps: [{do: stop}]}]}  #! unknown key 'step' of a branch
    - {do: parallel, wait: none, branches: [{steps: [{do: stop}]}]}  #! expected one of all, first, got 'none'
    - {do: run_workflow, workflow: cc}  #! there is no workflow 'cc'; did you mean 'c'?
    - {do: run_workflow, workflow: c, vars: {x: 1}}  #! 'c' has no variable 'x'
    - {do: run_workflow, workflow: f}  #! 'f' is of pipeline others, not deals
    - {do: stp}  #! unknown step 'stp'; did you mean 'stop'?
    - {do: stop, whn: x}  #! unknown key 'whn' of a 'stop' step; did you mean 'when'?
    - {do: send_email, subject: x, body: y, when: {nam: {is: x}}}  #! unknown field 'nam'
    - {do: send_email, subject: "{{ vars.rund }}", body: y}  #! unknown variable 'rund'
    - {do: set_fields, fields: {paid: 5}}  #! 'paid' is boolean
    - {do: notify, text: x, on_failure: ignore}  #! expected one of stop, continue
    - pause  #! a step is a mapping with 'do'
  b: {pipeline: deals, steps: []}  #! the workflow has no steps
  c:
    pipeline: deals
    start: {on_change: [nam]}  #! unknown field 'nam'
    steps: [{do: stop}]
  d:
    pipeline: deals
    start: {on_event: call_mised}  #! unknown event 'call_mised'; did you mean 'call_missed'?
    steps: [{do: stop}]
  e:
    pipeline: deals
    start: {on_create: true, on_event: app, code: x}  #! one of on_create, on_change and on_event
    if_running: parrallel  #! expected one of ignore, restart, parallel
    until: never  #! expected one of stage_change
    steps: [{do: stop}]
  f: {pipeline: others, steps: [{do: stop}]}  #! there is no pipeline 'others'
"""


def test_mistakes_of_workflows_are_found_all_at_once() -> None:
    files, expected = planted(HEAD + PIPELINE + WORKFLOWS)
    held_against(mistakes(files), expected)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "there is no ruleset file"),
        ({"a.txt": "x"}, "there is no ruleset file"),
        ({"a.yaml": ""}, "there is no ruleset file"),
        ({"a.yaml": "- x"}, "expected a ruleset file as a mapping"),
        ({"a.yaml": "ruleset: r"}, "the ruleset has no pipelines"),
        ({"a.yaml": HEAD.replace("ruleset: r\n", "") + PIPELINE}, "no file says 'ruleset:'"),
        (
            {"a.yaml": HEAD + PIPELINE, "b.yaml": "ruleset: s"},
            "b.yaml:1: ruleset: 'ruleset' is 'r' in a.yaml:1",
        ),
        ({"a.yaml": HEAD + PIPELINE, "b.yaml": PIPELINE}, "b.yaml:2: pipelines.deals: 'deals' stands twice"),
        ({"a.yaml": HEAD + PIPELINE, "b.yaml": "entities: {deal: {}}"}, "first in a.yaml:4"),
        ({"a.yaml": HEAD + "pipelines: {deals: {entity: deal, stages: []}}"}, "the pipeline has no stages"),
    ],
)
def test_a_ruleset_that_does_not_hold_together_is_refused(files: dict[str, str], said: str) -> None:
    found = mistakes(files)
    assert len(found) == 1, found
    assert said in found[0]


def test_mistakes_of_several_files_come_in_their_order() -> None:
    files = {
        "b.yaml": "workflows: {w: {pipeline: deals, steps: [{do: stp}]}}",
        "a.yaml": HEAD.replace("money", "mony") + PIPELINE,
    }
    assert [one.split(":")[:2] for one in mistakes(files)] == [["a.yaml", "5"], ["b.yaml", "1"]]


def test_a_template_file_with_mistakes_names_its_own_line() -> None:
    rule = "- {id: a, action: {do: send_email, subject: x, body: a.txt.j2}}\n"
    found = mistakes({"rules.yaml": in_stage(rule), "a.txt.j2": "Dear {{ client.name }},\n{{ item.nam }}\n"})
    assert found == ["a.txt.j2:2: : unknown field 'nam' of deal; did you mean 'name'?"]


def test_a_ruleset_without_mistakes_has_none() -> None:
    assert mistakes({"rules.yaml": HEAD + PIPELINE}) == []
