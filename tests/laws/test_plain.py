"""Plain rules begin, and their waits end, without the walk, and nobody can tell from what is stored."""

import json
from collections.abc import Mapping
from random import Random
from typing import Any

from hypothesis import given, settings, strategies as st
from msgspec.structs import force_setattr

from stagewheel.protocol.messages import ChangeStage
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.item import Glance
from stagewheel.server.core.plain import Way
from stagewheel.server.core.plain_due import End
from stagewheel.server.core.plain_text import Change, Entered, written
from stagewheel.server.core.plan import PipelinePlan, RulePlan, StagePlan, Version
from stagewheel.server.rules.mistakes import Mistake
from stagewheel.server.scenarios.runner import Compiler
from stagewheel.server.store.tables import Table
from tests.laws.forms import one_form
from tests.laws.generate import history, ruleset
from tests.laws.plain_rules import moves, plain_ruleset
from tests.laws.world import World

LENGTH = 25
ENTRIES = 60  # commands of a history of moves
EXAMPLES = 2 if settings().max_examples < 100 else settings().max_examples  # each plays two worlds
MAIL = {"do": "send_email", "from": "desk@example.com", "subject": "{{ item.title }}", "body": "Hello"}
CONDITIONS = ({"size": {"gt": 1}}, {"note": {"is": "x"}}, {"stage": {"is_not": "lost"}}, None)
DELAYS = ("0s", "90s", "5h", "1d", "2w", "1mo 2h")


class Changing(Compiler):
    """A compiler whose rules begin as `way` wants it, and its stages as `entry` does."""

    def __call__(self, files: Mapping[str, str], number: int) -> tuple[Version, list[Mistake]]:
        version, mistakes = super().__call__(files, number)
        for pipeline in version.pipelines.values():
            for stage in pipeline.stages.values():
                for rule in stage.rules:
                    force_setattr(rule, "plain", self.way(rule))
                    force_setattr(rule, "end", self.end(rule))
                force_setattr(stage, "plain", self.entry(version, pipeline, stage))
        return version, mistakes

    def entry(self, version: Version, pipeline: PipelinePlan, stage: StagePlan) -> Change | None:
        return None

    def end(self, rule: RulePlan) -> End | None:
        return None

    def way(self, rule: RulePlan) -> Way | None:
        raise AssertionError("a compiler of its own says which way")


class Walking(Changing):
    """Every rule takes the walk."""

    def way(self, rule: RulePlan) -> Way | None:
        return None


class Counting(Changing):
    """As published; it counts what went its plain way, by the kind of way."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: dict[str, int] = {}

    def entry(self, version: Version, pipeline: PipelinePlan, stage: StagePlan) -> Change | None:
        change: Change | None = stage.plain
        if change is None or change.__name__ == "counted":
            return change
        change = written(pipeline, stage, version.entities[pipeline.entity]).made()

        def counted(item: Glance, message: ChangeStage, facts: Facts, *told: int) -> Entered | None:
            came_to = change(item, message, facts, *told)
            kind = "entry" if came_to is not None else "no entry"
            self.taken[kind] = self.taken.get(kind, 0) + 1
            return came_to

        return counted

    def end(self, rule: RulePlan) -> End | None:
        end: End | None = rule.end
        if end is None or end.__name__ == "ended":
            return end
        name = end.__name__

        def ended(*what: Any) -> Any:
            came_to = end(*what)
            kind = name if came_to is not None else f"no {name}"
            self.taken[kind] = self.taken.get(kind, 0) + 1
            return came_to

        return ended

    def way(self, rule: RulePlan) -> Way | None:
        way: Way | None = rule.plain
        if way is None or way.__name__ == "counted":
            return way

        def counted(d: Deciding) -> bool:
            went = way(d)
            self.taken[way.__name__] = self.taken.get(way.__name__, 0) + went
            return went

        return counted


def with_plain_rules(random: Random) -> dict[str, str]:
    """A ruleset by chance; between its rules stand some that are plain, and nothing is capped."""
    document = json.loads(ruleset(random)["rules.json"])
    document.pop("caps", None)
    for name, pipeline in document["pipelines"].items():
        for stage in pipeline["stages"]:
            at = random.randrange(len(stage["rules"]) + 1)
            while at < len(stage["rules"]) and stage["rules"][at].get("after_previous"):
                at += 1
            id_ = f"plain-{name}-{stage['id']}"
            sends = {"id": f"{id_}-sends", "when": random.choice(CONDITIONS), "action": MAIL}
            waits = {"id": f"{id_}-waits", "run": {"after": random.choice(DELAYS)}, "action": MAIL}
            stage["rules"][at:at] = [{k: v for k, v in sends.items() if v is not None}, waits]
    return {"rules.json": json.dumps(document)}


Everything = tuple[list[tuple[int, bytes]], dict[str, list[tuple[bytes, bytes]]]]


def everything(world: World) -> Everything:
    """The journal as it was published, and each table as it is stored."""
    reads = world.engine.store.snapshot()
    tables = {table.name: one_form(table, reads.range(table, b"", None, 1 << 20)) for table in Table}
    reads.close()
    return [(position, raw) for position, raw, _ in world.journal], tables


def played(seed: int, compiler: Compiler) -> Everything:
    random = Random(seed)
    world = World(with_plain_rules(random), compiler=compiler)
    world.play(history(random, LENGTH))
    world.end()
    return everything(world)


def entered(seed: int, compiler: Compiler) -> Everything:
    """Deals that are moved again and again, under rules that are nearly all plain; a few moves in a frame.

    The engine does not move its clock, as in `serve`: so items are read at a glance and decided in runs.
    """
    random = Random(seed)
    world = World(plain_ruleset(random), compiler=compiler)
    world.clock.exact = False  # type: ignore[misc]  # nothing else tells the two ways apart
    for one in moves(random, ENTRIES):
        if isinstance(one, list):
            world.submit_all(one)
        else:
            world.play([one])
    before = everything(world)
    world.end()
    after = everything(world)
    return before[0] + after[0], {**before[1], **{f"{name} after": rows for name, rows in after[1].items()}}


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=EXAMPLES)
def test_what_goes_the_plain_way_is_what_the_walk_would_have_written(seed: int) -> None:
    """The same history gives the same journal and tables, byte for byte, with plain ways and without any; but
    that a plain entry lists its actions in front of the item.
    """
    assert played(seed, Counting()) == played(seed, Walking())


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=2 * EXAMPLES)
def test_a_plain_entry_is_the_entry_that_the_walk_would_have_begun(seed: int) -> None:
    """Byte for byte, whatever the rules, the fields, the clients and the left stages are."""
    assert entered(seed, Counting()) == entered(seed, Walking())


def test_the_histories_take_every_plain_way() -> None:
    counting = Counting()
    for seed in range(4):
        played(seed, counting)
    assert counting.taken["wait_fixed"] > 3
    assert counting.taken["send_at_once"] > 3


def test_most_moves_are_plain_entries_and_some_are_left_to_the_walk() -> None:
    counting = Counting()
    for seed in range(3):
        entered(seed, counting)
    assert counting.taken["entry"] > ENTRIES / 2
    assert counting.taken["no entry"] > 3


def test_waits_end_plainly_and_some_are_left_to_the_walk() -> None:
    counting = Counting()
    for seed in range(4):
        entered(seed, counting)
    assert counting.taken["send"] > 3
    assert counting.taken["set_fields"] > 1
    assert counting.taken["no set_fields"] > 0
