"""The whole server in virtual time, cut at every seam of its turns: nothing is lost, early, twice or out of
order, and the journal is the same, byte for byte, as if nothing had happened.

The canaries plant a bug and must be caught by the same checker: they prove that it can see.
"""

from collections import Counter
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from stagewheel.clock import VirtualClock
from stagewheel.protocol.codec import decode_record
from stagewheel.protocol.journal import CapCounted, Dispatched, Entered, StepEnded
from stagewheel.protocol.messages import Submit
from stagewheel.server.actors.answers import producer_bytes
from stagewheel.server.actors.engine import Engine, Inbound, Outbound
from stagewheel.server.actors.turn import Turn
from stagewheel.server.ingress.admission import ProducerState, decode_producer, encode_producer
from stagewheel.server.store.memory import MemoryStore
from stagewheel.server.store.tables import Table
from tests.actors.shard import compiled
from tests.simulation.checker import look
from tests.simulation.script import script
from tests.simulation.world import Broken, Make, World, make_engine

SEEDS = range(8)
Left = tuple[bytes, Submit, int]


def check(world: World) -> None:
    assert look(world) == []


def played(seed: int, crashes: int | None = None, make: Make = make_engine) -> World:
    return World(seed, crashes, make).run(script(seed), check)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_history_cut_anywhere_has_the_journal_of_one_that_is_not(seed: int) -> None:
    whole = played(seed)
    assert look(whole, at_end=True) == []
    for crashes in (seed, seed + 1000):
        cut = played(seed, crashes)
        assert look(cut, at_end=True) == []
        assert cut.journal() == whole.journal()
        assert [kept.results for kept in cut.sent.values()] == [kept.results for kept in whole.sent.values()]


def test_the_same_seed_gives_the_same_journal() -> None:
    assert played(3).journal() == played(3).journal()
    assert played(3).journal() != played(4).journal()


def test_the_histories_do_what_they_are_meant_to_and_are_cut_in_every_way() -> None:
    cuts: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    kinds: Counter[type] = Counter()
    caps: Counter[bool] = Counter()
    for seed in SEEDS:
        world = played(seed, seed)
        cuts.update(world.cuts)
        for _, raw in world.journal():
            for fact in decode_record(raw).did:
                if isinstance(fact, CapCounted):
                    caps[fact.granted] += 1
                kinds[type(fact)] += 1
                if isinstance(fact, StepEnded):
                    outcomes[fact.outcome] += 1
    assert min(cuts[kind] for kind in ("full", "died before", "frames lost", "died after")) > 20
    assert min(outcomes[kind] for kind in ("done", "skipped", "failed", "cancelled")) > 5
    assert min(kinds[Entered], 2 * kinds[Dispatched]) > 150
    assert min(caps[True], 3 * caps[False]) > 60


# ---------------------------------------------------------------- canaries


class AnswersBeforeCommit(Engine):
    """It sends what it meant to say, also when nothing was stored."""

    def _write(self, turn: Turn) -> bool:
        self.meant = list(turn.frames)
        return super()._write(turn)

    def turn(self, inbound: Inbound) -> Outbound:
        outbound = super().turn(inbound)
        return outbound if outbound.committed else Outbound(self.meant, [])


class DropsATimer(Engine):
    """Each start loses the timer that is due first."""

    def reload(self) -> None:
        super().reload()
        first = self.timers.near.peek()
        if first is not None:
            self.timers.near.due(first[0], 1)


class TakesTwice(Engine):
    """It forgets a producer's number while it judges what was sent again."""

    def _submits(self, turn: Turn, submits: Sequence[tuple[bytes, Submit, int]]) -> list[Left]:
        for one in submits:
            session = self.sessions.get(one[0], turn.now_ms)
            key = producer_bytes(session.producer) if session is not None else b""
            row = turn.transaction.get(Table.PRODUCERS, key) if key else None
            if row is None:
                super()._submits(turn, [one])
                continue
            state = decode_producer(row)
            self._put(turn, key, replace(state, next_seq=min(state.next_seq, one[1].seq)))
            super()._submits(turn, [one])
            turn.flush()
            after = decode_producer(turn.transaction.get(Table.PRODUCERS, key) or row)
            self._put(turn, key, replace(after, next_seq=max(state.next_seq, after.next_seq)))
        return []

    def _put(self, turn: Turn, key: bytes, state: ProducerState) -> None:
        turn.batch.put(Table.PRODUCERS, key, encode_producer(state))
        turn.flush()


def found(make: Make) -> list[str]:
    """What the checker says of histories under a planted bug, until it says something."""
    complaints: list[str] = []

    def note(world: World) -> None:
        complaints.extend(look(world))

    for seed in SEEDS:
        try:
            world = World(seed, seed, make).run(script(seed), note)
            complaints += look(world, at_end=True)
        except Broken as error:
            complaints.append(f"broken: {error}")
        if complaints:
            break
    return complaints


def planted(kind: type[Engine]) -> Make:
    def make(store: MemoryStore, clock: VirtualClock) -> Engine:
        return kind(store, clock, compiled, free_bytes_min=0)

    return make


def test_canary_an_answer_before_its_commit_is_caught() -> None:
    # The client goes on from a number that was never taken, or reads back what was never applied.
    complaints = found(planted(AnswersBeforeCommit))
    assert any("applied" in one or "gap" in one for one in complaints)


def test_canary_a_dropped_timer_is_caught() -> None:
    assert any("since long" in one or "rest" in one for one in found(planted(DropsATimer)))


def test_canary_a_sequence_that_is_taken_twice_is_caught() -> None:
    assert any("times" in one for one in found(planted(TakesTwice)))


def test_canary_a_timer_that_fires_early_is_caught() -> None:
    class Hasty(Engine):
        def next_due_ms(self) -> int | None:
            due_ms = super().next_due_ms()
            return None if due_ms is None else max(self.now_ms(), due_ms - 10)

        def next_timers(self, turn: Turn, until_ms: int) -> list[tuple[int, bytes, bytes]]:
            due = super().next_timers(turn, until_ms + 10)
            turn.now_ms = min(turn.now_ms, until_ms)
            return due

    complaints = found(planted(Hasty))
    assert complaints, "it fired ten milliseconds early"
