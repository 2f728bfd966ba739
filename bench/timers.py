"""Timers: what it costs to set, cancel and fire them, with none and with millions pending.

- `durable_per_s`: a stage change that sets a timer, then one that cancels it, each a committed change of an
  item with its record in the journal, 4,096 a turn, at the turn without sockets. The items are reminders: a
  key and a stage, and nothing that the timer does not need. Cancelling writes no timer row: it is the item
  that forgets its step. `of_deals_per_s` is the same with deals, which have a client and five fields; beside
  each stand the instructions of an operation in the same turns, which do not depend on what else the machine
  does.
- `wheel_per_s`: the wheel alone: insertions and polls of timers that are spread over an hour.
- `pending`: a store with so many waiting timers, from which `--due-rate` a second fall due while it runs: how
  long the server takes until it answers, its memory, and how late the timers fire.

The laws: lateness is read from the journal (the moment of the decision less the moment that was due), of
every timer that fell due; each must have fired exactly once and none early, else there is no figure.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from bench import curves, deals, memory_of, report, stored
from bench.counting import Counter
from bench.served import Served
from stagewheel.errors import StagewheelError
from stagewheel.protocol.journal import Record
from stagewheel.protocol.messages import AnyCommand, ChangeStage, CreateItem
from stagewheel.server.store.base import Snapshot
from stagewheel.server.store.keys import u64
from stagewheel.server.store.tables import Table
from stagewheel.server.timers.wheel import Wheel

NAME = "timers"

SECONDS: Final = 12.0
ROUNDS: Final = 5
ITEMS: Final = 10_000
PER_TURN: Final = 4_096
WHEEL_TIMERS: Final = 200_000
HOUR_MS: Final = 3_600_000
LEAD_MS: Final = 4_000  # from the filling's end to the first timer that falls due
FAR_MS: Final = 30 * 24 * HOUR_MS
LOOK_S: Final = 0.05
GRACE_S: Final = 60.0
MODELS: Final = 2  # each filling leaves one
PAGE: Final = 10_000

WARM_TURNS: Final = 4
REMINDERS: Final = {
    "reminders.yaml": """\
ruleset: reminders
timezone: UTC
entities: {reminder: {fields: {text: text}}}
pipelines:
  reminders:
    entity: reminder
    stages:
      - {id: idle}
      - id: set
        rules: [{id: remind, run: {after: 1d}, action: {do: add_history, text: it is time}}]
"""
}

_decode_record = msgspec.msgpack.Decoder(Record).decode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pending", type=int, default=1_000_000, help="timers that wait in the store")
    parser.add_argument("--due-rate", type=int, default=10_000, help="of them, so many a second fall due")
    parser.add_argument("--rounds", type=int, default=ROUNDS)


def run(args: argparse.Namespace) -> dict[str, Any]:
    seconds = SECONDS if args.seconds is None else args.seconds
    due = int(args.due_rate * seconds / 2)
    if args.rounds < 1 or seconds <= 0 or not 0 < due <= args.pending:
        raise report.Failed("timers needs rounds, some time, and fewer timers that fall due than wait")
    with tempfile.TemporaryDirectory(prefix="timers-") as name:
        try:
            return {
                **durable(Path(name), seconds / 4, args.rounds),
                **wheel(args.rounds),
                "pending": pending(Path(name) / "pending", args.pending, args.due_rate, due),
            }
        except StagewheelError as error:
            raise report.Failed(f"{type(error).__name__}: {error}") from error


# ---------------------------------------------------------------- without sockets


def durable(folder: Path, seconds: float, rounds: int) -> dict[str, Any]:
    """Committed schedules and cancellations a second: of reminders, and of deals."""
    reminders = [CreateItem(f"r:{number}", pipeline="reminders", stage="idle") for number in range(ITEMS)]
    own = _durable(
        folder / "reminders", REMINDERS, reminders, ("set", "idle"), seconds=seconds / 2, rounds=rounds
    )
    stages = (deals.STAGES[1], deals.STAGES[-1])
    of_deals = _durable(
        folder / "deals",
        deals.waiting_ruleset(),
        list(deals.creations(ITEMS)),
        stages,
        seconds=seconds / 2,
        rounds=rounds,
    )
    return {
        "durable_per_s": own["per_s"],
        "durable_spread": own["spread"],
        "durable_instructions": own["instructions"],
        "of_deals_per_s": of_deals["per_s"],
        "of_deals_instructions": of_deals["instructions"],
    }


def _durable(
    data: Path,
    ruleset: dict[str, str],
    creations: list[CreateItem],
    stages: tuple[str, str],
    *,
    seconds: float,
    rounds: int,
) -> dict[str, Any]:
    """Stage changes to and fro, of which one sets a timer and the other one cancels it."""
    counter = Counter()
    engaged = stored.Engaged(data, counter=counter)
    try:
        engaged.publish(ruleset)
        engaged.do(list(creations))
        turns = _turns([one.item for one in creations], stages)
        for _ in range(WARM_TURNS):
            engaged.do(next(turns))
        gc.collect()
        gc.freeze()
        gc.disable()  # as a shard does while it serves
        rates, cost, done = [], 0, 0
        for _ in range(rounds):
            count, taken_s = 0, 0.0
            while taken_s < seconds / rounds:
                commands = next(turns)
                before = engaged.cost
                taken_s += engaged.do(commands)
                cost += engaged.cost - before
                count += len(commands)
            rates.append(count / taken_s)
            done += count
        return {
            "per_s": round(statistics.median(rates)),
            "spread": {"min": round(min(rates)), "max": round(max(rates))},
            "instructions": round(cost / done),
        }
    finally:
        gc.enable()
        counter.close()
        engaged.close()


def _turns(keys: list[str], stages: tuple[str, str]) -> Iterator[list[AnyCommand]]:
    """Rounds over all items: into a stage with a timer, then into one without."""
    while True:
        for stage in stages:
            for start in range(0, len(keys) - PER_TURN + 1, PER_TURN):
                yield [ChangeStage(key, stage=stage) for key in keys[start : start + PER_TURN]]


def wheel(rounds: int) -> dict[str, Any]:
    """Operations (insert, poll) of the wheel alone a second."""
    rates = []
    for round_number in range(rounds):
        made: Wheel[int] = Wheel(start_ms=0)
        timers = [
            (1 + (number * 7_919 + round_number) % (HOUR_MS - 1), number) for number in range(WHEEL_TIMERS)
        ]
        started_s = time.perf_counter()
        for due_ms, number in timers:
            made.insert(due_ms, number)
        now_ms, fired = 0, 0
        while now_ms < HOUR_MS:
            now_ms += 1_000
            fired += len(made.poll(now_ms, WHEEL_TIMERS))
        taken_s = time.perf_counter() - started_s
        if fired != WHEEL_TIMERS:
            raise report.Failed(f"the wheel gave {fired} timers of {WHEEL_TIMERS}")
        rates.append(2 * WHEEL_TIMERS / taken_s)
    return {"wheel_per_s": round(statistics.median(rates))}


# ---------------------------------------------------------------- pending


def pending(folder: Path, count: int, due_rate: int, due: int) -> dict[str, Any]:
    """A server on a store with `count` timers, of which `due` fall due, `due_rate` a second."""
    data = folder / "data"
    filling_s = time.perf_counter()
    stored.fill(data, count - due, lambda number: _now_ms() + FAR_MS + number)
    filling_s = time.perf_counter() - filling_s
    first_ms = _now_ms() + LEAD_MS + due // 25  # and the time that it takes to write them

    def due_ms_of(number: int) -> int:
        return first_ms + (number - (count - due)) * 1000 // due_rate

    stored.fill(data, due, due_ms_of, first=count - due)
    if _now_ms() > first_ms:
        raise report.Failed("filling took longer than was thought; ask for fewer timers that fall due")
    started_s = time.perf_counter()
    with Served(folder) as served:
        ready_s = time.perf_counter() - started_s
        memory = memory_of.of_server(served.pids, served.pid)
        with served.client() as client:
            until_s = time.perf_counter() + (first_ms - _now_ms()) / 1000 + due / due_rate + GRACE_S
            while (left := client.statistics()["timers_stored"]) > count - due + MODELS:
                if time.perf_counter() > until_s:
                    raise report.Failed(f"{left - (count - due + MODELS)} timers have not fired in time")
                time.sleep(LOOK_S)
        after = memory_of.of_server(served.pids, served.pid)
    late_ms = lateness(data, count + MODELS, due_ms_of, due)
    figures = curves.told(curves.histogram([max(one, 0.001) for one in late_ms]))
    return {
        "timers": count,
        "filling_s": round(filling_s, 1),
        "ready_s": round(ready_s, 2),
        "memory_when_ready": memory,
        "memory_afterwards": after,
        "due": due,
        "due_per_s": due_rate,
        "late_ms": figures,
    }


def lateness(
    data: Path, first_position: int, due_ms_of: Callable[[int], int], due: int, first: int = 0
) -> list[float]:
    """How late the timer of each deal from number `first` on fired, in ms, in the order of their numbers,
    from the journal behind `first_position`.
    """
    engaged = stored.Engaged(data)
    snapshot = engaged.store.snapshot()
    try:
        late: dict[int, int] = {}
        for record in _records(snapshot, first_position + 1):
            number = int(record.item.partition(":")[2])
            if record.cause != "TimerFired" or number < first:
                continue
            if number in late:
                raise report.Failed(f"the timer of {record.item} fired twice")
            late[number] = record.at_ms - due_ms_of(number)
    finally:
        snapshot.close()
        engaged.close()
    if len(late) != due or min(late.values()) < 0:
        raise report.Failed(f"{len(late)} of {due} timers fired, the earliest {min(late.values())} ms late")
    return [float(late[number]) for number in sorted(late)]


def _records(snapshot: Snapshot, position: int) -> Iterator[Record]:
    start = u64(position)
    while rows := snapshot.range(Table.JOURNAL, start, None, PAGE):
        yield from (_decode_record(raw) for _, raw in rows)
        start = rows[-1][0] + b"\x00"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
