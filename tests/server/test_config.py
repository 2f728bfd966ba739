"""A server's settings: what is wrong is named before anything starts, and no secret stands in an error."""

from pathlib import Path
from typing import Any

import pytest

from stagewheel.cli.main import main
from stagewheel.errors import OperatorError
from stagewheel.server.config import SOCKET_PATH_BYTES_MAX, ServerConfig, check_address, load, shard_address


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param("data = [", "Invalid", id="no TOML"),
        pytest.param('dta = "x"', "dta", id="a slip of the pen"),
        pytest.param("senders = 'two'", "senders", id="another type"),
        pytest.param("senders = 99", "senders", id="out of range"),
        pytest.param('clock = "sundial"', "sundial", id="an unknown clock"),
        pytest.param("clock_rate = 0", "clock-rate", id="time stands still"),
        pytest.param('clock = "replay"\nclock_rate = 5.0', "replay", id="a rate for a clock without one"),
        pytest.param("listen = []", "listen", id="nowhere to listen"),
        pytest.param("[channels.email]\nhots = 'x'", "hots", id="a slip in a channel"),
        pytest.param("[channels.pigeon]\nhost = 'x'", "pigeon", id="no such channel"),
        pytest.param("[channels.email]\nhost = 'x'\nport = 99999", "port", id="no such port"),
        pytest.param(
            "[channels.email]\nhost = 'mail.example.com'\nusername = 'u'\npassword = 'tulip'",
            "in clear",
            id="a password without TLS",
        ),
    ],
)
def test_a_bad_file_is_refused_and_the_setting_named(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "server.toml"
    path.write_text(text)
    with pytest.raises(OperatorError) as raised:
        load(str(path), {})
    assert named in str(raised.value)
    assert "tulip" not in str(raised.value)


def test_a_file_that_is_missing_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"none\.toml"):
        load(str(tmp_path / "none.toml"), {})
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(OperatorError, match=r"bytes\.toml"):
        load(str(tmp_path / "bytes.toml"), {})


@pytest.mark.parametrize(
    "address",
    [
        "tcp://127.0.0.1:7411",
        "tcp://127.8.9.1:*",
        "tcp://[::1]:7411",
        "tcp://localhost:1",
        "ipc:///run/x.sock",
    ],
)
def test_loopback_and_ipc_may_be_listened_on(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "tcp://0.0.0.0:7411",
        "tcp://*:7411",
        "tcp://[::]:7411",
        "tcp://192.168.1.5:7411",
        "tcp://example.com:7411",
        "tcp://127.0.0.1.example.com:1",
        "tcp://",
        "udp://127.0.0.1:1",
        "7411",
    ],
)
def test_no_other_address_may_be_listened_on(address: str) -> None:
    with pytest.raises(OperatorError, match="listen on"):
        check_address(address)


def test_flags_go_before_the_file_and_the_file_before_defaults(tmp_path: Path) -> None:
    path = tmp_path / "server.toml"
    path.write_text('senders = 2\nclock_rate = 5.0\n[channels.email]\nspool = "mails"\n')
    config = load(str(path), {"senders": 3, "data": str(tmp_path / "data"), "clock": None})
    assert (config.senders, config.clock_rate, config.clock) == (3, 5.0, "system")
    assert config.channels.email.spool == str(tmp_path / "data" / "mails")
    assert config.free_bytes_min == ServerConfig().free_bytes_min


def test_a_deep_data_folder_still_gets_an_address_that_the_kernel_takes(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    address = shard_address(ServerConfig(data=str(deep)))
    assert len(address.removeprefix("ipc://").encode()) <= SOCKET_PATH_BYTES_MAX
    assert address != shard_address(ServerConfig(data=str(deep) + "2"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--listen", "tcp://0.0.0.0:7411"], "no authentication yet"),
        (["--config", "none.toml"], "none.toml"),
        (["--clock", "replay", "--clock-rate", "9"], "no rate"),
        (["--clock-start", "tomorrow"], "clock-start"),
        (["--shards", "17"], "from 1 to 16"),
        (["--shards", "2", "--clock", "replay"], "one order of all that happens"),
        (["--shards", "2", "--listen", "tcp://127.0.0.1:65535"], "takes the ports from 65535 on"),
    ],
)
def test_serve_says_what_is_wrong_and_starts_nothing(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["serve", "--data", str(tmp_path / "data"), *arguments]) == 1
    told = capsys.readouterr()
    assert said in told.err
    assert "Traceback" not in told.err
    assert list(tmp_path.iterdir()) == []
