"""Rulesets by chance whose rules are nearly all plain, and histories of moves under them.

Laws: those of `generate.py`. Whatever the text of a plain entry can say comes up here: waits, mails at once,
conditions of one test and of several, on fields, on the item and on its client, chains, rules that are
switched off or withdraw, templates with more roots, recipients by type, at length, and fields that are set
when a wait is over; and what it leaves to the walk: refused and emptied fields, another version, clients with
keys, rare values, suppressed addresses.
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
    RaiseEvent,
    Suppress,
    Unsuppress,
    UpdateItem,
)
from tests.laws.generate import HOUR_MS, ITEMS, STAGES

Json = dict[str, Any]
CONDITIONS: tuple[Json, ...] = (
    {"size": {"changed": True}},
    {"size": {"gt": 2}},
    {"size": {"between": [1, 3]}},
    {"not": {"size": {"gt": 2}}},
    {"note": {"is": "X"}},
    {"note": {"in": ["x", "y"]}},
    {"note": {"filled": True}, "size": {"lt": 4}},
    {"any": [{"note": {"is": "y"}}, {"not": {"size": {"gte": 1}}}]},
    {"stage": {"is_not": "lost"}},
    {"entry": {"gt": 2}},
    {"title": {"contains": "t"}},
    {"client.name": {"is": "Ada"}},
    {"responsible.name": {"filled": True}},
    {"expr": "item.size > 1"},
    {"now": {"weekday": ["mon", "tue"]}},
)
RECIPIENTS = ("client", {"type": "work"}, "desk@example.com")
BODIES = ("Hello", "{{ item.note }} of {{ responsible.name }}", "{{ trigger.code | default('') }}")
SET: tuple[Json, ...] = (
    {"note": "x"},
    {"note": "{{ item.note }}{{ now }}"},
    {"note": "y", "size": 3},
    {"size": "{{ item.size * 2 }}"},
    {"note": "{{ fields.nothing.at_all }}"},
    {"title": "T3", "note": "long"},
    {"note": "", "size": None},
)
DELAYS = ("0s", "90s", "5h", "1d", "2w", "1mo 2h")
CLIENTS = (
    None,
    Client("Ada", [Address("ada@example.com")]),
    Client("Bo", [Address("bo@example.com", "home"), Address("b@example.com", "work")]),
    Client("Cy"),
    Client("Di", [Address("di@example.com")]),
    Client(key="contact:1"),
)


def plain_ruleset(random: Random) -> dict[str, str]:
    """The files of a ruleset (one JSON document)."""
    stages = []
    for name in STAGES:
        rules = [_rule(random, f"{name}-{number}") for number in range(random.randrange(5))]
        stages.append({"id": name, "rules": rules})
    if random.random() < 0.1:
        trigger = {"id": "noted", "on": "field_changed", "fields": ["note"], "when": {"size": {"gt": 3}}}
        stages[-1]["triggers"] = [trigger]
    document = {
        "ruleset": "plain",
        "timezone": "Europe/Rome",
        "entities": {"deal": {"fields": {"size": "number", "note": "text", "due": "date"}}},
        "pipelines": {"deals": {"entity": "deal", "stages": stages}},
    }
    return {"rules.json": json.dumps(document)}


def _rule(random: Random, id_: str) -> Json:
    chance = random.random
    mail: Json = {"do": "send_email", "from": "desk@example.com", "subject": "{{ item.title }}"}
    rule: Json = {
        "id": id_,
        "action": {**mail, "body": random.choice(BODIES), "to": random.choice(RECIPIENTS)},
    }
    if chance() < 0.4:
        rule["run"] = {"after": random.choice(DELAYS)}
        if chance() < 0.4:
            rule["action"] = {"do": "set_fields", "fields": random.choice(SET)}
    if chance() < 0.6:
        rule["when"] = random.choice(CONDITIONS if "run" not in rule else CONDITIONS[1:])
    if chance() < 0.3:
        rule["after_previous"] = True
    if chance() < 0.15:
        rule["disabled"] = True
    if chance() < 0.15:
        rule["on_leave"] = "withdraw"
    if chance() < 0.02:
        rule["repeat"], mail["to"] = "once", "responsible"
    if chance() < 0.02:
        rule["on_skip"] = "continue"
    return rule


def moves(random: Random, count: int) -> list[list[AnyCommand] | int | dict[str, str] | str]:
    """Frames of commands, time that passes, other rulesets, and how mails fare from now on."""
    made: list[list[AnyCommand] | int | dict[str, str] | str] = [[_deal(random, key) for key in ITEMS]]
    while count > 0:
        kind = random.randrange(16)
        if kind < 10:
            frame = [_move(random) for _ in range(random.randrange(1, 5))]
            made.append(list(frame))
            count -= len(frame)
        elif kind < 13:
            made.append(random.choice([HOUR_MS, 25 * HOUR_MS, 400 * HOUR_MS]))
        elif kind == 13:
            made.append([_aside(random)])
        elif kind == 14:
            made.append(random.choice(["refused", "delivered"]))
        elif random.random() < 0.3:
            made.append(plain_ruleset(random))
    return made


def _deal(random: Random, key: str) -> CreateItem:
    return CreateItem(
        key,
        pipeline="deals",
        stage=random.choice(STAGES),
        title="Title",
        fields={"size": 1} if random.random() < 0.5 else {},
        client=random.choice(CLIENTS),
        responsible=random.choice([7, 9, 0]),
    )


def _move(random: Random) -> ChangeStage:
    fields: Json = {}
    if random.random() < 0.6:
        fields["size"] = random.choice([0, 1, 2, 3, 4, 2.5, True])
    if random.random() < 0.3:
        fields["note"] = random.choice(["x", "X", "y", "", "long"])
    if random.random() < 0.05:
        fields["due"] = random.choice(["2026-03-05", "no date", None])
    if random.random() < 0.02:
        fields[random.choice(["title", "unknown"])] = "T2"
    return ChangeStage(
        random.choice(ITEMS),
        random.choice([0, 0, 0, 7]),
        stage=random.choice(STAGES) if random.random() < 0.95 else random.choice(["nowhere", ""]),
        fields=fields,
        restart=random.random() < 0.05,
        pipeline="deals" if random.random() < 0.05 else "",
    )


def _aside(random: Random) -> AnyCommand:
    key, address = random.choice(ITEMS), random.choice(["ada@example.com", "desk@example.com"])
    others: list[AnyCommand] = [
        UpdateItem(key, client=random.choice(CLIENTS)),
        UpdateItem(key, timezone=random.choice(["", "", "Asia/Tokyo"])),
        Suppress(key, channel="email", address=address, kind=random.choice(["bounced", "unsubscribed"])),
        Unsuppress(key, channel="email", address=address),
        RaiseEvent(key, type="app", code="one"),
    ]
    return random.choice(others)
