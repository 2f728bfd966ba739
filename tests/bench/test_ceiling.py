"""The ceiling does the work it claims: rows of the agreed sizes, every event stored, and an honest result."""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bench import ceiling, machine, report

NOW_MS = 1_780_000_000_000
KEYS = [f"deal:{number}".encode() for number in range(200)]


def moved(tables: ceiling.Tables, seq: int) -> tuple[ceiling.Incoming, bytes]:
    """Runs one frame of changes through a turn, as the server does."""
    draw = random.Random(seq)
    changes = [
        ceiling.StageChange(draw.choice(KEYS).decode(), draw.choice(ceiling.STAGES), {"amount": 100_000})
        for _ in range(ceiling.COMMANDS_PER_FRAME)
    ]
    frame = ceiling.Incoming(ceiling.PRODUCER, seq, changes)
    _, [(_, answer)] = ceiling.run_turn(tables, [(b"peer", frame)], seq)
    return frame, answer


def rows(tables: ceiling.Tables) -> dict[str, list[tuple[bytes, bytes]]]:
    with tables.env.begin() as txn:
        return {
            name: list(txn.cursor(getattr(tables, name)))
            for name in ("items", "timers", "outbox", "journal", "answers", "producers")
        }


@pytest.fixture
def tables(tmp_path: Path) -> ceiling.Tables:
    made = ceiling.Tables(tmp_path)
    made.load(len(KEYS), NOW_MS)
    return made


def test_a_turn_writes_the_rows_of_a_decision_and_replaces_the_timer(tables: ceiling.Tables) -> None:
    first, answer = moved(tables, 0)
    second, _ = moved(tables, 64)
    found = rows(tables)
    counts = {name: len(found[name]) for name in found}
    assert counts == {
        "items": 200, "timers": 200, "outbox": 128, "journal": 128, "answers": 2, "producers": 1,
    }  # fmt: skip
    assert found["answers"][0] == (ceiling.PRODUCER + ceiling.pack_u64(0), answer)
    assert found["producers"] == [(ceiling.PRODUCER, ceiling.pack_u64(64))]
    stages = {change.item: change.stage for frame in (first, second) for change in frame.commands}
    stored = {item.key: item for item in (ceiling.decode_item(row) for _, row in found["items"])}
    assert {key: stored[key].stage for key in stages} == stages
    times = Counter(change.item for frame in (first, second) for change in frame.commands)
    assert {key: stored[key].entry - 1 for key in times} == times
    waiting = {ceiling.timer_key(i.steps[1].due_ms, i.key.encode(), i.step_count) for i in stored.values()}
    assert {key for key, _ in found["timers"]} == waiting


def test_rows_keep_the_sizes_that_results_are_compared_by(tables: ceiling.Tables) -> None:
    moved(tables, 0)
    found = rows(tables)
    [item_bytes] = {len(row) for key, row in found["items"] if key == b"deal:100"}
    assert 195 <= item_bytes <= 220
    assert len(ceiling.OUTBOX_HEAD) == 26
    assert {len(row) for _, row in found["journal"]} == {76}
    assert {(len(key) - len(b"deal:0"), len(row)) for key, row in found["timers"]} == {
        (12, 4), (13, 4), (14, 4),
    }  # fmt: skip
    assert len(found["answers"][0][0]) == 24


def test_the_ceiling_counts_every_event_it_was_asked_for(tmp_path: Path) -> None:
    result = ceiling.run_ceiling(items=100, events=1_300, folder=tmp_path)
    assert result["events"] == 1_280  # whole frames
    assert result["events_per_s"] * result["us_per_event"] == pytest.approx(1e6, rel=0.01)
    assert list(tmp_path.iterdir()) == []


def test_the_ceiling_ends_when_its_time_is_over(tmp_path: Path) -> None:
    result = ceiling.run_ceiling(items=100, seconds=0.2, folder=tmp_path)
    assert 0.2 <= result["seconds"] < 20
    assert result["events"] % ceiling.COMMANDS_PER_FRAME == 0
    assert result["events"] > 0


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    root = Path(ceiling.__file__).parent.parent
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=root, env={**os.environ}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_command_prints_one_json_object_with_the_machine_it_ran_on() -> None:
    done = bench("ceiling", "--items", "50", "--events", "640", "--json", "-")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["benchmark"], result["items"], result["events"]) == ("ceiling", 50, 640)
    assert result["machine"]["cores"] >= 1
    assert result["machine"]["fdatasync_4k_us"] > 0
    assert set(result["machine"]["versions"]) == {"python", "lmdb", "msgspec", "pyzmq"}


def test_an_unknown_benchmark_is_refused_with_the_names_that_exist() -> None:
    done = bench("no_such")
    assert done.returncode == 2
    assert "ceiling" in done.stderr


def test_a_run_of_less_than_a_frame_is_refused_and_gives_no_figure() -> None:
    done = bench("ceiling", "--events", "63", "--json", "-")
    assert (done.returncode, done.stdout) == (1, "")
    assert "64 events" in done.stderr


def test_a_result_is_written_to_the_file_that_was_named(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    report.emit({"events_per_s": 12_345}, str(target))
    assert json.loads(target.read_text()) == {"events_per_s": 12_345}


def test_a_result_for_people_groups_digits_and_indents_what_is_nested() -> None:
    lines = list(report.readable({"events_per_s": 12_345, "latency_ms": {"p50": 1.5}}))
    assert lines == ["events_per_s  12,345", "latency_ms", "  p50  1.5"]


def test_the_machine_tells_its_processor_and_a_flush_that_took_time(tmp_path: Path) -> None:
    assert machine.processor_name()
    assert machine.flush_us(tmp_path, samples=3) > 0
