"""The work that benchmarks give a server: deals that change their stage, again and again.

Each of the five stages has three rules, so that one change decides one of every kind: a mail at once, a mail
after a day (which the next change cancels), and one whose condition fails. The commands are drawn by a seeded
generator and encoded ahead of time: the feeder must not be what is measured. Two changes of a deal that
follow each other always differ in stage and amount, so every command really is an entry. What was drawn for
some deals (`watched`) is remembered, since it is what a server must answer when it is asked afterwards.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from stagewheel.protocol.codec import encode_payload
from stagewheel.protocol.messages import Address, ChangeStage, Client, CreateItem

RULESET: Final = "deals"
PIPELINE: Final = "deals"
STAGES: Final = ("NEW", "PROJECT", "INVOICE", "WON", "LOST")
DELAY: Final = "1d"
DELAY_MS: Final = 86_400_000
AMOUNT_MAX: Final = 200_000  # the third rule of each stage wants more than this
FIRST_AMOUNT: Final = 5_000
COMMANDS_PER_FRAME: Final = 64
AT_ONCE, LATER, NEVER = "at-once", "later", "never"

HEAD = """\
ruleset: deals
timezone: Europe/Rome
entities:
  deal:
    fields: {amount: money, paid: boolean, payment_due: date, city: text}
pipelines:
  deals:
    entity: deal
    stages:
"""
RULES = """\
        rules:
          - id: STAGE-at-once
            action:
              do: send_email
              from: desk@example.net
              subject: "{{ item.title }}: STAGE"
              body: "Dear {{ client.name }}, we moved {{ item.title }} ({{ item.amount | money }}) to STAGE."
          - id: STAGE-later
            run: {after: DELAY}
            action:
              do: send_email
              from: desk@example.net
              subject: "{{ item.title }} waits"
              body: "Dear {{ client.name }}, {{ item.title }} has been in STAGE for a while."
          - id: STAGE-never
            when: {amount: {gt: AMOUNT}}
            action:
              do: send_email
              from: desk@example.net
              subject: "A large deal"
              body: "Dear {{ client.name }}, you get a discount."
"""


def ruleset(delay: str = DELAY, rules: bool = True) -> dict[str, str]:
    """The documents of the ruleset, by path; without `rules` only its stages."""
    text = HEAD
    for stage in STAGES:
        text += f"      - id: {stage}\n"
        if rules:
            values = {"DELAY": delay, "STAGE": stage, "AMOUNT": str(AMOUNT_MAX)}
            part = RULES
            for name, value in values.items():
                part = part.replace(name, value)
            text += part
    return {"deals.yaml": text}


def waiting_ruleset(delay: str = DELAY) -> dict[str, str]:
    """One rule a stage, which waits for `delay` and then notes something; the stage LOST has none.

    So a change to any other stage schedules a timer and nothing else, and one to LOST cancels it.
    """
    text = HEAD
    for stage in STAGES:
        text += f"      - id: {stage}\n"
        if stage != STAGES[-1]:
            text += (
                "        rules:\n"
                f"          - {{id: {stage}-later, run: {{after: {delay}}}, "
                "action: {do: set_fields, fields: {city: Roma}}}\n"
            )
    return {"deals.yaml": text}


def key(number: int) -> str:
    return f"deal:{number}"


def creations(count: int) -> Iterator[CreateItem]:
    """The deals as they are stored first, all of them in the first stage."""
    client = Client(
        "Ada Example",
        [Address("ada@example.com", "work")],
        [Address("+39061234567", "work")],
    )
    fields = {
        "amount": FIRST_AMOUNT,
        "paid": False,
        "payment_due": "2026-12-01",
        "city": "Torino",
    }
    for number in range(count):
        yield CreateItem(
            key(number),
            pipeline=PIPELINE,
            stage=STAGES[0],
            title=f"Site form {number}",
            fields=fields,
            client=client,
            source="web_form",
        )


class Change(msgspec.Struct, frozen=True, gc=False):
    """One drawn change of a watched deal. `frame` numbers the frames from 0 on."""

    frame: int
    stage: str
    amount: int


class Changes:
    """Draws changes of `count` deals, each deal as likely as any other."""

    def __init__(
        self, count: int, watched: Iterable[int] = (), seed: int = 17, per_frame: int = COMMANDS_PER_FRAME
    ) -> None:
        self.count = count
        self.per_frame = per_frame
        self.frames = 0
        self.watched: dict[int, list[Change]] = {number: [] for number in watched}
        self._stages = [0] * count
        self._amounts = [FIRST_AMOUNT] * count
        self._draw = random.Random(seed).random

    def frame(self) -> msgspec.Raw:
        """The commands of the next frame, encoded as the list of a Submit."""
        draw, stages, amounts, watched = self._draw, self._stages, self._amounts, self.watched
        commands = []
        for _ in range(self.per_frame):
            number = int(draw() * self.count)
            place = stages[number] = (stages[number] + 1 + int(draw() * 4)) % 5
            amount = amounts[number] = (amounts[number] + 1 + int(draw() * (AMOUNT_MAX - 1))) % AMOUNT_MAX
            commands.append(ChangeStage(key(number), stage=STAGES[place], fields={"amount": amount}))
            if number in watched:
                watched[number].append(Change(self.frames, STAGES[place], amount))
        self.frames += 1
        return msgspec.Raw(encode_payload(commands))
