"""What the client says to a mail server, without any: replies cut anywhere, pipelining, logins, and TLS that
nobody can talk into.
"""

from collections.abc import Generator
from typing import Any

import pytest

from stagewheel.server.channels.base import Delivered, RefusedForGood, Retry
from stagewheel.server.channels.mime import Mail
from stagewheel.server.channels.smtp_talk import (
    Begun,
    Offered,
    Refusal,
    Replies,
    Reply,
    StartTls,
    greet,
    send,
)
from tests.channels.peers import Content, Inbox, mail_server, scripted_server
from tests.channels.test_smtp import NOT_OVER_TLS, deliver

MAIL = Mail(
    "desk@example.net", ("ada@example.com", "ben@example.com"), "<1@x>", b"Subject: x\r\n\r\n.dot\r\n"
)
PIPELINED = Offered({"pipelining": []})
SHAKEN = "the handshake is done"


def held(talk: Generator[Any, Reply, Any], *replies: str) -> tuple[list[Any], Any]:
    """What a talk says, reply after reply, and what it comes to."""
    said = [next(talk)]
    try:
        for reply in replies:
            code, _, text = reply.partition(" ")
            said.append(next(talk) if reply is SHAKEN else talk.send(Reply(int(code), text)))
    except StopIteration as end:
        return said, end.value
    return said, None


def test_replies_are_found_however_the_bytes_are_cut() -> None:
    told = b"250-mx.example.com\r\n250-SIZE 1000\r\n250 HELP\r\n354 go on\r\n221\r\n"
    wanted = [Reply(250, "mx.example.com\nSIZE 1000\nHELP"), Reply(354, "go on"), Reply(221, "")]
    for size in (1, 2, 7, len(told)):
        replies = Replies()
        found = [one for at in range(0, len(told), size) for one in replies.feed(told[at : at + size])]
        assert found == wanted
        assert not replies.is_within()


@pytest.mark.parametrize("told", [b"hello\r\n", b"99 what\r\n", b"250_OK\r\n", b"x" * 70_000])
def test_what_is_no_reply_is_said_to_be_none(told: bytes) -> None:
    with pytest.raises(Refusal):
        Replies().feed(told)


def test_with_pipelining_everything_before_the_text_leaves_as_one_and_the_text_waits() -> None:
    begun = Begun()
    said, outcome = held(
        send(MAIL, PIPELINED, "mx:25", False, begun), "250 ok", "250 ok", "250 ok", "354 go on", "250 taken"
    )
    assert said == [
        b"MAIL FROM:<desk@example.net>\r\nRCPT TO:<ada@example.com>\r\nRCPT TO:<ben@example.com>\r\nDATA\r\n",
        b"",
        b"",
        b"",
        b"Subject: x\r\n\r\n..dot\r\n.\r\n",
    ]
    assert begun.text_sent
    assert isinstance(outcome, Delivered)


@pytest.mark.parametrize("pipelined", [False, True])
@pytest.mark.parametrize(
    ("replies", "outcome"),
    [
        (("250 ok", "550 no", "250 ok", "354 go", "250 taken"), Delivered),
        (("250 ok", "550 no", "451 later", "554 nobody"), Retry),
        (("250 ok", "550 no", "551 no", "354 go", "554 nobody"), RefusedForGood),
        (("550 not you", "503 first MAIL", "503 first MAIL", "503 first MAIL"), RefusedForGood),
        (("250 ok", "250 ok", "250 ok", "452 full"), Retry),
    ],
)
def test_an_outcome_is_the_same_with_pipelining_and_without(
    replies: tuple[str, ...], outcome: type, pipelined: bool
) -> None:
    begun = Begun()
    offered = PIPELINED if pipelined else Offered({})
    said, came_to = held(send(MAIL, offered, "mx:25", False, begun), *replies)
    assert type(came_to) is outcome
    assert begun.text_sent is (outcome is Delivered), "a text goes out only where somebody gets it"
    if pipelined and "354 go" in replies and outcome is not Delivered:
        assert said[-1] == b".\r\n"


def test_after_a_mail_that_came_to_nothing_the_next_one_begins_with_a_reset() -> None:
    for offered in (PIPELINED, Offered({})):
        talk = send(MAIL, offered, "mx:25", True, Begun())
        assert next(talk).startswith(b"RSET\r\n")


def test_a_server_that_goes_away_before_it_has_heard_of_the_mail_says_nothing_about_it() -> None:
    with pytest.raises(Refusal, match="421"):
        held(send(MAIL, PIPELINED, "mx:25", False, Begun()), "421 bye")


def test_the_second_hello_counts_after_tls() -> None:
    hellos = "250 mx\nSTARTTLS\nPIPELINING", "250 mx\nSMTPUTF8"
    said, offered = held(greet("me", True, "", ""), "220 hi", hellos[0], "220 go", SHAKEN, hellos[1])
    assert said[2:4] == [b"STARTTLS\r\n", StartTls()]
    assert offered == Offered({"smtputf8": []})


def test_a_server_without_starttls_gets_no_mail_where_tls_is_wanted() -> None:
    with pytest.raises(Refusal, match="STARTTLS"):
        held(greet("me", True, "", ""), "220 hi", "250 mx")


@pytest.mark.parametrize(
    ("methods", "last"),
    [
        ("PLAIN LOGIN", [b"AUTH PLAIN AHdoZWVsAHMzY3JldA==\r\n"]),
        ("LOGIN", [b"AUTH LOGIN\r\n", b"d2hlZWw=\r\n", b"czNjcmV0\r\n"]),
        (
            "CRAM-MD5 PLAIN",
            [b"AUTH CRAM-MD5\r\n", b"d2hlZWwgNTg0NjliYmJjMWI4MDQxZTg0ZTE1NDk4NTY5MjEwMzE=\r\n"],
        ),
    ],
)
def test_a_login_says_what_the_server_offers(methods: str, last: list[bytes]) -> None:
    replies = ["220 hi", f"250 mx\nAUTH {methods}", *["334 Y2hhbGxlbmdl"] * (len(last) - 1), "235 in"]
    said, offered = held(greet("me", False, "wheel", "s3cret"), *replies)
    assert said[2:] == last
    assert isinstance(offered, Offered)


async def test_what_is_said_in_clear_behind_the_agreement_to_tls_ends_the_connection() -> None:
    answers = {"EHLO": b"250-mx\r\n250 STARTTLS\r\n", "STARTTLS": b"220 go\r\n250 mx is mine\r\n"}
    async with scripted_server(lambda line: answers[line.split()[0].upper()]) as port:
        outcome = await deliver(port, tls="starttls")
    assert isinstance(outcome, Retry)
    assert "in clear" in outcome.reason


@NOT_OVER_TLS
async def test_a_large_text_arrives_whole() -> None:
    inbox = Inbox()
    text = "".join(f"{number:0800}\r\n" for number in range(5_000))  # more than the sockets hold
    with mail_server(inbox) as port:
        assert isinstance(await deliver(port, Content(text=text)), Delivered)
    (envelope,) = inbox.mails
    assert isinstance(envelope.content, bytes)
    assert envelope.content.endswith(text.encode())
