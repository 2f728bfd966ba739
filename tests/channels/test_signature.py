"""DKIM: what a receiver verifies with the public key that the domain shows. (H1)"""

import base64
import email
import email.policy
import subprocess
from pathlib import Path
from typing import Any

import dkim  # type: ignore[import-untyped]
import pytest

from stagewheel.errors import OperatorError
from stagewheel.server.channels.base import Delivered, Delivery
from stagewheel.server.channels.email import DkimSettings, EmailSettings
from tests.channels.peers import Content, Inbox, mail_server

DELIVERY = Delivery("0123456789abcdef" * 2, 1, "deal:1", "mail", 1_772_438_400_000)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A private key's file, and the record that the DNS shows for it."""
    path = tmp_path_factory.mktemp("dkim") / "private.pem"
    try:
        subprocess.run(["openssl", "genrsa", "-out", str(path), "1024"], check=True, capture_output=True)
        public = subprocess.run(
            ["openssl", "rsa", "-in", str(path), "-pubout", "-outform", "DER"],
            check=True,
            capture_output=True,
        ).stdout
    except FileNotFoundError:
        pytest.skip("openssl is not installed, so there is no key to sign with")
    return path, b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)


async def taken(content: Content, **settings: Any) -> bytes:
    """The bytes that an SMTP server got."""
    inbox = Inbox()
    with mail_server(inbox) as port:
        channel = EmailSettings(host="127.0.0.1", port=port, timeout_s=5.0, **settings).open("store")
        try:
            assert isinstance(await channel.deliver(content, DELIVERY), Delivered)
        finally:
            await channel.aclose()
    data = inbox.mails[0].content
    assert isinstance(data, bytes)
    return data


def verified(data: bytes, record: bytes, asked: list[bytes] | None = None) -> bool:
    def dns(name: bytes, timeout: int = 5) -> bytes:
        if asked is not None:
            asked.append(name)
        return record

    return bool(dkim.verify(data, dnsfunc=dns))


async def test_a_signature_of_the_senders_domain_verifies_and_covers_what_matters(
    key: tuple[Path, bytes],
) -> None:
    """H1: selector, domain, key from a file; headers of RFC 8058 are signed."""
    path, record = key
    content = Content(
        subject="Grüße " * 20, html="<p>x</p>" * 300, unsubscribe="https://edge.example.com/u/abc"
    )
    data = await taken(content, dkim={"example.com": DkimSettings(selector="s1", key_file=str(path))})
    asked: list[bytes] = []
    assert verified(data, record, asked)
    assert asked == [b"s1._domainkey.example.com."]
    mail = email.message_from_bytes(data, policy=email.policy.default)
    signed = mail["DKIM-Signature"].replace(" ", "")
    assert "d=example.com" in signed
    for name in ("from", "subject", "to", "date", "list-unsubscribe", "list-unsubscribe-post"):
        assert f":{name}:" in f":{signed.partition(';h=')[2].partition(';')[0]}:"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    for forged in (
        data.replace(b"Thank", b"Thunk").replace(b"<p>x</p>", b"<p>y</p>", 1),
        b"From: eve@example.net\r\n" + data,
        b"Subject: forged\r\n" + data,
        data.replace(b"To: ada@", b"To: eve@"),
    ):
        assert not verified(forged, record)


@pytest.mark.parametrize(("sender", "signs"), [("a@mail.example.com", True), ("a@other.example", False)])
async def test_the_key_of_a_domain_signs_for_those_below_it_and_for_no_other(
    key: tuple[Path, bytes], sender: str, signs: bool
) -> None:
    path, record = key
    data = await taken(
        Content(from_=sender), dkim={"example.com": DkimSettings(selector="s1", key_file=str(path))}
    )
    assert (b"DKIM-Signature:" in data) is signs
    assert verified(data, record) is signs


async def test_the_key_may_stand_in_the_environment(
    key: tuple[Path, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, record = key
    monkeypatch.setenv("DKIM_KEY", path.read_text().replace("\n", "\\n"))
    settings = DkimSettings(selector="s1", key_env="DKIM_KEY", identity="news@example.com")
    data = await taken(Content(), dkim={"example.com": settings})
    assert verified(data, record)
    assert b"news@example.com" in data.replace(b"\r\n ", b"")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"selector": "s1"}, "one of key_file and key_env"),
        ({"selector": "", "key_env": "X"}, "a selector"),
        ({"selector": "s1", "key_env": "NO_SUCH_VARIABLE"}, "NO_SUCH_VARIABLE"),
        ({"selector": "s1", "key_file": "missing.pem"}, "cannot read key_file missing.pem"),
        ({"selector": "s1", "key_file": __file__}, "no private RSA key"),
        ({"selector": "s1", "key_env": "X", "identity": "a@b.example"}, "identity"),
    ],
)
def test_what_can_not_sign_is_told_before_anything_starts(settings: dict[str, str], said: str) -> None:
    with pytest.raises(OperatorError, match=said) as told:
        EmailSettings(dkim={"example.com": DkimSettings(**settings)}).check()
    assert "PRIVATE KEY" not in str(told.value)
