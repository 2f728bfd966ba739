"""The short way of a delivered action writes what the generic way writes, or steps aside."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from stagewheel.protocol.codec import decode_record
from stagewheel.protocol.messages import Address, Applied, Client
from stagewheel.server.core.decide import HANDLERS
from stagewheel.server.core.deciding import begin
from stagewheel.server.core.effects import ERASED, Decision, OutboxRow, encode_outbox_row
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.inbox import DeliveryReported
from stagewheel.server.core.item import (
    SENDING,
    WAITING,
    Item,
    More,
    Step,
    Tombstone,
    decode_item,
    encode_item,
    encode_tombstone,
)
from stagewheel.server.core.lanes import PLAIN_LANES
from stagewheel.server.core.plain_report import (
    Entry,
    Outline,
    Sent,
    plain_delivered,
    plain_sent,
)
from stagewheel.server.core.trying import TRIAL
from stagewheel.server.rules.compile import compile_ruleset
from tests.core.play import deals

NOW_MS = 1_772_438_400_000
KEY = b"deal:1"
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
    item = Item(9, 0, None, "deal:1", "deals", "new", 4, 9, 1, "T", 0, {"amount": 5}, ADA, "", [], 1, 0, 7)
    for client, more, steps in itertools.product(clients, mores, STEPS):
        made = replace(item, client=client, more=more, steps=list(steps))
        yield made


def reports() -> Iterator[DeliveryReported]:
    row = OutboxRow("deal:1", 4, 3, "m", 0, 1, NOW_MS - 9, 3, 0, NOW_MS + 9, msgspec.Raw(b"\xc0"), {}, 17)
    changes: tuple[dict[str, Any], ...] = (
        {},
        {"entry": 3},
        {"step": 8},
        {"step": 8, "first_step": 8, "entry": 3},
        {"rule": "alone", "step": 5, "first_step": 5},
        {"roots": {"vars": {"a": 1}}},
        {"roots": {ERASED: True}},
        {"version": 2},
        {"attempt": 3},
        {"number": 11},
        {"once": True},
    )
    details: tuple[dict[str, Any], ...] = ({}, {"message_id": "<1@example.com>"})
    for change, lane, detail in itertools.product(changes, sorted(PLAIN_LANES), details):
        yield DeliveryReported(lane, 17, replace(row, **change), "delivered", "", 0, detail)


def read(row: OutboxRow) -> Sent | None:
    [(number, encoded, sent)] = plain_sent([(17, encode_outbox_row(row))])
    assert (number, encoded) == (17, encode_outbox_row(row))
    return sent


def short(row: bytes, report: DeliveryReported, known: Facts) -> tuple[bytes, bytes] | None:
    sent = read(report.row)
    rows: dict[bytes, bytes] = {}
    records: list[bytes] = []
    end = plain_delivered([(b"", KEY, sent)], 0, {KEY: row}, rows, (), known, NOW_MS, records)
    assert end == len(rows) == len(records)
    return (rows[KEY], records[0]) if end else None


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
    for item in of((None, ADA, replace(ADA, key="c:1")), (None, More(), More(hold="paused"))):
        row = encode_item(item)
        for report in reports():
            written = short(row, report, known)
            if written is None:
                continue
            taken += 1
            long = generic(item, report, known)
            assert long is not None
            assert written == (long.row, encode(long.record))
            assert (long.effects, long.place, long.resumed) == ([], None, False)
            assert long.result == Applied(item.entry)
    assert taken > 100


@pytest.mark.parametrize(
    "change",
    [
        {"roots": {TRIAL: {"no": 1}}},
        {"roots": {ERASED: True}},
        {"step": 8},
        {"number": 11},
        {"once": True},
    ],
)
def test_a_row_that_is_rare_goes_the_generic_way(change: dict[str, Any]) -> None:
    row = replace(next(reports()).row, **change)
    assert read(row) is None


def test_an_item_that_is_rare_goes_the_generic_way() -> None:
    report = next(reports())
    [common, *_] = of((ADA,), (None,))
    tombstone = encode_tombstone(Tombstone(4, 9, 7, NOW_MS))
    assert short(encode_item(common), report, facts()) is not None
    for row in (
        tombstone,
        encode_item(replace(common, client=replace(ADA, key="c:1"))),
        encode_item(replace(common, more=More(instance_no=192))),  # it ends with the byte of no `more` at all
        encode_item(replace(common, version=2)),
    ):
        assert short(row, report, facts()) is None


def test_an_action_whose_chain_waits_for_it_goes_the_generic_way() -> None:
    *_, waiting = of((ADA,), (None,))
    assert short(encode_item(waiting), next(reports()), facts()) is None


def test_a_run_decides_on_what_it_wrote_and_ends_before_what_is_rare() -> None:
    known, item = facts(), next(of((ADA,), (None,)))
    sent = read(next(reports()).row)
    rows, records = dict[bytes, bytes](), list[bytes]()
    entries: list[Entry | None] = [(b"", KEY, sent), (b"", KEY, sent), (b"", KEY, None), (b"", KEY, sent)]
    stored = {KEY: encode_item(item)}
    assert plain_delivered(entries, 0, stored, rows, (), known, NOW_MS, records) == 2
    first, second = map(decode_record, records)
    assert (first.prev, second.prev, decode_item(rows[KEY]).head) == (item.head, 41, 42)
    assert plain_delivered(entries, 3, stored, rows, {KEY}, known, NOW_MS, records) == 3
    assert len(records) == 2


def test_what_a_report_reads_of_rows_has_the_fields_of_the_rows() -> None:
    assert Outline.__struct_fields__ == Item.__struct_fields__
    assert Sent.__struct_fields__ == OutboxRow.__struct_fields__[: len(Sent.__struct_fields__)]
