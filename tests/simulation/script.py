"""What a simulation does: commands, waiting and deliveries, all drawn from a seed before anything runs.

Laws: each command carries a serial number that its journal record shows (`n` in fields, `source` of a
creation, `code` of an event, `by` of a hold), so a checker sees what was applied without asking how; and
nothing in a script depends on answers, so the same script can run with crashes and without.
"""

import random
from typing import Any, Final

from msgspec import Struct

from stagewheel.protocol.messages import (
    Address,
    AnyCommand,
    ChangeStage,
    Client,
    CreateItem,
    HoldItem,
    RaiseEvent,
    Report,
    UpdateItem,
)

START_MS: Final = 1_772_438_400_000  # 2026-03-02T09:00:00+01:00
MINUTE_MS: Final = 60_000
DAY_MS: Final = 24 * 60 * MINUTE_MS
ITEMS: Final = tuple(f"deal:{n}" for n in range(5))
STAGES: Final = ("new", "offer", "dated", "ordered", "won")
ADA: Final = Client("Ada", [Address("ada@example.com")], key="contact:1")  # whom all items name

RULES: Final = """
ruleset: simulated
timezone: Europe/Rome
caps: {email: {limit: 3 per 12h, over: wait}}
entities:
  deal: {fields: {n: number, due: datetime}}
  order: {fields: {n: number}}
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
        rules:
          - {id: hello, action: {do: send_email, from: desk@example.net, subject: Hello, body: Hello}}
          - {id: then, after_previous: true, run: {after: 2h}, action: {do: add_history, text: said hello}}
          - {id: control, run: {after: 1d}, action: {do: add_history, text: a day in new}}
      - id: offer
        rules:
          - {id: first, run: {after: 30m}, action: {do: webhook, url: "https://example.com/", json: {a: 1}}}
          - {id: second, after_previous: true, run: {after: 30m}, when: {n: {gt: 20}},
             action: {do: send_email, from: desk@example.net, subject: Offer, body: Offer}}
          - {id: third, after_previous: true, on_skip: continue, action: {do: add_history, text: third}}
          - {id: give-up, run: {after: 5d}, action: {do: change_stage, stage: won}}
      - id: dated
        rules:
          - {id: before, run: {before: 1d, of: due, if_past: skip}, action: {do: add_history, text: tomorrow}}
          - {id: on-day, run: {at: due},
             action: {do: send_email, from: desk@example.net, subject: Today, body: Today}}
      - id: ordered
        rules:
          - {id: order, run: {after: 5m}, action: {do: create_from, pipeline: orders, title: T, copy: [n]}}
      - id: won
        final: success
        triggers: [{id: paid, on: payment_received}]
        rules: [{id: thanks, run: {after: 1m}, action: {do: add_history, text: thanks}}]
  orders:
    entity: order
    stages: [{id: open, rules: [{id: packed, run: {after: 3h}, action: {do: add_history, text: packed}}]}]
workflows:
  greet:
    pipeline: deals
    start: on_create
    steps:
      - {do: pause, for: 6h}
      - {do: send_email, from: desk@example.net, subject: Again, body: Again}
      - {do: add_history, text: greeted}
"""


class Step(Struct, frozen=True):
    """Either batches that reach the server within one turn, or time that passes."""

    batches: list[list[AnyCommand]] = []
    wait_ms: int = 0


def script(seed: int, steps: int = 40) -> list[Step]:
    """A history to be; it ends with every item going on, and with enough time for all that waits."""
    draw = random.Random(f"script {seed}")
    serial = 0
    made: list[Step] = []

    def command() -> AnyCommand:
        nonlocal serial
        serial += 1
        return _command(draw, serial)

    for _ in range(steps):
        if draw.random() < 0.4:
            made.append(Step(wait_ms=draw.choice([1, MINUTE_MS, 31 * MINUTE_MS, 5 * 60 * MINUTE_MS, DAY_MS])))
        else:
            made.append(
                Step([[command() for _ in range(draw.randint(1, 4))] for _ in range(draw.randint(1, 3))])
            )
    resumed: list[AnyCommand] = [
        HoldItem(key, by=serial + n + 1, mode="resume") for n, key in enumerate(ITEMS)
    ]
    return [*made, Step([resumed]), Step(wait_ms=60 * DAY_MS)]


def _command(draw: random.Random, serial: int) -> AnyCommand:
    key = draw.choice(ITEMS)
    what = draw.random()
    if what < 0.2:
        return CreateItem(key, pipeline="deals", stage=draw.choice(STAGES), source=str(serial), client=ADA)
    if what < 0.45:
        return ChangeStage(key, stage=draw.choice(STAGES), fields={"n": serial}, restart=draw.random() < 0.3)
    if what < 0.55:
        return UpdateItem(key, fields={"n": serial, "due": _date(draw)})
    if what < 0.7:
        return UpdateItem(key, fields={"n": serial})
    if what < 0.8:
        return RaiseEvent(key, type="payment_received", code=str(serial))
    return HoldItem(key, by=serial, mode=draw.choice(["pause", "resume", "resume", "stop"]))


def _date(draw: random.Random) -> str | None:
    return draw.choice([None, "2026-03-03T12:00:00", "2026-03-05T09:30:00", "2026-03-20T08:00:00"])


def delivered(seed: int, channel: str, number: int, attempt: int) -> Report:
    """How a channel answers: always the same for the same attempt, whoever asks and however often."""
    draw: Any = random.Random(f"channel {seed} {channel} {number} {attempt}")
    what = draw.random()
    if what < 0.7:
        return Report(channel, number, "delivered", detail={"status": 200})
    if what < 0.9:
        return Report(channel, number, "retry", "421 later", delay_ms=draw.randint(1, 10 * MINUTE_MS))
    return Report(channel, number, "refused", "550 no")
