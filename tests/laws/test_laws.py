"""Laws that hold for every ruleset and every history, read from the journal alone."""

from random import Random

from hypothesis import given, settings, strategies as st

from stagewheel.protocol import journal as j
from stagewheel.server.timers.far import LEVELS
from tests.laws.fold import Fold
from tests.laws.generate import ITEMS, history, ruleset
from tests.laws.world import World

LENGTH = 40
EXAMPLES = 12 if settings().max_examples < 100 else settings().max_examples  # each is a world of its own
randoms = st.integers(0, 2**32 - 1).map(Random)  # one small choice: a history needs more of them than fit


def played(random: Random) -> World:
    """A world by chance after a history by chance."""
    files = ruleset(random)
    world = World(files)
    world.play(history(random, LENGTH))
    return world


def folded(world: World) -> dict[str, Fold]:
    """Each item as its journal tells it."""
    folds = {key: Fold(key) for key in ITEMS}
    for _, _, record in world.journal:
        if record.item in folds:
            folds[record.item].read(record)
    return folds


def complaints(world: World) -> list[str]:
    folds = folded(world)
    for fold in folds.values():
        fold.over()
    return [one for fold in folds.values() for one in fold.complaints]


@given(random=randoms)
@settings(max_examples=EXAMPLES)
def test_the_journal_alone_tells_stage_and_waiting_steps_of_each_item(random: Random) -> None:
    world = played(random)
    told = {
        key: (fold.pipeline, fold.stage, fold.entry, fold.waiting())
        for key, fold in folded(world).items()
        if fold.exists
    }
    assert told == world.state()


@given(random=randoms)
@settings(max_examples=EXAMPLES)
def test_one_move_an_event_no_old_step_acts_none_is_early_and_each_has_one_outcome(random: Random) -> None:
    """At most one move by trigger per event and item (5.2); no step of an old entry ever acts (1.7); no rule
    before its time (3.4); at most one outcome a step, exactly one when its entry is over (2.5).
    """
    world = played(random)
    world.end()
    assert complaints(world) == []


@given(seed=st.integers(0, 2**32 - 1), cuts=st.integers(0, 2**32 - 1))
@settings(max_examples=EXAMPLES // 2)
def test_restarts_at_any_moment_leave_no_trace_in_the_journal(seed: int, cuts: int) -> None:
    """The same history gives the same journal, byte for byte, also when cut by restarts at random points, and
    with timers in far buckets, which virtual time does not need.
    """
    journals = []
    for cutting, levels in ((None, ()), (Random(cuts), LEVELS if seed % 2 else ())):
        random = Random(seed)
        world = World(ruleset(random), cutting, levels=levels)
        world.play(history(random, LENGTH))
        world.end()
        journals.append([(position, raw) for position, raw, _ in world.journal])
        assert world.met_far <= bool(levels)
    assert journals[0] == journals[1]


REACHING = (55, 23, 27, 1, 8, 25)  # seeds that meet what is rare; the others follow when they do not


def test_the_generator_reaches_what_the_laws_are_about() -> None:
    """A property test that never meets a cancelled step or a move by trigger proves nothing."""
    wanted = {"Dispatched", "DeliveryTried", "DeadLettered", "WorkflowStepped", "Held", "ItemDeleted"}
    wanted |= {"by trigger", "by rule", "by command", "done: ", "skipped: condition", "skipped: repeat"}
    wanted |= {"cancelled: left stage", "cancelled: chain stopped", "cancelled: item deleted"}
    wanted |= {"cancelled: superseded", "skipped: moment has passed", "StepWaits", "NothingChanged"}
    wanted |= {"CapAwaited", "StepPaused", "AutomationHeld", "TaskPut", "TasksClosed", "task overdue"}
    wanted |= {"outside company", "outside responsible", "outside client", "steps", "to another pipeline"}
    met: set[str] = set()
    cuts, far = 0, False
    for seed in dict.fromkeys((*REACHING, *range(80))):
        random = Random(seed)
        world = World(ruleset(random), Random(seed), levels=LEVELS)
        world.play(history(random, LENGTH))
        world.end()
        cuts += world.cut_count
        far |= world.met_far
        for _, _, record in world.journal:
            for fact in record.did:
                met.add(type(fact).__name__)
                if isinstance(fact, j.StepEnded):
                    met.add(f"{fact.outcome}: {fact.reason}")
                if isinstance(fact, j.StepWaits):
                    met |= {f"outside {name}" for name in fact.outside}
                if isinstance(fact, j.TaskChanged) and fact.why:
                    met.add("task overdue")
                if isinstance(fact, j.WorkflowStarted) and fact.why == "rule":
                    met.add("steps")
                if isinstance(fact, j.Entered) and fact.pipeline:
                    met.add("to another pipeline")
                if isinstance(fact, j.Entered):
                    met.add("by trigger" if fact.trigger else "by rule" if fact.rule else "by command")
        if wanted <= met and cuts > 40:
            break
    assert cuts > 40
    assert far, "timers were in far buckets"
    assert wanted <= met, wanted - met


def test_a_fold_complains_of_a_step_that_acts_in_a_later_entry() -> None:
    """The canary: a journal that breaks the laws is not passed over."""
    fold = Fold("deal:1")

    def read(at_ms: int, *did: j.Did) -> None:
        fold.read(j.Record("deal:1", 0, at_ms, "deals", 1, "Test", list(did)))

    read(0, j.ItemCreated("deals", "T"), j.Entered("", "a", 1), j.StepWaits("r1", 1, 100))
    read(50, j.StepEnded("r1", 1, "done"))
    assert "50 ms too early" in fold.complaints.pop()
    read(60, j.StepEnded("r1", 1, "done"))
    assert "has its outcome and goes on" in fold.complaints.pop()
    read(70, j.StepWaits("r2", 2, 100), j.Entered("a", "b", 2))
    read(100, j.Dispatched("r2", 2, "email", 1))
    assert "acts in entry 2" in fold.complaints.pop()
    read(
        110,
        j.EventSeen("app", "one", "t1"),
        j.EventSeen("app", "two", "t2"),
        j.Entered("b", "c", 3, trigger="t1"),
    )
    assert "events moved it by" in fold.complaints.pop()
    fold.over()
    assert "never came to an outcome" in fold.complaints.pop()
