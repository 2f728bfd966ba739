"""`serve` as a process: what it says when it is ready, how it ends, and what it refuses."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from stagewheel.cli.local_server import local_server
from stagewheel.client.blocking import Client
from stagewheel.errors import OperatorError

END_S = 30.0


def serve(folder: Path, *flags: str) -> "subprocess.Popen[str]":
    """The command, with its output to read."""
    command = [sys.executable, "-m", "stagewheel.cli.main", "serve", "--data", str(folder), *flags]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Its status and what it said on standard error."""
    try:
        _, errors = process.communicate(timeout=END_S)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    return process.returncode, errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_ends_in_order_on_a_signal(number: int, tmp_path: Path) -> None:
    process = serve(tmp_path, "--listen", "tcp://127.0.0.1:0", "--json")
    assert process.stdout is not None
    shard = json.loads(process.stdout.readline())
    sender = json.loads(process.stdout.readline())
    assert shard["ready"] == "shard"
    assert shard["listen"][0].startswith("tcp://127.0.0.1:")
    assert shard["listen"][1].startswith("ipc://")
    assert set(sender["pids"]) == {"shard-0", "sender-0-0"}
    with Client(shard["listen"][1]) as client:
        assert client.connect().shards == [shard["listen"][0]]
    process.send_signal(number)
    status, errors = ended(process)
    assert status == 0, errors
    assert "Traceback" not in errors


def test_people_get_one_line(tmp_path: Path) -> None:
    process = serve(tmp_path, "--listen", "tcp://127.0.0.1:0", "--senders", "0")
    assert process.stdout is not None
    line = process.stdout.readline()
    process.terminate()
    assert ended(process)[0] == 0
    assert " ready at tcp://127.0.0.1:" in line
    assert f"data in {tmp_path}" in line


def test_with_an_edge_people_are_told_where_it_speaks_http(tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text('senders = 0\n[edge]\nlisten = "127.0.0.1:0"\n')
    process = serve(tmp_path / "data", "--listen", "tcp://127.0.0.1:0", "--config", str(config))
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(2)]
    with httpx.Client() as web:
        answer = web.get(lines[1].removeprefix("HTTP at ").strip() + "/readyz")
        process.terminate()
        assert ended(process) == (0, ""), "it ends in order, also while somebody is connected"
    assert answer.json() == {"status": "ready"}


def test_a_second_server_on_the_same_folder_is_refused_and_the_first_lives(tmp_path: Path) -> None:
    with local_server(tmp_path, "senders = 0\n") as first:
        status, errors = ended(serve(tmp_path / "data", "--listen", "tcp://127.0.0.1:0"))
        assert status == 1
        assert "is in use by process" in errors
        assert "Traceback" not in errors
        with Client(first.address) as client:
            assert client.statistics()["items_stored"] == 0


def test_an_address_in_use_is_told(tmp_path: Path) -> None:
    with local_server(tmp_path, "senders = 0\n") as first:
        status, errors = ended(serve(tmp_path / "other", "--listen", first.address))
        assert status == 1
        assert first.address in errors
        assert "Traceback" not in errors


def test_a_local_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(OperatorError, match=r"(?s)did not become ready.*unknown field `speed`"),
        local_server(tmp_path, "speed = 3\n"),
    ):
        pytest.fail("it is not ready")
