"""What benchmarks are made of: stores that are filled, curves, comparisons, pages. M7."""

from pathlib import Path

import msgspec
import pytest

from bench import __main__ as command, compare, curves, deals, pages, report, stored
from stagewheel.server.actors.stage_lists import listed
from stagewheel.server.core.item import decode_item
from stagewheel.server.store.keys import u64
from stagewheel.server.store.tables import Table

MOMENT_MS = 1_900_000_000_000


def test_rows_of_a_filled_store_are_those_that_the_engine_writes(tmp_path: Path) -> None:
    stored.fill(tmp_path, 3, lambda number: MOMENT_MS + number)
    engaged = stored.Engaged(tmp_path)
    try:
        engaged.do([made for made in deals.creations(4) if made.item == "deal:3"])
        snapshot = engaged.store.snapshot()
        copied, own = (decode_item(_row(snapshot.get(Table.ITEMS, f"deal:{n}".encode()))) for n in (2, 3))
        entries = [_journal(snapshot.get(Table.JOURNAL, u64(item.head))) for item in (copied, own)]
        counts = snapshot.count(Table.ITEMS), len(listed(snapshot, b"", b"", 10))
        timers = engaged.engine.timers
        assert timers.stored(snapshot) == 5
        snapshot.close()
        assert [timers.next_ms(exact=exact) is not None for exact in (True, False)] == [True, True]
    finally:
        engaged.close()
    assert counts == (5, 5)
    moments = dict.fromkeys(("entered_ms", "created_ms", "updated_ms", "head", "entered_at"), 0)
    assert copied.steps[0].due_ms == MOMENT_MS + 2
    plain = [msgspec.structs.replace(item, key="", title="", steps=[], **moments) for item in (copied, own)]
    assert plain[0] == plain[1]
    assert entries[0] == entries[1]


def _row(row: bytes | None) -> bytes:
    assert row is not None
    return row


def _journal(raw: bytes | None) -> list[str]:
    """A record, without what differs from deal to deal."""
    record = stored.decode_record(_row(raw))
    return [record.pipeline, record.cause, *(type(fact).__name__ for fact in record.did)]


def test_a_command_that_is_not_applied_ends_the_filling(tmp_path: Path) -> None:
    engaged = stored.Engaged(tmp_path)
    try:
        with pytest.raises(report.Failed, match="unknown_pipeline"):
            engaged.do(list(deals.creations(1)))
    finally:
        engaged.close()


def test_percentiles_are_those_of_all_values_to_three_digits() -> None:
    told = curves.told(curves.histogram(float(number) for number in range(1, 1001)))
    assert told["count"] == 1000
    assert told["p50"] == pytest.approx(500, rel=0.002)
    assert told["p99"] == pytest.approx(990, rel=0.002)
    assert told["max"] == pytest.approx(1000, rel=0.002)
    ranks = [rank for rank, _ in told["curve"]]
    assert ranks == sorted(ranks)
    assert ranks[-1] == 100


def test_two_results_stand_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for number, (rate, flush) in enumerate(((100, 90.0), (150, 900.0))):
        path = tmp_path / f"{number}.json"
        result = {"benchmark": "x", "events_per_s": rate, "machine": {"fdatasync_4k_us": flush, "cores": 2}}
        path.write_bytes(msgspec.json.encode(result))
        paths.append(str(path))
    assert command.main(["compare", *paths]) == 0
    out = capsys.readouterr().out
    assert "a flush took 90.0 and 900.0" in out
    assert out.splitlines()[-1].split() == ["events_per_s", "100", "150", "1.500"]
    with pytest.raises(report.Failed, match="one is of x, the other of y"):
        list(compare.lines({"benchmark": "x"}, {"benchmark": "y"}))


def test_the_report_says_what_the_files_say(tmp_path: Path) -> None:
    told = curves.told(curves.histogram([1.0, 2.0, 3.0]))
    result = {
        "benchmark": "latency",
        "at_events_per_s": {"100": {**told, "held": True}},
        "machine": {"processor": "p", "cores": 2, "fdatasync_4k_us": 100.0, "versions": {"lmdb": "3"}},
    }
    (tmp_path / "latency.json").write_bytes(msgspec.json.encode(result))
    page = pages.write(tmp_path).read_text()
    assert "![latency](latency.png)" in page
    assert "| at_events_per_s.100.count | 3 |" in page
    assert "a flush of 4 KiB in 100.0 µs" in page
    assert (tmp_path / "latency.png").read_bytes().startswith(b"\x89PNG")


def test_every_benchmark_says_what_it_is_and_takes_seconds() -> None:
    names = command.benchmarks()
    wanted = {"ceiling", "hot_path", "latency", "triggers", "timers", "timer_storm", "mail", "webhooks"}
    assert wanted | {"memory", "restart", "growth", "conditions", "client", "load", "peers"} <= names.keys()
    for name in names:
        needs = ["--connect", "tcp://127.0.0.1:1"] if name == "load" else []
        benchmark, args = command.parse([name, "--seconds", "3", *needs])
        assert (benchmark.NAME, args.seconds) == (name, 3.0)
        assert benchmark.__doc__
