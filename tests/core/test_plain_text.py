"""The text of a plain entry: what it names, what it leaves to the walk, and when it is made."""

import json
from typing import Any

import pytest

from bench import plain
from stagewheel.protocol.messages import Address, Applied, ChangeStage, Client
from stagewheel.server.core.decide import decide
from stagewheel.server.core.effects import Decision
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.item import Glance, Item, decode_item, glance_at, whole
from stagewheel.server.core.plain_text import written
from stagewheel.server.core.plan import Version
from stagewheel.server.rules.compile import compile_ruleset

NOW_MS = 1_772_438_400_000
MAIL = {"do": "send_email", "from": "desk@example.com", "subject": "s", "body": "b"}
OWN = "stage-of-author"
ADA = Client("Ada", [Address("ada@example.com")])


def version_of(*rules: dict[str, Any], name: str = "next") -> Version:
    """A pipeline of two stages; the rules stand in the second."""
    stages = [{"id": "first"}, {"id": name, "rules": list(rules)}]
    document = {
        "ruleset": "r",
        "timezone": "Europe/Rome",
        "entities": {"deal": {"fields": {"size": "number"}}},
        "pipelines": {"deals": {"entity": "deal", "stages": stages}},
    }
    return compile_ruleset({"r.json": json.dumps(document)}, 1)[0]


def moved(version: Version, stage: str = "next", **given: Any) -> Decision:
    item = Item(7, 0, None, "d:1", "deals", "first", 1, 0, 1, "T", 0, {"size": 1}, ADA, "", [], 4, 7, 0)
    facts = Facts({1: version}, {"deals": version}, {}, position=9, outbox_next=3)
    return decide(item, ChangeStage("d:1", stage=stage, **given), facts, NOW_MS)


def test_nothing_that_an_author_wrote_stands_in_the_text() -> None:
    rule = {"id": "rule-of-author", "when": {"size": {"gt": 123_456}}, "action": MAIL}
    version = version_of(rule, {"id": "another-of-author", "run": {"after": "1d"}, "action": MAIL}, name=OWN)
    pipeline = version.pipelines["deals"]
    text = written(pipeline, pipeline.stages[OWN], version.entities["deal"]).source
    for own in ("of-author", "deals", "size", "123456", "email", "desk@"):
        assert own not in text
    decision = moved(version, OWN)
    assert decision.place == ("deals", OWN)
    assert decision.row is not None
    assert decode_item(decision.row).stage == OWN


def test_the_text_is_made_when_an_item_first_comes_to_the_stage() -> None:
    version = version_of({"id": "now", "action": MAIL})
    stage = version.pipelines["deals"].stages["next"]
    assert stage.plain is not None
    assert stage.plain.__name__ == "first"
    assert moved(version).result == Applied(2)
    assert stage.plain.__name__ == "change"
    assert moved(version) == moved(version)


@pytest.mark.parametrize(
    "rule",
    [
        {"id": "repeats", "repeat": "once", "action": MAIL},
        {"id": "writes", "action": {"do": "set_fields", "fields": {"size": 2}}},
        {"id": "by_date", "run": {"at": "created_at"}, "action": MAIL},
        {
            "id": "looks_first",
            "run": {"after": "1d"},
            "check": "entry",
            "when": {"size": {"gt": 1}},
            "action": MAIL,
        },
        {"id": "goes_on", "wait": False, "action": MAIL},
    ],
    ids=lambda rule: rule["id"],
)
def test_a_stage_with_such_a_rule_is_left_to_the_walk(rule: dict[str, Any]) -> None:
    behind = {"id": "behind", "after_previous": True, "action": MAIL}
    stage = version_of(rule, behind).pipelines["deals"].stages["next"]
    assert stage.plain is None


@pytest.mark.parametrize("given", [{"restart": True}, {"pipeline": "deals"}, {"fields": {"size": "much"}}])
def test_what_the_text_does_not_know_the_walk_answers(given: dict[str, Any]) -> None:
    version = version_of({"id": "now", "action": MAIL})
    moved(version)
    stage = version.pipelines["deals"].stages["next"]
    item = Item(7, 0, None, "d:1", "deals", "first", 1, 0, 1, "T", 0, {"size": 1}, ADA, "", [], 4, 7, 0)
    facts = Facts({1: version}, {"deals": version}, {})
    assert stage.plain is not None
    move = ChangeStage("d:1", stage="next", **given)
    assert stage.plain(glance_at(item), move, facts, NOW_MS, 7, 1) is None
    assert moved(version, **given).effects or "fields" in given


def test_a_text_is_written_once_whoever_goes_on_to_ask_the_way_that_was_there_before_it() -> None:
    version = version_of({"id": "now", "action": MAIL})
    stage = version.pipelines["deals"].stages["next"]
    before = stage.plain
    assert before is not None
    item = Item(7, 0, None, "d:1", "deals", "first", 1, 0, 1, "T", 0, {"size": 1}, ADA, "", [], 4, 7, 0)
    given = (glance_at(item), ChangeStage("d:1", stage="next"), Facts({1: version}, {"deals": version}, {}))
    decision, made = before(*given, NOW_MS, 8, 1), stage.plain
    assert made is not before
    assert before(*given, NOW_MS, 8, 1) == decision
    assert stage.plain is made


def test_a_glance_is_the_item_but_for_its_client() -> None:
    item = Item(7, 0, None, "d:1", "deals", "first", 1, 0, 1, "T", 0, {"size": 1}, ADA, "", [], 4, 7, 0)
    glance = glance_at(item)
    assert whole(glance) == item
    assert Glance.__struct_fields__ == Item.__struct_fields__


def test_the_text_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    plain.main(["--stage", "WON"])
    shown = capsys.readouterr().out
    assert shown.startswith("def change(item, message, facts, now_ms, position, out):\n")
    assert "condition" in shown
