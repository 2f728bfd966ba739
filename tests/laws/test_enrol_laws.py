"""The laws hold when items take new versions in the middle of their entries, by chance (1.6, N6)."""

from collections import defaultdict
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from stagewheel.protocol import journal as j
from stagewheel.protocol.messages import ActivateVersion, EnrolItem
from tests.laws.generate import ITEMS, Happening, history, ruleset
from tests.laws.test_laws import EXAMPLES, complaints, folded
from tests.laws.world import World

LENGTH = 40
randoms = st.randoms(use_true_random=False)


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
    """Rules that had more than one step in one entry of an item."""
    found = []
    for key in ITEMS:
        entry, steps = 0, defaultdict[tuple[int, str], set[int]](set)
        for record in world.records_of(key):
            for fact in record.did:
                if isinstance(fact, j.Entered):
                    entry = fact.entry
                elif isinstance(fact, j.StepWaits | j.Dispatched) or (
                    isinstance(fact, j.StepEnded) and record.cause != "DeliveryReported" and fact.step
                ):
                    steps[entry, fact.rule].add(fact.step)
        found += [
            f"{key}: {rule} has steps {sorted(numbers)} in entry {of}"
            for (of, rule), numbers in steps.items()
            if len(numbers) > 1 and rule.startswith("r")
        ]
    return found


@given(random=randoms)
@settings(max_examples=EXAMPLES)
def test_s1_6_the_journal_alone_tells_the_steps_of_enrolled_items_and_none_breaks_a_law(
    random: Random,
) -> None:
    world = played(random)
    told = {
        key: (fold.pipeline, fold.stage, fold.entry, fold.waiting())
        for key, fold in folded(world).items()
        if fold.exists
    }
    assert told == world.state()
    world.end()
    assert complaints(world) == []
    assert world.engine.tally.poison == 0


@given(random=randoms)
@settings(max_examples=EXAMPLES)
def test_s1_6_a_rule_begins_at_most_once_in_an_entry_however_many_versions_it_takes(random: Random) -> None:
    world = played(random)
    world.end()
    assert begun_twice(world) == []


@given(seed=st.integers(0, 2**32 - 1), cuts=st.integers(0, 2**32 - 1))
@settings(max_examples=EXAMPLES // 3)
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
    for seed in range(25):
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
