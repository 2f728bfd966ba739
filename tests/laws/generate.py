"""Rulesets and histories by chance: whatever a rule author and a company may do, within a small world.

Laws: everything comes from the `Random` that is handed in, so that hypothesis can repeat and shrink it; a
ruleset that is made here has no mistakes; stages, fields and events are few, so that they meet often.
"""

import json
from random import Random
from typing import Any

from stagewheel.protocol.messages import (
    Address,
    AnyCommand,
    ChangeStage,
    Client,
    CreateItem,
    DeleteItem,
    HoldItem,
    RaiseEvent,
    StartWorkflow,
    UpdateItem,
)

STAGES = ("a", "b", "c", "won")
EVENTS = ("one", "two")
ITEMS = ("deal:1", "deal:2", "deal:3")
DATES = ("2026-03-01", "2026-03-03T12:00", "2026-03-05", "2026-03-20", None)
DELAYS = ("10m", "1h", "1d", "3d")
HOUR_MS = 3_600_000

Json = dict[str, Any]


def ruleset(random: Random) -> dict[str, str]:
    """The files of a ruleset (one JSON document)."""
    ids = iter(range(1000))
    stages: list[Json] = []
    for name in STAGES:
        stage: Json = {"id": name, "rules": _rules(random, ids), "triggers": _triggers(random, ids)}
        if name == "won":
            stage["final"] = "success"
        stages.append(stage)
    document = {
        "ruleset": "laws",
        "timezone": "Europe/Rome",
        "entities": {"deal": {"fields": {"size": "number", "note": "text", "due": "date"}}},
        "pipelines": {"deals": {"entity": "deal", "stages": stages}},
        "workflows": {f"w{n}": _workflow(random) for n in range(random.randrange(3))},
    }
    return {"rules.json": json.dumps(document)}


def _condition(random: Random) -> Json:
    plain: list[Json] = [
        {"size": {"gt": random.randrange(4)}},
        {"size": {"empty": random.random() < 0.5}},
        {"note": {"is": random.choice("xyz")}},
        {"note": {"in": ["x", "y"]}},
        {"stage": {"is_not": random.choice(STAGES)}},
    ]
    kind = random.randrange(6)
    if kind == 0:
        return {"any": [random.choice(plain), random.choice(plain)]}
    if kind == 1:
        return {"not": random.choice(plain)}
    if kind == 2:
        return {"all": [random.choice(plain), {"not": random.choice(plain)}]}
    return random.choice(plain)


def _action(random: Random) -> Json:
    """Any action that a rule and a workflow's step may have."""
    text = random.choice(["hello", "size {{ item.size }}", "{{ item.note | default('none') }}"])
    actions: list[Json] = [
        {"do": "notify", "text": text},
        {"do": "add_history", "text": text},
        {"do": "send_email", "subject": "s", "body": text},
        {"do": "send_email", "subject": "t", "body": text, "to": "responsible"},
        {"do": "webhook", "url": "https://hooks.example.com/x"},
        {"do": "set_fields", "fields": {"size": random.randrange(5)}},
        {"do": "set_fields", "fields": {"size": "{{ (item.size | default(0)) + 1 }}"}},
        {"do": "set_fields", "fields": {"due": random.choice(DATES)}},
        {"do": "set_fields", "fields": {"note": random.choice("xyz")}},
        {"do": "change_stage", "stage": random.choice(STAGES)},
        {"do": "change_stage", "stage": random.choice(STAGES)},
    ]
    return random.choice(actions)


def _rules(random: Random, ids: Any) -> list[Json]:
    rules = [_rule(random, f"r{next(ids)}") for _ in range(random.randrange(5))]
    if random.random() < 0.15:  # two that want to move the item at once: one of them is superseded
        moves = [{"do": "change_stage", "stage": stage} for stage in random.sample(STAGES, 2)]
        rules += [{"id": f"r{next(ids)}", "action": move} for move in moves]
    return rules


def _rule(random: Random, id_: str) -> Json:
    rule: Json = {"id": id_, "action": _action(random)}
    chance = random.random
    if chance() < 0.5:
        rule["run"] = _run(random)
    if chance() < 0.3:
        rule["when"] = _condition(random)
        rule["check"] = random.choice(["due", "entry", "both"])
    if chance() < 0.4:
        rule["after_previous"] = True
    for key, values, likely in (
        ("on_skip", ["stop", "continue"], 0.3),
        ("on_failure", ["stop", "continue"], 0.3),
        ("repeat", ["once", {"every": "2d"}], 0.2),
        ("wait", [False], 0.1),
        ("disabled", [True], 0.1),
    ):
        if chance() < likely:
            rule[key] = random.choice(values)
    return rule


def _run(random: Random) -> Json:
    kind = random.randrange(4)
    if kind < 2:
        run: Json = {"after": random.choice(DELAYS)}
        if random.random() < 0.1:
            run["max_late"] = "1h"
        return run
    run = {"at": "due"} if kind == 2 else {random.choice(["before", "after"]): "1d", "of": "due"}
    if random.random() < 0.3:
        run["time"] = "10:00"
    if random.random() < 0.5:
        run["if_past"] = random.choice(["skip", "run"])
    if random.random() < 0.5:
        run["if_empty"] = random.choice(["wait", "skip", "run"])
    if random.random() < 0.2:
        run["follow"] = False
    return run


def _triggers(random: Random, ids: Any) -> list[Json]:
    made: list[Json] = []
    for _ in range(random.randrange(3)):
        trigger: Json = {"id": f"t{next(ids)}", "on": "app", "code": random.choice(EVENTS)}
        if random.random() < 0.2:
            trigger = {
                "id": trigger["id"],
                "on": "field_changed",
                "fields": [random.choice(["size", "note"])],
            }
        if random.random() < 0.4:
            trigger["when"] = _condition(random)
        if random.random() < 0.3:
            trigger["allow_backwards"] = True
        made.append(trigger)
    return made


def _workflow(random: Random) -> Json:
    starts: list[Any] = ["on_create", {"on_change": ["size"]}, {"on_event": "app", "code": "one"}, "by_hand"]
    return {
        "pipeline": "deals",
        "start": random.choice(starts),
        "if_running": random.choice(["ignore", "restart", "parallel"]),
        "vars": {"n": 0},
        "steps": _steps(random, 2),
    }


def _steps(random: Random, depth: int) -> list[Json]:
    return [_step(random, depth) for _ in range(random.randrange(1, 4))]


def _step(random: Random, depth: int) -> Json:
    kind = random.randrange(7)
    if kind == 0:
        return {"do": "pause", "for": random.choice(DELAYS)}
    if kind == 1:
        return {"do": "stop", "when": _condition(random), "reason": "enough"}
    if kind == 2 and depth:
        branch = {"when": _condition(random), "steps": _steps(random, depth - 1)}
        return {"do": "if", "branches": [branch], "else": _steps(random, depth - 1)}
    if kind == 3 and depth:
        more = {"do": "set", "vars": {"n": "{{ vars.n + 1 }}"}}
        return {"do": "while", "when": {"vars.n": {"lt": 3}}, "steps": [*_steps(random, depth - 1), more]}
    if kind == 4 and depth:
        branches = [{"steps": _steps(random, depth - 1)} for _ in range(2)]
        return {"do": "parallel", "branches": branches}
    step = _action(random)
    if random.random() < 0.3:
        step["on_failure"] = "continue"
    return step


# ---------------------------------------------------------------- histories

Happening = AnyCommand | int | dict[str, str] | str
"""A command, time that passes (ms), a new ruleset (its files), or how mails fare from now on."""


def history(random: Random, length: int) -> list[Happening]:
    """What happens, in order."""
    made: list[Happening] = [_create(random, ITEMS[0])]
    while len(made) < length:
        made.append(_happening(random))
    return made


def _create(random: Random, key: str) -> CreateItem:
    fields = {"size": random.randrange(5)} if random.random() < 0.7 else {}
    return CreateItem(
        key,
        pipeline="deals",
        stage=random.choice(STAGES),
        title="T",
        fields=fields,
        client=Client("Ada", [Address("ada@example.com")]) if random.random() < 0.8 else None,
        responsible=random.choice([7, 9, 404]),
    )


def _happening(random: Random) -> Happening:
    key = random.choice(ITEMS)
    kind = random.randrange(21)
    if kind < 6:
        return random.choice([HOUR_MS // 2, HOUR_MS, 25 * HOUR_MS, 80 * HOUR_MS])
    if kind < 8:
        return _create(random, key)
    if kind < 11:
        return ChangeStage(key, stage=random.choice(STAGES), restart=random.random() < 0.2)
    if kind < 14:
        return RaiseEvent(key, type="app", code=random.choice(EVENTS))
    if kind < 17:
        values: list[Json] = [
            {"size": random.randrange(5)},
            {"note": random.choice(["x", "y", None])},
            {"due": random.choice(DATES)},
        ]
        return UpdateItem(key, fields=random.choice(values))
    if kind == 17:
        mode = random.choice(["pause", "resume", "stop", "resume"])
        return HoldItem(key, mode=mode, restart=mode == "resume" and random.random() < 0.3)
    if kind == 18:
        return DeleteItem(key) if random.random() < 0.5 else StartWorkflow(key, workflow="w0")
    if random.random() < 0.2:
        return ruleset(random)
    return random.choice(["refused", "refused", "unknown", "delivered"])
