"""A record of the journal without personal data (7.6): what stays of every fact there is."""

from typing import Any, get_args

from msgspec.structs import fields

from stagewheel.protocol import journal as j
from stagewheel.protocol.codec import decode_record, encode_payload
from stagewheel.server.actors.emptying import ANYWHERE, FURTHER, emptied
from tests.protocol.vectors import RECORD

SECRET = "Annalisa Quaranta"


def full(kind: type) -> Any:
    """A fact of this kind with the secret in every field that can hold a text."""
    texts = {
        str: SECRET,
        list[str]: [SECRET],
        list[Any]: [0, SECRET],
        list[list[Any]]: [["t", "r", [0, SECRET]]],
        dict[str, Any]: {SECRET: {"file": SECRET}},
        Any: [SECRET, [[SECRET, "work"]]],
        list[int]: [3, 4],
        int: 5,
        bool: True,
    }
    kept = ANYWHERE | FURTHER.get(kind, frozenset())
    values = {one.name: texts[one.type] for one in fields(kind) if one.name not in kept or one.type is int}
    plain = {str: "name", list[str]: ["name"], list[int]: [3]}
    values |= {one.name: plain[one.type] for one in fields(kind) if one.name not in values}
    return kind(**values)


def test_s7_6_no_text_of_any_fact_stays_unless_it_is_named() -> None:
    record = j.Record("deal:1", 4, 5, "deals", 1, "UpdateItem", [full(kind) for kind in get_args(j.Did)])
    assert encode_payload(record).count(SECRET.encode()) > 50
    after = emptied(record)
    assert SECRET.encode() not in encode_payload(after)
    assert (after.item, after.prev, after.at_ms, len(after.did)) == ("deal:1", 4, 5, len(record.did))
    assert emptied(after) == after
    assert decode_record(encode_payload(after)) == after


def test_s7_6_numbers_moments_and_what_rules_are_called_stay() -> None:
    after: dict[type, Any] = {type(did): did for did in emptied(RECORD).did}
    created = after[j.ItemCreated]
    assert (created.title, created.values, created.pipeline != "") == ("", {}, True)
    before = {type(did): did for did in RECORD.did}
    for kind in (
        j.Entered,
        j.CalendarTaken,
        j.TasksClosed,
        j.CapCounted,
        j.Enrolled,
        j.Erased,
        j.ErasureEnded,
    ):
        assert after[kind] == before[kind]
    ended = emptied(
        j.Record("d", 0, 0, "p", 1, "TimerFired", [j.StepEnded("r", 1, "skipped", "condition", [0, "x"])])
    )
    assert ended.did == [j.StepEnded("r", 1, "skipped", "condition")]
