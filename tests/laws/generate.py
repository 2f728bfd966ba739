"""Rulesets and histories by chance: whatever a rule author and a company may do, within a small world.

Laws: everything comes from the `Random` that is handed in, so that hypothesis can repeat and shrink it; a
ruleset that is made here has no mistakes; stages, fields and events are few, so that they meet often.
"""

import json
from random import Random
from typing import Any

from stagewheel.protocol.messages import (
    Absence,
    Address,
    AnyCommand,
    ChangeStage,
    Client,
    CreateItem,
    DeleteItem,
    Employee,
    Hold,
    HoldItem,
    PutClient,
    PutEmployee,
    PutTask,
    RaiseEvent,
    StartWorkflow,
    UpdateItem,
    UpdateTask,
)

STAGES = ("a", "b", "c", "won")
PIPELINES = ("deals", "back")
EVENTS = ("one", "two")
STATUSES = ("completed", "overdue", "in_progress")
ITEMS = ("deal:1", "deal:2", "deal:3")
DATES = ("2026-03-01", "2026-03-03T12:00", "2026-03-05", "2026-03-20", None)
DELAYS = ("10m", "1h", "1d", "3d", "1mo", "1wd", "5wh")
HOURS = ("company", "responsible", "client", ["company", "client"], ["responsible", "client"])
ZONES = ("", "Asia/Tokyo", "America/New_York")
CLIENTS = ("contact:1", "contact:2")
CALENDAR = {
    "week": {"mon-fri": ["09:00-13:00", "14:00-18:00"], "sat": ["09:00-12:00"]},
    "closed": ["2026-03-06", "2026-04-06"],
}
HOUR_MS = 3_600_000

Json = dict[str, Any]


def ruleset(random: Random) -> dict[str, str]:
    """The files of a ruleset (one JSON document)."""
    ids = iter(range(1000))
    document: Json = {
        "ruleset": "laws",
        "timezone": "Europe/Rome",
        "entities": {"deal": {"fields": {"size": "number", "note": "text", "due": "date"}}},
        "calendar": CALENDAR,
        "quiet_hours": {"from": "20:00", "to": "08:00"},
        "pipelines": {
            "deals": {"entity": "deal", "stages": _stages(random, ids)},
            "back": {"entity": "deal", "timezone": "America/New_York", "stages": _stages(random, ids)},
        },
        "workflows": {f"w{n}": _workflow(random) for n in range(random.randrange(3))},
    }
    if random.random() < 0.7:
        over, window = random.choice(["skip", "wait"]), random.choice(["6h", "10d"])
        document["caps"] = {"email": {"limit": f"1 per {window}", "over": over}}
    return {"rules.json": json.dumps(document)}


def _stages(random: Random, ids: Any) -> list[Json]:
    stages: list[Json] = []
    for name in STAGES:
        stage: Json = {"id": name, "rules": _rules(random, ids), "triggers": _triggers(random, ids)}
        if name == "won":
            stage["final"] = "success"
        stages.append(stage)
    return stages


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
        {"do": "change_pipeline", "pipeline": random.choice(PIPELINES)},
        {"do": "set_fields", "fields": {"responsible": random.choice([7, 9])}},
        {"do": "create_task", "name": "t", "deadline": random.choice([{"after": "1d"}, {"at": "due"}])},
        {"do": "complete_tasks"},
    ]
    if random.random() < 0.02:
        return {"do": "delete_item"}
    if random.random() < 0.25:  # what goes out is what most of the laws are about
        return {"do": "send_email", "subject": "u", "body": text}
    return random.choice(actions)


def _rules(random: Random, ids: Any) -> list[Json]:
    rules: list[Json] = []
    for _ in range(random.randrange(5)):
        rules.append(_rule(random, next(ids), rules[-1] if rules else None))
    if random.random() < 0.15:  # two that want to move the item at once: one of them is superseded
        moves = [{"do": "change_stage", "stage": stage} for stage in random.sample(STAGES, 2)]
        rules += [{"id": f"r{next(ids)}", "action": move} for move in moves]
    return rules


def _rule(random: Random, number: int, above: Json | None) -> Json:
    """A rule whose id tells what it may do: r… begins once in an entry, g… may begin again, as what is
    chained behind it may, s… has steps of its own (in which actions have the rule's name).
    """
    rule: Json = {"id": "", "action": _action(random)}
    chance = random.random
    if chance() < 0.5:
        rule["run"] = _run(random)
    if chance() < 0.3:
        rule["when"] = _condition(random)
        rule["check"] = random.choice(["due", "entry", "both"])
    if chance() < 0.4:
        rule["after_previous"] = True
    if chance() < 0.2:
        rule["hours"] = random.choice(HOURS)
    if rule["action"]["do"] in ("send_email", "webhook") and chance() < 0.4:
        rule["on_leave"] = "withdraw"
    kind = "g" if above is not None and above["id"][0] != "r" and "after_previous" in rule else "r"
    if not {"at", "of"}.isdisjoint(rule.get("run", ())) and chance() < 0.5:
        kind, rule["again_on_change"] = "g", True
    if chance() < 0.15:
        kind = "s"
        rule.pop("on_leave", None)
        del rule["action"]
        rule["steps"] = _steps(random, 1)
    rule["id"] = f"{kind}{number}"
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
    kind = random.randrange(1, 4)
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
        if random.random() < 0.2:
            trigger = {"id": trigger["id"], "on": "task_status", "status": random.choice(STATUSES)}
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
    kind = random.randrange(9)
    if kind == 7:
        return {
            "do": "wait_for",
            "event": "app",
            "code": random.choice(EVENTS),
            "timeout": random.choice(DELAYS),
        }
    if kind == 8:
        return {"do": "pause", "for": random.choice(DELAYS), "hours": random.choice(HOURS)}
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
    fields: Json = {"size": random.randrange(5)} if random.random() < 0.7 else {}
    if random.random() < 0.5:
        fields["due"] = random.choice(DATES)
    return CreateItem(
        key,
        pipeline=random.choice(["deals", "deals", "back"]),
        stage=random.choice(STAGES),
        title="T",
        fields=fields,
        client=_client(random),
        timezone=random.choice(ZONES),
        responsible=random.choice([7, 9, 404]),
    )


def _client(random: Random) -> Client | None:
    if random.random() < 0.4:
        return Client(key=random.choice(CLIENTS))
    return Client("Ada", [Address("ada@example.com")]) if random.random() < 0.7 else None


def _around(random: Random, key: str) -> Happening:
    """What happens to rules, people and clients, and through them to items."""
    kind = random.randrange(7)
    mode = random.choice(["pause", "resume", "stop", "resume"])
    restart = mode == "resume" and random.random() < 0.3
    if kind == 0:
        return HoldItem(key, mode=mode, stage=random.choice(STAGES), restart=restart)
    if kind == 1:
        target = f"{random.choice('rgs')}{random.randrange(8)}"
        return Hold("", kind="rule", target=target, mode=mode, restart=restart)
    if kind == 2:
        return Hold("", kind="pipeline", target=random.choice(PIPELINES), mode=mode, restart=restart)
    if kind == 3:
        mails, zone = [Address("ada@example.com")], random.choice(ZONES)
        return PutClient(random.choice(CLIENTS), client=Client("Ada", mails, timezone=zone))
    if kind == 4:
        absent = [Absence("2026-03-02", random.choice(["2026-03-04", "2026-03-20"]))]
        absences = absent if random.random() < 0.5 else []
        return PutEmployee("", employee=Employee(7, "Ines", [Address("ines@example.com")], absences=absences))
    if kind == 5:
        return UpdateItem(key, responsible=random.choice([7, 9]), timezone=random.choice(ZONES))
    return UpdateItem(key, client=_client(random))


def _task(random: Random, key: str) -> Happening:
    """What people do with tasks; that one they name may be there or not."""
    status = random.choice(["new", "in_progress", "deferred", "completed"])
    if random.random() < 0.4:
        return PutTask(key, ref=random.choice("xy"), name="t", status=status, deadline_ms=_deadline(random))
    deadline_ms = _deadline(random) if random.random() < 0.5 else None
    return UpdateTask(key, named="t", status=status, deadline_ms=deadline_ms)


def _deadline(random: Random) -> int:
    return random.choice([0, 1_772_438_400_000 + random.randrange(20) * 24 * HOUR_MS])


def _happening(random: Random) -> Happening:
    key = random.choice(ITEMS)
    kind = random.randrange(27)
    if kind > 24:
        return _task(random, key)
    if kind > 20:
        return _around(random, key)
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
