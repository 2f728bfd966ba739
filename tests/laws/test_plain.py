"""Plain rules begin without the walk, and nobody can tell from what is stored."""

import json
from collections.abc import Mapping
from random import Random

from hypothesis import given, settings, strategies as st
from msgspec.structs import force_setattr

from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.plain import Way
from stagewheel.server.core.plan import RulePlan, Version
from stagewheel.server.rules.mistakes import Mistake
from stagewheel.server.scenarios.runner import Compiler
from tests.laws.generate import history, ruleset
from tests.laws.world import World

LENGTH = 25
EXAMPLES = 2 if settings().max_examples < 100 else settings().max_examples  # each plays two worlds
MAIL = {"do": "send_email", "from": "desk@example.com", "subject": "{{ item.title }}", "body": "Hello"}
CONDITIONS = ({"size": {"gt": 1}}, {"note": {"is": "x"}}, {"stage": {"is_not": "lost"}}, None)
DELAYS = ("0s", "90s", "5h", "1d", "2w", "1mo 2h")


class Changing(Compiler):
    """A compiler whose rules begin as `way` wants it."""

    def __call__(self, files: Mapping[str, str], number: int) -> tuple[Version, list[Mistake]]:
        version, mistakes = super().__call__(files, number)
        for pipeline in version.pipelines.values():
            for stage in pipeline.stages.values():
                for rule in stage.rules:
                    force_setattr(rule, "plain", self.way(rule))
        return version, mistakes

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


def journal(seed: int, compiler: Compiler) -> list[tuple[int, bytes]]:
    random = Random(seed)
    world = World(with_plain_rules(random), compiler=compiler)
    world.play(history(random, LENGTH))
    world.end()
    return [(position, raw) for position, raw, _ in world.journal]


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=EXAMPLES)
def test_what_goes_the_plain_way_is_what_the_walk_would_have_written(seed: int) -> None:
    """The same history gives the same journal, byte for byte, with plain ways and without any."""
    assert journal(seed, Counting()) == journal(seed, Walking())


def test_the_histories_take_every_plain_way() -> None:
    counting = Counting()
    for seed in range(4):
        journal(seed, counting)
    assert counting.taken["wait_fixed"] > 3
    assert counting.taken["send_at_once"] > 3
