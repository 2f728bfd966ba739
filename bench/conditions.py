"""Conditions: how many a second, one core, as a published ruleset has them, beside the same in plain Python.

The plain Python is what a programmer would write for just this question and this data: it checks no types,
keeps no values for the journal, and compares no money of two currencies. So `ratio` (compiled by plain) says
what those cost, and which kind of test is worth work.

The laws:
- Slices of both take turns, and each figure is the median over them, with its spread.
- Both answer for every deal first; where an answer differs there is no figure. So it is when a condition
  never holds or always does, since half of it would not be measured then.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from bench import report
from stagewheel.protocol.messages import Address, Client, Employee
from stagewheel.server.core.item import Item
from stagewheel.server.core.plan_actions import Condition
from stagewheel.server.core.scope import Scope
from stagewheel.server.rules.compile import compile_ruleset

NAME = "conditions"

SECONDS: Final = 4.0
ROUNDS: Final = 5
DEALS: Final = 512
SEED: Final = 7
MONDAY_MS: Final = 1_772_406_000_000  # 2026-03-02T00:00+01:00
HOUR_MS: Final = 3_600_000
STATUSES: Final = ("open", "Open", "shut", "auto", "")
TITLES: Final = ("New roof", "Message from the site", "Garden", "Roof and garden")
CURRENCIES: Final = ("EUR", "USD")

Plain = Callable[[Scope], bool]


class Case(NamedTuple):
    """A condition as it stands in a ruleset, and the same question in Python."""

    name: str
    when: str
    plain: Plain


def _text(at: Scope) -> bool:
    return (at.fields.get("status") or "").casefold() == "open"


def _number(at: Scope) -> bool:
    size = at.fields.get("size")
    return size is not None and size > 500


def _money(at: Scope) -> bool:
    amount = at.fields.get("amount")
    return amount is not None and amount["currency"] == "EUR" and amount["amount"] > 500


def _date(at: Scope) -> bool:
    due = at.fields.get("due")
    return due is not None and due < "2026-03-15"


def _contains(at: Scope) -> bool:
    return "roof" in at.item.title.casefold()


def _client(at: Scope) -> bool:
    client = at.item.client
    return client is not None and client.emails[0].address.casefold().endswith("@home.example")


def _five(at: Scope) -> bool:
    return _text(at) and _number(at) and at.fields.get("paid") is False and _contains(at) and not _date(at)


def _nested(at: Scope) -> bool:
    return (_text(at) or (_number(at) and not (_contains(at) or at.fields.get("paid") is True))) and _date(at)


def _window(at: Scope) -> bool:
    local = datetime.fromtimestamp(at.now_ms / 1000, at.zone)
    return local.hour >= 20 or local.hour < 8


def _changed(at: Scope) -> bool:
    return "status" in at.was and (at.was["status"] or "").casefold() == "open"


def _expression(at: Scope) -> bool:
    size = at.fields.get("size")
    return size is not None and size * 2 + 1 > 900 and at.fields.get("status") == "open"


CASES: Final = (
    Case("text is", "{status: {is: open}}", _text),
    Case("number gt", "{size: {gt: 500}}", _number),
    Case("money gt", "{amount: {gt: {amount: 500, currency: EUR}}}", _money),
    Case("date lt", "{due: {lt: '2026-03-15'}}", _date),
    Case("text contains", "{title: {contains: roof}}", _contains),
    Case("client ends_with", "{client.email: {ends_with: '@home.example'}}", _client),
    Case(
        "all of five",
        "{all: [{status: {is: open}}, {size: {gt: 500}}, {paid: {is: false}}, {title: {contains: roof}}, "
        "{not: {due: {lt: '2026-03-15'}}}]}",
        _five,
    ),
    Case(
        "nested any, all, not",
        "{all: [{any: [{status: {is: open}}, {all: [{size: {gt: 500}}, "
        "{not: {any: [{title: {contains: roof}}, {paid: {is: true}}]}}]}]}, {due: {lt: '2026-03-15'}}]}",
        _nested,
    ),
    Case("window over midnight", '{now: {between: ["20:00", "08:00"]}}', _window),
    Case("changed_from", "{status: {changed_from: open}}", _changed),
    Case("expr", "{expr: \"item.size * 2 + 1 > 900 and item.status == 'open'\"}", _expression),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="slices of each condition, and of its twin"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    seconds = SECONDS if args.seconds is None else args.seconds
    if args.rounds < 1 or seconds <= 0:
        raise report.Failed("conditions needs at least one round, and some time")
    return measure(CASES, seconds, args.rounds)


def measure(cases: Sequence[Case], seconds: float, rounds: int) -> dict[str, Any]:
    """Every case, in slices that share the seconds."""
    scopes, conditions = deals(), compiled(cases)
    slice_s = seconds / (2 * rounds * len(cases))
    told: dict[str, Any] = {}
    for case, condition in zip(cases, conditions, strict=True):
        compare(case, condition, scopes)
        ours, plain = asking(condition.holds), asking_plainly(case.plain)
        pairs = [(rate(ours, scopes, slice_s), rate(plain, scopes, slice_s)) for _ in range(rounds)]
        told[case.name] = figures(pairs)
    ratios = [one["ratio"] for one in told.values()]
    return {
        "deals": len(scopes),
        "rounds": rounds,
        "ratio": round(statistics.median(ratios), 3),
        "cases": told,
    }


def compiled(cases: Sequence[Case]) -> list[Condition]:
    """The conditions as the rules of a published version have them."""
    rules = "".join(
        f"          - {{id: r{number}, when: {case.when}, action: {{do: add_history, text: t}}}}\n"
        for number, case in enumerate(cases)
    )
    version, _ = compile_ruleset({"rules.yaml": f"{HEAD}{rules}"}, 1)
    found = [rule.condition for rule in version.pipelines["deals"].stages["new"].rules]
    return [condition for condition in found if condition is not None]


HEAD: Final = """\
ruleset: bench
timezone: Europe/Rome
entities:
  deal: {fields: {status: text, size: number, amount: money, due: date, paid: boolean}}
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
        rules:
"""


def deals(count: int = DEALS) -> list[Scope]:
    """Deals that differ, the same ones in every run; one in eight fields is empty."""
    version, _ = compile_ruleset({"rules.yaml": f"{HEAD}          []\n"}, 1)
    zone = version.pipelines["deals"].zone
    draw = random.Random(SEED)
    made = []
    for number in range(count):
        fields: dict[str, Any] = {
            "status": draw.choice(STATUSES),
            "size": draw.randrange(1000),
            "amount": {"amount": draw.randrange(1000), "currency": draw.choice(CURRENCIES)},
            "due": f"2026-03-{draw.randrange(1, 31):02}",
            "paid": draw.random() < 0.5,
        }
        fields = {name: value for name, value in fields.items() if draw.random() > 0.125}
        place = draw.choice(("home", "work"))
        item = Item(
            key=f"deal:{number}",
            pipeline="deals",
            stage="new",
            entry=1,
            entered_ms=MONDAY_MS,
            version=1,
            title=draw.choice(TITLES),
            responsible=7,
            fields=fields,
            client=Client(f"Client {number}", [Address(f"c{number}@{place}.example", place)]),
            source="",
            steps=[],
            step_no=0,
            head=0,
            entered_at=0,
            created_ms=MONDAY_MS,
            updated_ms=MONDAY_MS,
            actions=None,
        )
        now_ms = MONDAY_MS + draw.randrange(7 * 24) * HOUR_MS
        was = {"status": draw.choice(STATUSES)} if draw.random() < 0.5 else {}
        made.append(Scope(item, fields, "deal", {7: Employee(7, "Ines")}, zone, now_ms, was=was))
    return made


def compare(case: Case, condition: Condition, scopes: Sequence[Scope]) -> None:
    """`Failed` unless both answer alike for every deal, and not always the same."""
    answers = [condition.holds(at, []) for at in scopes]
    for at, answer in zip(scopes, answers, strict=True):
        if case.plain(at) is not answer:
            raise report.Failed(f"{case.name}: the condition says {answer} of {at.item.key}, Python does not")
    if len(set(answers)) != 2:
        raise report.Failed(f"{case.name}: says {answers[0]} of every deal, so half of it is not measured")


Ask = Callable[[Sequence[Scope]], None]


def asking(holds: Callable[[Scope, list[Any]], bool]) -> Ask:
    """Asks a condition about each deal, with a new list for what it sees, as a decision does."""

    def ask(batch: Sequence[Scope]) -> None:
        for at in batch:
            holds(at, [])

    return ask


def asking_plainly(plain: Plain) -> Ask:
    """Asks its twin."""

    def ask(batch: Sequence[Scope]) -> None:
        for at in batch:
            plain(at)

    return ask


def rate(ask: Ask, scopes: Sequence[Scope], seconds: float) -> float:
    """Evaluations a second, of all deals over and over for so long."""
    count, started = 0, time.perf_counter()
    until = started + seconds
    while True:
        ask(scopes)
        count += len(scopes)
        now = time.perf_counter()
        if now >= until:
            return count / (now - started)


def figures(pairs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Medians of one case, and the spread of its ratio over the rounds."""
    per_s = statistics.median(ours for ours, _ in pairs)
    plain_per_s = statistics.median(plain for _, plain in pairs)
    ratios = [ours / plain for ours, plain in pairs]
    return {
        "evaluations_per_s": round(per_s),
        "ns": round(1e9 / per_s),
        "plain_per_s": round(plain_per_s),
        "ratio": round(statistics.median(ratios), 3),
        "spread": {"min": round(min(ratios), 3), "max": round(max(ratios), 3)},
    }
