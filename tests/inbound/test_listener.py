"""Who may speak to the listener, and how much: real SMTP to it, with a shard of the test behind."""

import asyncio
import smtplib
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stagewheel.errors import OperatorError
from stagewheel.protocol.errors import Closed, TimedOut
from stagewheel.protocol.messages import AnyCommand, Applied, Failed, RaiseEvent, Result
from stagewheel.protocol.partitions import partition_of
from stagewheel.server.inbound.config import InboundConfig, MailboxConfig, check
from stagewheel.server.inbound.desk import Desk
from stagewheel.server.inbound.listener import Listener
from stagewheel.server.inbound.process import run_inbound
from stagewheel.server.inbound.shard import Away, Gate
from tests.channels.peers import certificate
from tests.inbound.conftest import REPLY, mail, send

CONFIG = InboundConfig({"info": MailboxConfig((REPLY,))}, listen="127.0.0.1:0", timeout_s=20)
PASSWORD = "a password of the tests"


class Answering:
    """A shard that answers as a test says."""

    def __init__(self, *results: Result) -> None:
        self.results, self.commands = list(results), list[AnyCommand]()

    async def submit(self, commands: Sequence[AnyCommand], wait_applied: bool = False) -> list[Result]:
        self.commands += commands
        return [self.results.pop(0) if self.results else Applied() for _ in commands]

    async def statistics(self, shard: int = -1) -> dict[str, Any]:
        return {}


@contextmanager
def listening(config: InboundConfig, shard: Answering, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A listener on loopback; its port."""
    loop = asyncio.new_event_loop()
    secrets = check(config)
    desk = Desk(config, Gate(shard), secrets.signing_key)
    listener = Listener(config, secrets, desk, tls)

    async def start() -> Any:
        return await loop.create_server(listener.conversation, "127.0.0.1", 0)

    server = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, name="listener")
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.run_until_complete(_end())
        loop.close()


async def _end() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def greeting(port: int) -> int:
    smtp = smtplib.SMTP(timeout=10)
    code, _ = smtp.connect("127.0.0.1", port)
    smtp.close()
    return code


def test_a_host_that_is_not_named_is_turned_away_before_it_says_a_word() -> None:
    config = msgspec.structs.replace(CONFIG, allow_from=("192.0.2.0/24",))
    with listening(config, Answering()) as port:
        assert greeting(port) == 554


def test_no_more_connections_and_mails_are_taken_than_are_allowed() -> None:
    config = msgspec.structs.replace(CONFIG, connections_max=1, rate_per_minute=1, burst=2)
    with listening(config, Answering()) as port, smtplib.SMTP("127.0.0.1", port, timeout=10) as post:
        assert greeting(port) == 421
        assert [send(post, mail(number))[0] for number in range(3)] == [250, 250, 451]


def test_with_tls_and_a_login_nobody_sends_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOUND_PASSWORD", PASSWORD)
    tls, trusted = certificate(tmp_path)
    config = msgspec.structs.replace(CONFIG, login="mx", password_env="INBOUND_PASSWORD")
    shard = Answering()
    with listening(config, shard, tls) as port, smtplib.SMTP("localhost", port, timeout=10) as post:
        post.ehlo()
        assert post.mail("ada@example.com")[0] == 530
        post.starttls(context=ssl.create_default_context(cafile=str(trusted)))
        post.ehlo()
        assert post.mail("ada@example.com")[0] == 530
        with pytest.raises(smtplib.SMTPAuthenticationError):
            post.login("mx", "a wrong password")
        post.login("mx", PASSWORD)
        assert send(post, mail(1))[0] == 250
    [event] = shard.commands
    assert isinstance(event, RaiseEvent)
    assert (event.item, event.type, event.code) == ("contact:ada@example.com", "incoming_email", "info")


def test_logins_that_fail_count_as_mails_and_then_not_even_the_right_one_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INBOUND_PASSWORD", PASSWORD)
    tls, trusted = certificate(tmp_path)
    config = msgspec.structs.replace(
        CONFIG, login="mx", password_env="INBOUND_PASSWORD", rate_per_minute=1, burst=2
    )
    with listening(config, Answering(), tls) as port, smtplib.SMTP("localhost", port, timeout=10) as post:
        post.starttls(context=ssl.create_default_context(cafile=str(trusted)))
        post.ehlo()
        codes = []
        for password in ("wrong", "wrong again", PASSWORD):
            post.user, post.password = "mx", password
            with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
                post.auth("PLAIN", post.auth_plain)
            codes.append(refused.value.smtp_code)
        assert codes == [535, 535, 454]
        assert post.mail("ada@example.com")[0] == 530


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("mailbox_full", 451),
        ("storage_full", 451),
        ("bad_value", 554),
        ("unknown_item", 250),
        ("internal", 250),
    ],
)
def test_what_the_shard_refuses_is_told_to_who_sends_it(code: str, answer: int) -> None:
    with (
        listening(CONFIG, Answering(Failed(code))) as port,
        smtplib.SMTP("127.0.0.1", port, timeout=10) as post,
    ):
        assert send(post, mail(1))[0] == answer


async def _watched() -> tuple[list[str], Exception]:
    """What becomes of three mails while a shard does not answer, answers again, and is over."""
    told: list[str] = []
    back = asyncio.Event()

    class Silent(Answering):
        async def submit(self, commands: Sequence[AnyCommand], wait_applied: bool = False) -> list[Result]:
            told.append("asked")
            raise Closed("over") if len(told) > 2 else TimedOut("no answer")

        async def statistics(self, shard: int = -1) -> dict[str, Any]:
            if len(told) > 2:
                raise Closed("over")
            told.append("back")
            back.set()
            return {}

    gate = Gate(Silent())
    watching = asyncio.ensure_future(gate.watch())
    desk = Desk(CONFIG, gate, b"")
    target = desk.target(REPLY)
    assert target is not None
    for _ in range(2):
        assert (await desk.take(mail(1).as_bytes(), "ada@example.com", [target])).startswith("451")
        await asyncio.wait([watching, asyncio.ensure_future(back.wait())], return_when="FIRST_COMPLETED")
    return told, await watching


def test_a_session_that_is_over_ends_the_process_and_one_that_comes_back_does_not() -> None:
    told, error = asyncio.run(_watched())
    assert told == ["asked", "back", "asked"]
    assert isinstance(error, Closed)


async def _half_away() -> list[str]:
    """What becomes of events for two shards, of which the second is dead."""
    told: list[str] = []

    class Half(Answering):
        async def submit(self, commands: Sequence[AnyCommand], wait_applied: bool = False) -> list[Result]:
            told.extend(one.item for one in commands)
            if any(partition_of(one.item) % 2 for one in commands):
                raise TimedOut("no answer")
            return [Applied()]

    gate = Gate(Half(), shards=2)
    own = {partition_of(key) % 2: key for key in ("deal:1", "deal:2", "deal:3", "deal:4")}
    for shard in (1, 1, 0):
        try:
            await gate.submit([RaiseEvent(own[shard])])
        except Away:
            told.append("away")
    return ["one" if key == own[0] else "two" if key == own[1] else key for key in told]


def test_a_dead_shard_holds_up_only_the_mails_that_are_its() -> None:
    assert asyncio.run(_half_away()) == ["two", "away", "away", "one"]


WRONG = {
    "listen": ({"listen": "mail:25"}, "inbound.listen: 'mail:25'"),
    "others without tls": ({"listen": "192.0.2.1:25"}, "set tls_cert_file"),
    "everybody": ({"allow_from": ("0.0.0.0/0",)}, "0.0.0.0/0 is everybody"),
    "no network": ({"allow_from": ("mx",)}, "'mx' is no network"),
    "no mailbox": ({"mailboxes": {}}, "inbound.mailboxes: name at least one"),
    "no address": ({"mailboxes": {"info": MailboxConfig(())}}, "mailboxes.info.addresses"),
    "wrong address": ({"mailboxes": {"info": MailboxConfig(("a+b@c.example",))}}, "without a plus"),
    "wrong part": (
        {"mailboxes": {"info": MailboxConfig((REPLY,), {"note": "body"})}},
        "mailboxes.info.fields.note: 'body' is none of",
    ),
    "twice": (
        {"mailboxes": {"a": MailboxConfig((REPLY,)), "b": MailboxConfig((REPLY.upper(),))}},
        "is a's already",
    ),
    "too much memory": ({"connections_max": 1_000}, "above 512 MiB"),
    "no key": ({"reply_address": REPLY}, "set either signing_key_env or signing_key_file"),
    "reply": ({"reply_address": "x@shop.example"}, "is no address of a mailbox"),
    "bounce": ({"bounce_address": REPLY}, "take one of its own"),
    "long": ({"bounce_address": "b" * 30 + "@shop.example"}, "leaves no room"),
    "no file": ({"tls_cert_file": "/nowhere.pem"}, "inbound.tls_cert_file: /nowhere.pem is no file"),
    "key alone": ({"tls_key_file": "/nowhere.pem"}, "there is no tls_cert_file"),
    "no password": ({"login": "mx"}, "set either password_env or password_file"),
}


@pytest.mark.parametrize(("settings", "said"), WRONG.values(), ids=WRONG)
def test_what_cannot_work_is_said_at_start(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(OperatorError) as error:
        check(msgspec.structs.replace(CONFIG, **settings))
    assert said in str(error.value)


def test_who_listens_to_others_names_them_or_their_login(tmp_path: Path) -> None:
    certificate(tmp_path)
    settings = {"listen": "192.0.2.1:25", "tls_cert_file": str(tmp_path / "cert.pem")}
    settings["tls_key_file"] = str(tmp_path / "key.pem")
    with pytest.raises(OperatorError, match="name the hosts that may send"):
        check(msgspec.structs.replace(CONFIG, **settings))
    check(msgspec.structs.replace(CONFIG, **settings, allow_from=("192.0.2.9",)))
    with pytest.raises(OperatorError, match=r"can't listen on 192\.0\.2\.1:25"):
        run_inbound(msgspec.structs.replace(CONFIG, **settings, allow_from=("192.0.2.9",)), _no_shard, print)


def _no_shard() -> Any:
    raise AssertionError("the address comes first")
