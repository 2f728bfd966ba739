"""The configuration that docs/inbound.md shows is one that starts, and gives mails their addresses."""

import re
from pathlib import Path

import pytest

from stagewheel.server.config import channels_of, load
from stagewheel.server.inbound.config import PARTS, InboundConfig
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "inbound.md").read_text(encoding="utf-8")


def test_the_example_is_a_configuration_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [example] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.setenv("INBOUND_SIGNING_KEY", "a secret of more than thirty-two bytes")
    path = tmp_path / "server.toml"
    path.write_text(example)
    config = load(str(path), {})
    assert config.inbound is not None
    assert list(config.inbound.mailboxes) == ["info", "help"]
    returns = channels_of(config).email.returns.open()
    assert returns is not None
    assert returns.reply_to("deal:7").startswith("info+")
    assert returns.return_path("deal:7", "offer", "ada@example.com").endswith("deal=3a7=00offer@shop.example")


def test_every_setting_stands_on_the_page() -> None:
    for name in (*InboundConfig.__struct_fields__, *PARTS):
        assert re.search(rf"\b{name}\b", PAGE), name
