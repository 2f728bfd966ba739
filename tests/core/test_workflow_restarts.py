"""A workflow survives restart at every step (semantics 6.2), as a property: generated programs and histories
give the same journal and the same effects when the engine is killed before every turn and started again on
what was committed.
"""

import json
from typing import Any

from hypothesis import given, settings, strategies as st

from stagewheel.protocol.journal import WorkflowEnded, WorkflowStarted
from stagewheel.server.core.item import Item, decode_row
from stagewheel.server.core.limits import INSTANCES_MAX, TOKENS_MAX
from stagewheel.server.store.tables import Table
from tests.core.play import HOUR_MS, Play, deals
from tests.core.restarting import RestartingPlay

Doc = dict[str, Any]
MAIL: Doc = {"do": "send_email", "from": "office@example.com", "subject": "{{ vars.n }}", "body": "B"}
PLAIN: list[Doc] = [
    {"do": "add_history", "text": "{{ vars.n }} {{ item.size }} {{ previous.branch }}{{ previous.code }}"},
    {"do": "set", "vars": {"n": "{{ vars.n + 1 }}"}},
    {"do": "set_fields", "fields": {"size": "{{ vars.n }}"}},
    {"do": "change_stage", "stage": "work"},
    {"do": "change_stage", "stage": "new"},
    {"do": "stop", "when": {"vars.n": {"gt": 6}}, "reason": "enough"},
    {"do": "run_workflow", "workflow": "sub", "vars": {"n": "{{ vars.n }}"}},
    {"do": "run_workflow", "workflow": "sub", "wait": True, "on_failure": "continue"},
    MAIL,
    {**MAIL, "wait": False},
]
codes = st.sampled_from(["a", "b"])
plain = st.sampled_from(PLAIN)
waits = st.one_of(
    st.integers(1, 5).map(lambda hours: {"do": "pause", "for": f"{hours}h"}),
    codes.map(lambda code: {"do": "wait_for", "event": "app", "code": code, "timeout": "4h"}),
    st.just({"do": "wait_for", "fields": ["size"], "timeout": "3h", "on_timeout": [PLAIN[1]]}),
    st.just({"do": "pause", "until": "due"}),
)


def nested(below: st.SearchStrategy[list[Doc]]) -> st.SearchStrategy[list[Doc]]:
    """Steps that hold the steps below."""
    parallel = st.builds(
        lambda branches, wait, failure: {
            "do": "parallel",
            "wait": wait,
            "on_failure": failure,
            "branches": [{"steps": steps} for steps in branches],
        },
        st.lists(below, min_size=1, max_size=3),
        st.sampled_from(["all", "first"]),
        st.sampled_from(["stop", "continue"]),
    )
    loop = below.map(
        lambda steps: {"do": "while", "when": {"vars.n": {"lt": 3}}, "steps": [PLAIN[1], *steps]}
    )
    choice = below.map(
        lambda steps: {
            "do": "if",
            "branches": [{"when": {"size": {"gt": 1}}, "steps": steps}],
            "else": [PLAIN[1]],
        }
    )
    return st.lists(st.one_of(plain, waits, parallel, loop, choice), min_size=1, max_size=4)


programs = st.recursive(st.lists(st.one_of(plain, waits), min_size=1, max_size=3), nested, max_leaves=6)
messages = st.one_of(
    st.integers(1, 4).map(lambda hours: ("wait", hours)),
    codes.map(lambda code: ("event", code)),
    st.integers(0, 3).map(lambda size: ("size", size)),
    st.integers(2, 5).map(lambda day: ("due", day)),
    st.sampled_from(["new", "work"]).map(lambda stage: ("move", stage)),
)


def ruleset(program: list[Doc], of_rule: list[Doc]) -> str:
    flows: Doc = {
        "w": {
            "pipeline": "deals",
            "start": {"on_event": "app", "code": "a"},
            "vars": {"n": 0},
            "steps": program,
        },
        "sub": {
            "pipeline": "deals",
            "vars": {"n": 0},
            "if_running": "parallel",
            "steps": [{"do": "pause", "for": "1h"}, {"do": "stop", "when": {"vars.n": {"is": 2}}}, PLAIN[0]],
        },
    }
    steps = [{"do": "set", "vars": {"n": 1}}, *of_rule]
    rule: Doc = {"id": "r", "steps": steps}
    behind: Doc = {"id": "z", "after_previous": True, "action": {"do": "add_history", "text": "behind"}}
    return deals(
        f"- {{id: new}}\n- {json.dumps({'id': 'work', 'rules': [rule, behind]})}\n",
        f"workflows: {json.dumps(flows)}\n",
    )


def played(play: Play, history: list[tuple[str, Any]]) -> list[str]:
    play.channel("email", retry="451 later", times=1, after="5m")
    play.create(fields={"size": 1})
    for what, value in [("event", "a"), *history, ("wait", 6)]:
        if what == "wait":
            play.wait(value * HOUR_MS)
        elif what == "event":
            play.event(value)
        elif what == "move":
            play.move(value)
        else:
            play.update(**{what: value if what == "size" else f"2026-03-0{value}"})
    return play.effects()


@settings(max_examples=25)
@given(programs, st.lists(st.one_of(plain, waits), max_size=3), st.lists(messages, max_size=6))
def test_s6_2_a_cut_before_every_turn_changes_nothing(
    program: list[Doc], of_rule: list[Doc], history: list[tuple[str, Any]]
) -> None:
    rules = ruleset(program, of_rule)
    straight, broken = Play(rules), RestartingPlay(rules)
    effects = played(straight, history)
    assert played(broken, history) == effects
    assert [one for one in broken.records if one.item] == [one for one in straight.records if one.item]
    holds_together(straight)


def holds_together(play: Play) -> None:
    """Every instance ends at most once; those that have not are in the item's row, within the limits."""
    started = [one.instance for one in play.did(WorkflowStarted)]
    ended = [one.instance for one in play.did(WorkflowEnded)]
    assert len(set(ended)) == len(ended)
    row = play.drive.engine.store.snapshot().get(Table.ITEMS, b"deal:1")
    assert row is not None
    item = decode_row(row)
    assert isinstance(item, Item)
    alive = item.more.instances if item.more is not None else []
    assert sorted(set(started) - set(ended)) == [one.number for one in alive]
    assert len(alive) <= INSTANCES_MAX
    for one in alive:
        assert 0 < len(one.tokens) <= TOKENS_MAX
        assert {token.parent for token in one.tokens} - {0} <= {token.step for token in one.tokens}
