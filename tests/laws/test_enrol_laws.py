"""The laws hold when items take new versions in the middle of their entries, by chance (1.6, N6)."""

from random import Random

from hypothesis import given, settings, strategies as st

from stagewheel.protocol import journal as j
from stagewheel.protocol.messages import ActivateVersion, EnrolItem, HoldItem
from tests.laws.generate import ITEMS, Happening, history, ruleset
from tests.laws.test_laws import EXAMPLES, complaints, folded
from tests.laws.world import World

LENGTH = 40
seeds = st.integers(0, 2**32 - 1)


def with_enrolments(random: Random) -> list[Happening]:
    """A history with new rulesets, after which items take them, one by one or all."""
    made: list[Happening] = []
    for one in history(random, LENGTH):
        made.append(one)
        kind = random.randrange(8)
        mode, from_entry = random.choice(["new", "new", "restart"]), random.random() < 0.5
        if kind == 0:
            made += [ruleset(random), EnrolItem(random.choice(ITEMS), mode=mode, from_entry=from_entry)]
        elif kind == 1:
            made.append(EnrolItem(random.choice(ITEMS), mode=mode, from_entry=from_entry))
        elif kind == 2:
            version = random.choice([0, 1, 2])
            made.append(
                ActivateVersion("", ruleset="laws", version=version, enrol=mode, from_entry=from_entry)
            )
    return made


def played(random: Random) -> World:
    world = World(ruleset(random))
    world.play(with_enrolments(random))
    return world


def begun_twice(world: World) -> list[str]:
    """Rules that had more than one step in one entry of an item; one that was taken out before its turn may
    come back.
    """
    found = []
    for key in ITEMS:
        entry = 0
        born: dict[int, tuple[int, str]] = {}  # step -> entry and rule of its first fact
        taken_out: set[int] = set()
        for record in world.records_of(key):
            for fact in record.did:
                if isinstance(fact, j.Entered):
                    entry = fact.entry
                elif isinstance(fact, j.StepWaits | j.Dispatched | j.StepEnded) and fact.step:
                    born.setdefault(fact.step, (entry, fact.rule))
                if isinstance(fact, j.StepEnded) and fact.reason == "rule removed":
                    taken_out.add(fact.step)
        steps: dict[tuple[int, str], list[int]] = {}
        for step, of in born.items():
            if step not in taken_out and of[1].startswith("r"):
                steps.setdefault(of, []).append(step)
        found += [f"{key}: {of} has steps {numbers}" for of, numbers in steps.items() if len(numbers) > 1]
    return found


@given(seed=seeds)
@settings(max_examples=EXAMPLES // 2)
def test_s1_6_enrolled_items_keep_the_laws_and_no_rule_begins_twice_in_an_entry(seed: int) -> None:
    """The journal alone tells stage and waiting steps, as of any item."""
    world = played(Random(seed))
    told = {
        key: (fold.pipeline, fold.stage, fold.entry, fold.waiting())
        for key, fold in folded(world).items()
        if fold.exists
    }
    assert told == world.state()
    for key in ITEMS:
        world.submit(HoldItem(key, mode="resume"))
    world.end()
    assert complaints(world) == []
    assert begun_twice(world) == []
    assert world.engine.tally.poison == 0


@given(seed=seeds, cuts=seeds)
@settings(max_examples=EXAMPLES // 10)
def test_s1_6_restarts_leave_no_trace_of_an_enrolment_in_the_journal(seed: int, cuts: int) -> None:
    journals = []
    for cutting in (None, Random(cuts)):
        random = Random(seed)
        world = World(ruleset(random), cutting)
        world.play(with_enrolments(random))
        world.end()
        journals.append([(position, raw) for position, raw, _ in world.journal])
    assert journals[0] == journals[1]


def test_the_histories_reach_what_enrolment_is_about() -> None:
    met: set[str] = set()
    for seed in (0, 1, 2, 3, 23):
        for _, _, record in played(Random(seed)).journal:
            for fact in record.did:
                if isinstance(fact, j.Enrolled):
                    met |= {"over"} if fact.over else set()
                    met |= {"left"} if fact.left else set()
                elif isinstance(fact, j.StepEnded) and record.cause == "EnrolItem":
                    met.add(f"{fact.outcome}: {fact.reason}")
                elif isinstance(fact, j.StepWaits) and record.cause == "EnrolItem":
                    met.add("waits")
    wanted = {"over", "waits", "done: ", "cancelled: rule removed", "cancelled: its chain is over"}
    assert wanted <= met, wanted - met
