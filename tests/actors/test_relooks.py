"""Who is told that an employee's hours changed: in slices, over restarts, as long as a hold lasts (3.8)."""

import json

from stagewheel.protocol.journal import HistoryAdded, StepWaits
from stagewheel.protocol.messages import Absence, Applied, ChangeStage, Employee, PutEmployee, PutRuleset
from stagewheel.server.actors import relooks
from stagewheel.server.actors.reference import decode_files
from stagewheel.server.rules.merge import GENERATED
from stagewheel.server.store.keys import u64
from stagewheel.server.store.tables import Table
from tests.actors.shard import DAY_MS, Peer, Shard, deal

RULES = """
ruleset: sales
timezone: Europe/Rome
calendar:
  week: {mon-fri: ["09:00-18:00"]}
  holidays: {country: IT}
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
        rules: [{id: a, hours: responsible, action: {do: add_history, text: x}}]
      - {id: later}
"""
AWAY = Employee(7, "Ines", absences=[Absence("2026-03-02", "2026-03-06")])
BACK = Employee(7, "Ines")
ITEMS = 2 * relooks.SLICE_ROWS + 3


def held_shard(items: int) -> tuple[Shard, Peer]:
    shard = Shard(RULES)
    peer = Peer(shard, b"peer")
    peer.submit(PutEmployee("", employee=AWAY))
    for start in range(0, items, 200):
        peer.submit(*(deal(f"d:{n:04}", responsible=7) for n in range(start, min(items, start + 200))))
    assert shard.count(Table.HELD_BY) == items
    shard.records.clear()
    return shard, peer


def told(shard: Shard) -> list[str]:
    return [r.item for _, r in shard.records for d in r.did if isinstance(d, HistoryAdded)]


def test_s3_8_all_that_an_employee_holds_is_told_in_slices_and_each_item_once() -> None:
    shard, peer = held_shard(ITEMS)
    peer.submit(PutEmployee("", employee=BACK))
    assert shard.count(Table.HELD_BY) == ITEMS - relooks.SLICE_ROWS  # the command's own turn told the first
    slices = 1
    while shard.count(Table.RELOOKS):
        left = shard.count(Table.HELD_BY)
        shard.turn()
        slices += 1
        assert left - shard.count(Table.HELD_BY) <= relooks.SLICE_ROWS
    assert slices == 3
    shard.settle()
    assert sorted(told(shard)) == [f"d:{n:04}" for n in range(ITEMS)]
    assert shard.count(Table.MAILBOX) == shard.count(Table.HELD_BY) == 0


def test_s3_8_a_restart_goes_on_behind_the_last_item_that_was_told() -> None:
    shard, peer = held_shard(ITEMS)
    peer.submit(PutEmployee("", employee=BACK))
    for _ in range(20):
        shard.turn()
        shard.restart()
        shard.engine.followed = True
    shard.settle()
    assert sorted(told(shard)) == [f"d:{n:04}" for n in range(ITEMS)]
    assert shard.count(Table.RELOOKS) == 0


def test_s3_8_who_stays_held_is_told_of_the_next_change_again() -> None:
    shard, peer = held_shard(3)
    longer = Employee(7, "Ines", absences=[Absence("2026-03-02", "2026-03-10")])
    peer.submit(PutEmployee("", employee=longer))
    shard.settle()
    waits = [d for _, r in shard.records for d in r.did if isinstance(d, StepWaits)]
    assert [(one.due_ms, one.outside) for one in waits] == [(waits[0].due_ms, ["responsible"])] * 3
    assert shard.count(Table.HELD_BY) == 3
    peer.submit(PutEmployee("", employee=BACK))
    shard.settle()
    assert len(told(shard)) == 3


def test_an_employee_who_changes_nothing_about_the_hours_tells_nobody() -> None:
    shard, peer = held_shard(3)
    peer.submit(PutEmployee("", employee=Employee(7, "Another Name", absences=AWAY.absences)))
    assert shard.count(Table.RELOOKS) == 0
    peer.submit(PutEmployee("", employee=Employee(8, "New", absences=AWAY.absences)))
    assert shard.count(Table.RELOOKS) == 0


def test_rows_of_items_that_left_are_swept_when_their_hold_is_over() -> None:
    shard, peer = held_shard(3)
    assert peer.submit(*(ChangeStage(f"d:{n:04}", stage="later") for n in range(3))) == [Applied(2)] * 3
    assert shard.count(Table.HELD_BY) == 3
    shard.wait(8 * DAY_MS)
    peer.submit(deal("d:9"))
    assert shard.count(Table.HELD_BY) == 0


def test_a_version_is_stored_with_the_dates_of_its_holidays() -> None:
    shard, peer = held_shard(1)
    stored = dict(shard.stored()[Table.RULESET_FILES])
    files = decode_files(stored[u64(1)])
    assert json.loads(files[GENERATED])["IT"][0] == "2000-01-01"
    # Published again with other dates beside it, a version keeps those it was given.
    files[GENERATED] = json.dumps({"IT": ["2026-03-09"]})
    peer.submit(PutRuleset("", files=files))
    shard.restart()
    version = shard.engine.reference.facts.active["deals"]
    assert version.number == 2
    assert version.generated == {GENERATED: files[GENERATED]}
