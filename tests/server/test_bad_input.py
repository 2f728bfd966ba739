"""Bad input at a real server, over real sockets: each mistake is answered where its author sees it, and
nothing else suffers (promise R5). One server takes all of it, and serves its neighbours to the end.
"""

import contextlib
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from stagewheel.cli.sink import Options, start_sink
from stagewheel.client.blocking import Client
from stagewheel.protocol import messages as m
from stagewheel.protocol.errors import CommandFailed
from stagewheel.protocol.frames import decode, encode
from stagewheel.protocol.journal import DeadLettered, DeliveryTried, StepEnded
from stagewheel.protocol.messages import (
    Applied,
    CreateItem,
    DeadLettersQuery,
    Failed,
    Hello,
    ItemQuery,
    Pull,
    Query,
    Refused,
    Submit,
    Welcome,
)
from stagewheel.protocol.socket import DealerSocket
from stagewheel.server.channels.email import EmailSettings
from stagewheel.server.channels.webhook import WebhookSettings
from stagewheel.server.limits import FRAME_BYTES_MAX, FRAME_COMMANDS_MAX
from stagewheel.server.senders.config import ChannelsConfig
from tests.conftest import REPOSITORY
from tests.server.harness import Served, facts, group_members, wait_for

WAIT_S = 30.0
RULES = """
ruleset: shop
entities: {deal: {fields: {n: number}}}
pipelines:
  deals:
    entity: deal
    stages:
      - {id: new}
      - id: fragile
        rules:
          - {id: mail, action: {do: send_email, subject: "{{ 10 / item.n }} for {{ item.key }}", body: Hello}}
      - id: both
        rules:
          - {id: mail-too, action: {do: send_email, subject: "both {{ item.key }}", body: Hello}}
          - {id: hook, action: {do: webhook, url: "http://127.0.0.1:WEB_PORT/", json: {key: x}}}
"""


class Place:
    """The server, a client of it, and the ports where its mail server and its web server would be."""

    def __init__(self, served: Served, client: Client, smtp_port: int, web_port: int) -> None:
        self.served, self.client = served, client
        self.smtp_port, self.web_port = smtp_port, web_port
        self.count = 0

    def deal(self, stage: str, address: str = "ada@example.com", **fields: Any) -> str:
        """A new deal in a stage; its key."""
        self.count += 1
        key = f"deal:{self.count}"
        ada = m.Client("Ada", [m.Address(address)])
        self.client.create_item(key, "deals", stage, client=ada, fields=fields)
        return key

    def outcome(self, key: str, rule: str = "mail") -> str:
        """What a rule came to, once it did."""
        ended = wait_for(
            self.client, lambda: [f for f in facts(self.client, key, StepEnded) if f.rule == rule]
        )
        return ended[0].outcome


def free_ports(count: int) -> list[int]:
    """Ports where nobody listens."""
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    smtp_port, web_port = free_ports(2)
    email = EmailSettings(
        host="127.0.0.1",
        port=smtp_port,
        default_from="desk@example.net",
        retry_base_s=0.2,
        breaker_failures=0,
    )
    channels = ChannelsConfig(email=email, webhook=WebhookSettings(allow_private=True))
    with (
        Served(tmp_path_factory.mktemp("bad"), channels=channels) as served,
        served.client() as client,
    ):
        client.put_ruleset("shop", {"rules.yaml": RULES.replace("WEB_PORT", str(web_port))})
        yield Place(served, client, smtp_port, web_port)


@pytest.fixture(autouse=True)
def _unharmed(place: Place) -> Iterator[None]:
    """Whatever a test does, the same shard goes on and takes its neighbours' commands."""
    shard = place.served.wait_ready("shard-0")
    yield
    place.deal("new")
    assert place.served.pids["shard-0"] == shard
    assert shard in group_members(place.served.pid)
    assert list(place.client.poison()) == []


# ---------------------------------------------------------------- frames


class Raw:
    """A connection that sends whatever it likes."""

    def __init__(self, address: str) -> None:
        self.socket = DealerSocket(address, FRAME_BYTES_MAX)
        self.until(self.socket.connected)

    def until(self, done: Callable[[], Any], wait_s: float = WAIT_S) -> None:
        deadline = time.monotonic() + wait_s
        while not done():
            assert time.monotonic() < deadline, "no answer"
            select.select([self.socket.fd], [], [], 0.05)

    def parts(self, *parts: bytes) -> m.Refused:
        """Send a message of any shape; the refusal."""
        self.socket._socket.send_multipart(parts)
        return self.refusal()

    def say(self, message: Any) -> Any:
        """Send a message; what comes back."""
        self.socket.send_nowait(*encode(message))
        return self.heard()

    def heard(self) -> Any:
        self.until(self.socket.readable)
        [(header, payload)] = self.socket.drain(1)
        return decode(header, payload)

    def refusal(self) -> Refused:
        heard = self.heard()
        assert isinstance(heard, Refused), heard
        return heard

    def hello(self, **more: Any) -> Welcome:
        welcome = self.say(Hello(1, 1, os.urandom(16), instance=os.urandom(16), **more))
        assert isinstance(welcome, Welcome), welcome
        return welcome


@pytest.fixture
def raw(place: Place) -> Iterator[Raw]:
    raw = Raw(place.served.listen[0])
    yield raw
    raw.socket.close()


def header(kind: int = 3, version: int = 1, count: int = 0) -> bytes:
    return bytes([version, kind]) + count.to_bytes(2, "big")


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        pytest.param((b"alone",), "malformed", id="one part"),
        pytest.param((header(), b"\x90", b"three"), "malformed", id="three parts"),
        pytest.param((b"",) * 7, "malformed", id="seven parts"),
        pytest.param((b"hdr", b"\x90"), "malformed", id="a short header"),
        pytest.param((header(), b"\xc1"), "malformed", id="no MessagePack"),
        pytest.param((header(), b"\x90"), "malformed", id="fields are missing"),
        pytest.param((header(), b"\x91" * 5000), "malformed", id="nested deeply"),
        pytest.param((header(count=2), b"\x93\x00\x00\x90"), "malformed", id="another count"),
        pytest.param((header(1), b"\x93\xa1x\xa1y\xc4\x01z"), "malformed", id="text for a number"),
        pytest.param((header(99), b"\x90"), "unknown_kind", id="a kind that is none"),
        pytest.param((header(2), b"\x90"), "malformed", id="half of a message that only servers send"),
        pytest.param((header(version=9), b"\x90"), "version", id="a version to come"),
    ],
)
def test_a_frame_that_cannot_be_read_is_answered_and_the_connection_goes_on(
    raw: Raw, parts: tuple[bytes, ...], code: str
) -> None:
    refused = raw.parts(*parts)
    assert refused.code == code
    assert refused.message
    assert raw.hello().next_seq == 0


def test_what_only_a_server_says_is_an_unknown_kind(raw: Raw) -> None:
    assert raw.say(m.Answer(0, [])).code == "unknown_kind"


@pytest.mark.parametrize(
    "message",
    [
        Submit(0, 0, [CreateItem("deal:raw", pipeline="deals")]),
        Query(5, ItemQuery("deal:1")),
        m.Subscribe(5),
        m.Credit(5, 1),
        m.Reports(1, []),
    ],
    ids=lambda message: type(message).__name__,
)
def test_before_hello_everything_is_told_to_say_hello(raw: Raw, place: Place, message: Any) -> None:
    refused = raw.say(message)
    assert isinstance(refused, Refused)
    assert refused.code == "hello_first"
    assert place.client.item("deal:raw") is None


@pytest.mark.parametrize(
    ("hello", "code"),
    [
        (Hello(7, 9, b"p"), "version"),
        (Hello(1, 1, b""), "malformed"),
        (Hello(1, 1, b"p" * 65), "malformed"),
        (Hello(1, 1, b"p", role="root"), "forbidden"),
        (Hello(1, 1, b"somebody", epoch=7), "expired"),
    ],
)
def test_a_hello_that_makes_no_sense_is_refused_with_a_word(raw: Raw, hello: Hello, code: str) -> None:
    refused = raw.say(hello)
    assert isinstance(refused, Refused)
    assert refused.code == code


def test_an_oversize_payload_gets_a_word_and_beyond_twice_the_limit_the_connection_is_closed(
    raw: Raw,
) -> None:
    raw.hello()
    assert raw.parts(header(count=1), bytes(FRAME_BYTES_MAX + 1)).code == "oversize"
    assert raw.parts(header(count=1), bytes(2 * FRAME_BYTES_MAX)).code == "oversize"
    assert isinstance(raw.say(Query(1, ItemQuery("deal:1"))), m.Reply), "the session goes on"
    raw.socket._socket.send_multipart([header(count=1), bytes(2 * FRAME_BYTES_MAX + 1)])
    codes: list[str] = []

    def asked_on_a_new_connection() -> bool:
        raw.socket.send_nowait(*encode(Query(2, ItemQuery("deal:1"))))
        codes.extend(
            one.code for one in (decode(*f) for f in raw.socket.drain(9)) if isinstance(one, Refused)
        )
        return bool(codes)

    raw.until(asked_on_a_new_connection)
    assert set(codes) == {"hello_first"}, "it was closed, without a word, and connected again by itself"


def test_a_batch_larger_than_the_frame_limit_is_refused_whole(raw: Raw, place: Place) -> None:
    welcome = raw.hello()
    assert welcome.frame_commands_max == FRAME_COMMANDS_MAX
    many = [CreateItem(f"deal:raw{n}", pipeline="deals") for n in range(FRAME_COMMANDS_MAX + 1)]
    refused = raw.say(Submit(0, 0, list(many)))
    assert isinstance(refused, Refused)
    assert (refused.code, refused.seq) == ("oversize", 0)
    assert str(FRAME_COMMANDS_MAX) in refused.message
    assert place.client.item("deal:raw0") is None
    answer = raw.say(Submit(0, 0, list(many[:1])))
    assert answer == m.Answer(0, [Applied(1)]), "it consumed no number"


def test_a_number_that_no_key_can_hold_is_refused_and_ends_nothing(raw: Raw) -> None:
    raw.hello()
    refused = raw.say(Query(3, DeadLettersQuery(after=-5)))
    assert isinstance(refused, Refused)
    assert (refused.code, refused.query) == ("bad_query", 3)
    answer = raw.say(Submit(0, 0, [m.RetryDeadLetter("", number=-1)]))
    assert answer.results[0].code == "unknown_dead_letter"


def test_a_sender_of_what_can_be_no_channel_is_told_so(raw: Raw) -> None:
    raw.hello(role="sender")
    refused = raw.say(Pull("a pigeon!", 5))
    assert isinstance(refused, Refused)
    assert "pigeon" in refused.message


# ---------------------------------------------------------------- commands and rulesets


@pytest.mark.parametrize(
    ("command", "code", "named"),
    [
        (m.UpdateItem("deal:none", fields={"n": 1}), "unknown_item", "key"),
        (CreateItem("deal:x", pipeline="deals", stage="nowhere"), "unknown_stage", "nowhere"),
        (CreateItem("deal:x", pipeline="nowhere"), "unknown_pipeline", "nowhere"),
        (CreateItem("deal:x", pipeline="deals", fields={"size": 1}), "bad_field", "size"),
        (CreateItem("deal:x", pipeline="deals", fields={"n": "many"}), "bad_field", "n"),
        (CreateItem("deal:x", pipeline="deals", fields={"n": [[1]] * 9}), "bad_field", "n"),
    ],
    ids=["item", "stage", "pipeline", "field", "value", "shape"],
)
def test_an_unknown_name_fails_its_command_alone_and_is_named(
    place: Place, command: m.AnyCommand, code: str, named: str
) -> None:
    key = place.deal("new")
    failed, applied = place.client.submit([command, m.UpdateItem(key, fields={"n": 5})])
    assert isinstance(failed, Failed)
    assert failed.code == code
    assert named in failed.message
    assert applied == Applied(1)
    assert place.client.item("deal:x") is None


def test_a_ruleset_with_mistakes_names_each_line_and_the_old_one_stays(place: Place) -> None:
    before = place.client.versions()
    wrong = RULES.replace("- {id: new}", "- {idd: new}").replace("do: webhook", "do: webhok")
    with pytest.raises(CommandFailed) as raised:
        place.client.put_ruleset("shop", {"rules.yaml": wrong})
    assert raised.value.code == "ruleset_invalid"
    for number, line in enumerate(wrong.splitlines(), 1):
        if "idd" in line or "webhok" in line:
            assert f"rules.yaml:{number}:" in str(raised.value)
    assert place.client.versions() == before


# ---------------------------------------------------------------- templates and mail servers


def test_a_template_that_fails_is_a_dead_letter_and_its_neighbours_are_delivered(place: Place) -> None:
    with start_sink(Options(port=place.smtp_port)) as sink:
        bad, good = place.deal("fragile", n=0), place.deal("fragile", n=5)
        assert (place.outcome(bad), place.outcome(good)) == ("failed", "done")
        assert [mail.subject for mail in sink.wait_for(1, WAIT_S)] == [f"2.0 for {good}"]
    [letter] = facts(place.client, bad, DeadLettered)
    assert "zero" in letter.reason
    assert [one.item for one in place.client.dead_letters() if one.number == letter.number] == [bad]


def test_a_mail_server_that_refuses_makes_a_dead_letter_with_its_words(place: Place) -> None:
    with start_sink(Options(port=place.smtp_port, refuse=("*@refused.example",))) as sink:
        bad = place.deal("fragile", address="eve@refused.example", n=1)
        good = place.deal("fragile", n=2)
        assert (place.outcome(bad), place.outcome(good)) == ("failed", "done")
        assert [mail.subject for mail in sink.wait_for(1, WAIT_S)] == [f"5.0 for {good}"]
    [letter] = facts(place.client, bad, DeadLettered)
    assert "550" in letter.reason


class Hooks(BaseHTTPRequestHandler):
    """Takes every webhook."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def test_a_mail_server_that_is_down_is_tried_again_while_other_channels_go_on(place: Place) -> None:
    with HTTPServer(("127.0.0.1", place.web_port), Hooks) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        key = place.deal("both")
        assert place.outcome(key, "hook") == "done"
        web.shutdown()
    tried = wait_for(place.client, lambda: facts(place.client, key, DeliveryTried)[1:])
    assert tried[0].attempt == 2
    assert not [fact for fact in facts(place.client, key, StepEnded) if fact.rule == "mail-too"]
    with start_sink(Options(port=place.smtp_port)) as sink:
        assert place.outcome(key, "mail-too") == "done"
        [mail] = sink.wait_for(1, WAIT_S)
    assert mail.subject == f"both {key}"


# ---------------------------------------------------------------- a second server


def serve(*arguments: str) -> tuple[int, str]:
    """A server that cannot start: its exit status and what it said."""
    ended = subprocess.run(
        [sys.executable, "-m", "stagewheel.cli.main", "serve", *arguments],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        cwd=REPOSITORY,
        check=False,
    )
    return ended.returncode, ended.stderr


def test_a_second_server_on_the_folder_names_the_process_that_has_it(place: Place) -> None:
    status, said = serve("--data", place.served.config.data, "--listen", "tcp://127.0.0.1:*")
    assert status == 1
    assert f"process {place.served.pid};" in said
    assert "Traceback" not in said
    with place.served.client() as client:
        assert client.statistics()["now_ms"] > 0, "the first one still has its address"


def test_an_address_in_use_is_named(place: Place, tmp_path: Path) -> None:
    address = place.served.listen[0]
    status, said = serve("--data", str(tmp_path / "data"), "--listen", address)
    assert status == 1
    assert f"cannot listen on {address}" in said
    assert "Traceback" not in said
