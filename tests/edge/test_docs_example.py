"""The configuration that docs/edge.md shows is one that starts, and its signing recipe makes what is read."""

import base64
import hashlib
import hmac
import re
from pathlib import Path

import pytest

from stagewheel.server.config import load
from stagewheel.server.edge.signing import read_signed
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "edge.md").read_text(encoding="utf-8")


def test_the_example_is_a_configuration_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example, *additions = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    for name in re.findall(r'_env = "(\w+)"', PAGE):
        monkeypatch.setenv(name, "a secret of more than thirty-two bytes")
    path = tmp_path / "server.toml"
    for addition in ("", *additions):
        path.write_text(example + addition)
        edge = load(str(path), {}).edge
        assert edge is not None
        assert (list(edge.hooks), list(edge.forms)) == (["payments"], ["brief", "contact"])


def test_another_program_signs_as_the_page_says() -> None:
    key, content = b"a signing key of another program", b"1900000000:deal:7"

    def text(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    mac = hmac.new(key, b"visit" + b"\0" + content, hashlib.sha256).digest()
    assert read_signed(key, "visit", f"{text(content)}.{text(mac)}", 1_800_000_000) == "deal:7"
