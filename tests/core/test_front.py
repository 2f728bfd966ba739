"""What a report does to an item that lists its actions in front is what the generic way does."""

import json
from typing import Any, Final

import pytest

from stagewheel.protocol.codec import decode_record, encode_payload
from stagewheel.protocol.journal import StepEnded
from stagewheel.protocol.messages import Address, ChangeStage, Client
from stagewheel.server.actors.waiting import still_waiting
from stagewheel.server.core import front
from stagewheel.server.core.decide import HANDLERS
from stagewheel.server.core.deciding import begin
from stagewheel.server.core.effects import Decision, OutboxRow, decode_outbox_row
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.inbox import DeliveryReported
from stagewheel.server.core.item import (
    SENDING,
    WAITING,
    Item,
    decode_actions,
    decode_glance,
    decode_item,
    encode_item,
)
from stagewheel.server.core.plain_report import decode_front, listed_delivered
from stagewheel.server.core.plan import Version
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.store.base import Batch
from stagewheel.server.store.keys import timer_key
from stagewheel.server.store.memory import MemoryStore
from stagewheel.server.store.tables import Table

NOW_MS: Final = 1_772_438_400_000
LATER_MS: Final = NOW_MS + 1000
KEY: Final = b"d:1"
MAIL: Final = {"do": "send_email", "from": "desk@example.com", "subject": "s", "body": "b"}
WAITS: Final = {"id": "waits", "run": {"after": "1d"}, "action": MAIL}
ADA: Final = Client("Ada", [Address("ada@example.com")])


def version_of(*rules: dict[str, Any]) -> Version:
    others = [{**rule, "id": f"{rule['id']}-too"} for rule in rules]
    stages = [{"id": "first"}, {"id": "next", "rules": list(rules)}, {"id": "third", "rules": others}]
    document = {
        "ruleset": "r",
        "timezone": "Europe/Rome",
        "entities": {"deal": {"fields": {"size": "number"}}},
        "pipelines": {"deals": {"entity": "deal", "stages": stages}},
    }
    return compile_ruleset({"r.json": json.dumps(document)}, 1)[0]


class Deal:
    """A deal as it is stored, which moves and whose actions are reported."""

    def __init__(self, *rules: dict[str, Any], head: int = 70_000) -> None:
        self.version = version_of(*rules)
        self.position, self.out = head + 1, 40
        place, fields = ("d:1", "deals", "first", 1, 0, 1), {"size": 1}
        item = Item(head, NOW_MS, None, *place, "T", 0, fields, ADA, "", [], 4, 7, 0)
        self.row = encode_item(item)
        self.sent: dict[int, bytes] = {}

    def facts(self) -> Facts:
        return Facts({1: self.version}, {"deals": self.version}, {}, self.position, self.out)

    def move(self, stage: str = "next") -> None:
        plan = self.version.pipelines["deals"].stages[stage]
        assert plan.plain is not None
        item, move = decode_glance(self.row), ChangeStage("d:1", stage=stage)
        self.row, _, _, _, sent = plan.plain(item, move, self.facts(), NOW_MS, self.position, self.out)
        self.position += 1
        for _, number, row in sent:
            self.sent[number], self.out = row, number + 1

    def report(self, *numbers: int, waiting: tuple[bytes, ...] = ()) -> tuple[list[int], list[bytes]]:
        """The places of reports that are left, and the records of the others."""
        rows: dict[bytes, bytes] = {}
        records: list[tuple[bytes, bytes]] = []
        kept = [self.sent[number] for number in numbers]
        fronts = list(map(decode_front, kept))
        keys, stored, facts = [KEY] * len(numbers), {KEY: self.row}, self.facts()
        left = listed_delivered(numbers, kept, fronts, keys, stored, rows, waiting, facts, LATER_MS, records)
        self.row = rows.get(KEY, self.row)
        positions = [int.from_bytes(at) for at, _ in records]
        assert positions == list(range(self.position, self.position + len(records)))
        self.position += len(records)
        return left, [record for _, record in records]

    def generic(self, number: int) -> Decision:
        row: OutboxRow = decode_outbox_row(self.sent[number])
        d = begin(decode_item(self.row), self.facts(), LATER_MS, None)
        report = DeliveryReported("email", number, row, "delivered")
        return d.finish(HANDLERS[DeliveryReported](d, report), DeliveryReported.__name__)

    def as_the_generic_way(self, number: int) -> None:
        """Report it both ways."""
        decision = self.generic(number)
        left, records = self.report(number)
        assert left == []
        assert [decode_record(record) for record in records] == [decision.record]
        assert decision.row is not None
        assert decode_item(self.row) == decode_item(decision.row)


def mail(id_: str, **more: Any) -> dict[str, Any]:
    return {"id": id_, "action": MAIL, **more}


@pytest.mark.parametrize("out", [40, 300, 70_000, 1 << 40])
@pytest.mark.parametrize("head", [3, 300, 70_000, 1 << 40])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_actions_are_taken_out_in_any_order_whatever_the_positions_are(
    head: int, out: int, count: int
) -> None:
    rules = [mail(f"m{number}") for number in range(count)]
    for first in range(count):
        deal = Deal(*rules, WAITS, head=head)
        deal.out = out
        deal.move()
        numbers = list(deal.sent)
        assert [step.state for step in decode_item(deal.row).steps[:count]] == [SENDING] * count
        for number in numbers[first:] + numbers[:first]:
            deal.as_the_generic_way(number)
        assert [step.rule for step in decode_item(deal.row).steps] == [count]


def test_two_actions_of_one_item_are_reported_at_once() -> None:
    deal = Deal(mail("a"), mail("b"))
    deal.move()
    left, records = deal.report(40, 41)
    assert left == []
    first, second = map(decode_record, records)
    assert (first.prev, second.prev, decode_item(deal.row).head) == (70_001, 70_002, 70_003)
    assert decode_item(deal.row).steps == []


def test_a_report_of_an_entry_that_is_over_is_told_as_ever() -> None:
    deal = Deal(mail("a"), mail("b"))
    deal.move()
    deal.move("third")
    deal.as_the_generic_way(40)
    deal.as_the_generic_way(43)
    deal.as_the_generic_way(41)
    assert [step.rule for step in decode_item(deal.row).steps] == [0]


def test_what_was_reported_already_and_what_others_wrote_is_left() -> None:
    deal = Deal(mail("a"), mail("b"))
    deal.move()
    left, [_] = deal.report(40, 40)
    assert left == [1]
    deal.row = encode_item(decode_item(deal.row))  # as whoever decides something rare
    assert deal.report(41) == ([0], [])
    assert [step.rule for step in decode_item(deal.row).steps] == [1]


def test_an_item_with_a_mailbox_is_left() -> None:
    deal = Deal(mail("a"))
    deal.move()
    assert deal.report(40, waiting=(KEY,)) == ([0], [])


def test_what_is_waited_for_or_withdrawn_or_leaves_once_is_not_listed() -> None:
    behind = {"id": "behind", "after_previous": True, "action": MAIL}
    once = {**MAIL, "on_unknown": "fail"}
    for rules in ([mail("a"), behind], [mail("a", on_leave="withdraw")], [{"id": "a", "action": once}]):
        deal = Deal(*rules)
        deal.move()
        assert [step.state for step in decode_glance(deal.row).steps] == [SENDING]
        assert deal.report(40) == ([0], [])


def test_a_stage_with_more_rules_than_a_front_has_room_for_lists_none() -> None:
    rules = [mail(f"m{number}") for number in range(front.ACTIONS_MAX + 1)]
    many, fewer = Deal(*rules), Deal(*rules[1:])
    for deal in (many, fewer):
        deal.move()
    assert decode_actions(decode_glance(many.row).actions) is None
    assert len(decode_actions(decode_glance(fewer.row).actions) or ()) == 2 * front.ACTIONS_MAX
    for number in list(fewer.sent):
        fewer.as_the_generic_way(number)


def test_a_row_begins_as_the_front_says() -> None:
    deal = Deal(mail("a"))
    assert deal.row[: front.LEAD_BYTES] == front.LEAD
    assert len(Item.__struct_fields__) == front.LEAD[-1]
    for number in (0, 127, 128, 255, 256, 65_535, 65_536, 1 << 32, 1 << 60):
        encoded = encode_item(Item(number, 0, None, "k", "p", "s", 1, 0, 1, "", 0, {}, None, "", [], 0, 0, 0))
        width = front.INT_BYTES[encoded[front.LEAD_BYTES]]
        assert encoded[front.LEAD_BYTES + width] == 0
        assert front.head_of(encoded) == (number, front.LEAD_BYTES + width + 1)
        assert encoded[front.LEAD_BYTES + width + 1] == 0xC0, "no action is listed"


def test_the_short_look_finds_what_stands_where_it_looks() -> None:
    deal = Deal(mail("a"), head=70_000)
    deal.out = 70_000
    deal.move()
    row, usual = deal.row, [70_000]
    assert (row[3], row[8], row[17]) == (front.U32, front.U64, front.ALONE)
    assert row[front.NUMBER_AT] == encode_payload(usual[0])
    key = encode_payload("d:1")
    assert row[front.BEHIND_AT][: len(key)] == key
    deal.as_the_generic_way(usual[0])


def test_a_delivered_action_has_one_outcome() -> None:
    deal = Deal(mail("a"))
    deal.move()
    _, [record] = deal.report(40)
    assert decode_record(record).did == [StepEnded("a", 5, "done")]


def test_a_wait_behind_listed_actions_is_still_waited_for_and_a_moment_that_is_over_is_not() -> None:
    deal = Deal(mail("a"), WAITS)
    deal.move()
    [wait] = [step for step in decode_item(deal.row).steps if step.state == WAITING]
    deal.report(40)
    store = MemoryStore()
    transaction = store.begin()
    batch = Batch()
    batch.put(Table.ITEMS, KEY, deal.row)
    transaction.apply(batch)
    waits, over = (timer_key(due_ms, KEY, wait.no) for due_ms in (wait.due_ms, wait.due_ms + 1))
    assert still_waiting(transaction, [over, waits, over]) == [waits]
    transaction.abort()
