"""The short way of a delivered action writes what the generic way writes, or steps aside."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from stagewheel.protocol.messages import Address, Client
from stagewheel.server.core.decide import HANDLERS, decide
from stagewheel.server.core.deciding import begin
from stagewheel.server.core.effects import ERASED, Decision, OutboxRow
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.inbox import DeliveryReported
from stagewheel.server.core.item import SENDING, WAITING, Item, More, Step, encode_item
from stagewheel.server.core.plain_report import plain_delivered
from stagewheel.server.core.trying import TRIAL
from stagewheel.server.rules.compile import compile_ruleset
from tests.core.play import deals

NOW_MS = 1_772_438_400_000
MAIL = "{do: send_email, from: office@example.com, subject: S, body: B}"
RULES = deals(
    f"""
    - id: new
      rules:
        - {{id: m, action: {MAIL}}}
        - {{id: next, after_previous: true, action: {{do: add_history, text: next}}}}
        - {{id: alone, action: {MAIL}}}
    """
)
ADA = Client("Ada", [Address("ada@example.com", "work")])
STEPS: tuple[list[Step], ...] = (
    [],
    [Step(9, 1, WAITING, NOW_MS + 5)],
    [Step(5, 2, SENDING, NOW_MS - 5), Step(9, 1, WAITING, NOW_MS + 5)],
    [Step(3, 0, SENDING, NOW_MS - 5), Step(9, 1, WAITING, NOW_MS + 5)],
)


def of(clients: tuple[Client | None, ...], mores: tuple[More | None, ...]) -> Iterator[Item]:
    item = Item("deal:1", "deals", "new", 4, 9, 1, "T", 0, {"amount": 5}, ADA, "", [], 1, 9, 0, 7, 0)
    for client, more, steps in itertools.product(clients, mores, STEPS):
        made = replace(item, client=client, more=more, steps=list(steps))
        yield made


def reports() -> Iterator[DeliveryReported]:
    row = OutboxRow("deal:1", 4, 3, "m", 0, 1, NOW_MS - 9, 3, 0, NOW_MS + 9, msgspec.Raw(b"\xc0"), {}, 17)
    changes: tuple[dict[str, Any], ...] = (
        {},
        {"entry": 3},
        {"step": 8},
        {"step": 8, "entry": 3},
        {"rule": "alone", "step": 5, "first_step": 5},
        {"roots": {"vars": {"a": 1}}},
        {"roots": {ERASED: True}},
        {"version": 2},
        {"attempt": 3},
    )
    details: tuple[dict[str, Any], ...] = ({}, {"message_id": "<1@example.com>"})
    for change, lane, detail in itertools.product(
        changes, ("email", "email/bulk", "call", "webhook"), details
    ):
        yield DeliveryReported(lane, 17, replace(row, **change), "delivered", "", 0, detail)


def facts() -> Facts:
    version, _ = compile_ruleset({"deals.yaml": RULES}, 1)
    return Facts({1: version}, {"deals": version}, {}, 41, 18)


def generic(item: Item, report: DeliveryReported, known: Facts) -> Decision | None:
    d = begin(item, known, NOW_MS, None)
    result = HANDLERS[type(report)](d, report)
    if d.moves or d.causes:
        return None  # more came of it
    return d.finish(result, type(report).__name__)


def test_both_ways_write_the_same_bytes_wherever_the_short_one_is_taken() -> None:
    known, taken = facts(), 0
    encode: Callable[[Any], bytes] = msgspec.msgpack.encode
    for item in of((None, ADA, replace(ADA, key="c:1")), (None, More())):
        before = encode_item(item)
        for report in reports():
            short = plain_delivered(item, report, known, NOW_MS)
            if short is None:
                continue
            taken += 1
            long = generic(item, report, known)
            assert long is not None
            assert encode(short.record) == encode(long.record)
            assert (short.row, short.result, short.effects) == (long.row, long.result, long.effects)
            assert short.item == long.item
            assert decide(item, report, known, NOW_MS) == short
            assert encode_item(item) == before, "a decision changes nothing in place"
    assert taken > 100


@pytest.mark.parametrize(
    "change",
    [
        {"lane": "chat/main"},
        {"lane": "app/fetch"},
        {"lane": "document"},
        {"roots": {TRIAL: {"no": 1}}},
        {"roots": {ERASED: True}},
        {"step": 8},
    ],
)
def test_what_is_rare_goes_the_generic_way(change: dict[str, Any]) -> None:
    item = next(of((ADA,), (None,)))
    report = next(reports())
    lane = change.pop("lane", "email")
    report = replace(report, channel=lane, row=replace(report.row, **change))
    assert plain_delivered(item, report, facts(), NOW_MS) is None


def test_an_action_whose_chain_waits_for_it_goes_the_generic_way() -> None:
    *_, waiting = of((ADA,), (None,))
    assert plain_delivered(waiting, next(reports()), facts(), NOW_MS) is None
