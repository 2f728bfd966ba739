"""Mails over real SMTP, against a real server: whose event each one is, and what it makes."""

import os
import signal
import smtplib
import socket
import time
from collections.abc import Iterator

from stagewheel.client.blocking import Client
from stagewheel.protocol.journal import EventSeen
from stagewheel.protocol.messages import Client as Person
from tests.inbound.conftest import BYTES_MAX, KEY, RETURNS, mail, send
from tests.server.harness import Served, facts, wait_for


def stage(client: Client, key: str) -> str:
    item = client.item(key)
    assert item is not None
    return item.stage


def heard(client: Client, key: str) -> list[EventSeen]:
    return [fact for fact in facts(client, key, EventSeen) if fact.type == "incoming_email"]


def test_s5_6_an_unknown_sender_makes_a_client_and_a_lead_as_the_source_says(
    post: smtplib.SMTP, client: Client, numbers: Iterator[int]
) -> None:
    """G1: pipeline, stage, title template, source and responsible of an inbound mailbox."""
    written = mail(next(numbers), "Zoë Quill <Zoe@Example.org>", "An offer, please")
    assert send(post, written)[0] == 250
    key = "lead:contact-zoe@example.org-1"
    wait_for(client, lambda: (lead := client.item(key)) is not None and "text" in lead.fields)
    lead = client.item(key)
    assert lead is not None
    assert (lead.pipeline, lead.stage, lead.title) == ("leads", "asked", "From message An offer, please")
    assert (lead.source, lead.responsible) == ("email", 7)
    assert lead.fields == {"text": "Dear shop,\nhow much is it?", "sender": "Zoe@Example.org"}
    contact = client.client("contact:zoe@example.org")
    assert contact is not None
    assert (contact.client.name, contact.client.emails[0].address) == ("Zoë Quill", "Zoe@Example.org")


def test_a_mail_of_a_known_client_reaches_the_item_that_has_a_trigger_for_it(
    post: smtplib.SMTP, client: Client, numbers: Iterator[int]
) -> None:
    """G1: mailbox, subject."""
    client.create_item("deal:1", "deals", client=Person("Ada", key="contact:ada@example.com"))
    assert send(post, mail(next(numbers), subject="Good morning"))[0] == 250
    wait_for(client, lambda: client.item("lead:contact-ada@example.com-1"))
    assert stage(client, "deal:1") == "new", "another subject"
    assert send(post, mail(next(numbers), subject="Re: OFFER 12"), "SALES@shop.example")[0] == 250
    wait_for(client, lambda: stage(client, "deal:1") == "answered")


def test_a_signed_address_names_the_item_whoever_writes_and_a_wrong_one_does_not(
    post: smtplib.SMTP, client: Client, numbers: Iterator[int]
) -> None:
    """G1."""
    client.create_item("deal:2", "deals")
    client.create_item("deal:3", "deals")
    right = RETURNS.reply_to("deal:2")
    other = RETURNS.reply_to("deal:3").replace("=3a3", "=3a2")
    colleague = "colleague@example.org"
    assert send(post, mail(next(numbers), colleague), other)[0] == 250
    assert stage(client, "deal:2") == "new", "nobody makes up an address"
    assert send(post, mail(next(numbers), colleague), right.upper())[0] == 250
    assert stage(client, "deal:2") == "answered", "and servers may change its case"


def test_an_answer_to_a_mail_of_ours_is_of_its_item(
    post: smtplib.SMTP, client: Client, numbers: Iterator[int]
) -> None:
    """G1."""
    key = "deal:" + "long-" * 12  # too long for an address
    assert RETURNS.reply_to(key) == "info@shop.example"
    client.create_item(key, "deals")
    ours = RETURNS.message_id("0" * 32, key, "welcome", "ada@example.com", "shop.example")
    answer = mail(next(numbers), "unknown@example.org")
    thread = f"In-Reply-To: <other@example.org>\r\nReferences: <first@example.org>\r\n {ours}\r\n"
    assert send(post, thread.encode() + answer.as_bytes())[0] == 250
    assert stage(client, key) == "answered"


def test_a_signed_address_of_an_item_that_is_gone_falls_back_to_the_sender(
    post: smtplib.SMTP, client: Client, numbers: Iterator[int]
) -> None:
    """G1."""
    written = mail(next(numbers), "grace@example.org")
    assert send(post, written, RETURNS.reply_to("deal:gone"))[0] == 250
    wait_for(client, lambda: client.item("lead:contact-grace@example.org-1"))


def test_a_mail_that_comes_again_does_nothing_twice_and_two_mailboxes_are_two_events(
    post: smtplib.SMTP, client: Client, numbers: Iterator[int]
) -> None:
    client.create_item("deal:4", "deals")
    address = RETURNS.reply_to("deal:4")
    written = mail(next(numbers), subject="Hello")
    for _ in range(3):
        assert send(post, written, address)[0] == 250
    assert len(heard(client, "deal:4")) == 1
    without = mail(next(numbers), subject="Hello")
    del without["Message-ID"]
    for _ in range(2):
        assert send(post, without, address, address)[0] == 250
    assert len(heard(client, "deal:4")) == 2


def test_what_a_program_wrote_is_told_to_items_and_makes_none(
    post: smtplib.SMTP, client: Client, numbers: Iterator[int]
) -> None:
    """G1; two answering machines never feed each other."""
    client.create_item("deal:5", "deals")
    for number, (name, value) in enumerate(
        [("Auto-Submitted", "auto-replied"), ("Precedence", "bulk"), ("List-Id", "<news.example.org>")]
    ):
        written = mail(next(numbers), f"robot{number}@example.org")
        written[name] = value
        assert send(post, written)[0] == 250
        assert client.client(f"contact:robot{number}@example.org") is None
        assert send(post, written, RETURNS.reply_to("deal:5"))[0] == 250
    own = mail(next(numbers), "robot9@example.org")
    own.replace_header(
        "Message-ID", RETURNS.message_id("0" * 32, "deal:5", "r", "x@y.example", "shop.example")
    )
    assert send(post, own, RETURNS.reply_to("deal:5"))[0] == 250
    assert len(heard(client, "deal:5")) == 4
    assert stage(client, "deal:5") == "new", "its trigger asks for what a person wrote"
    item = client.item("deal:5")
    assert item is not None
    assert client.client("contact:robot9@example.org") is None


def test_attachments_are_named_and_stored(post: smtplib.SMTP, client: Client, numbers: Iterator[int]) -> None:
    """G1."""
    client.create_item("deal:6", "deals", client=Person("Bo", key="contact:bo@example.com"))
    written = mail(next(numbers), "bo@example.com")
    written.add_attachment(b"%PDF-1", maintype="application", subtype="pdf", filename="../offer für.pdf")
    assert send(post, written, "help@shop.example")[0] == 250
    wait_for(client, lambda: stage(client, "deal:6") == "helped")


def test_what_is_not_for_us_or_too_much_is_refused_at_once(
    post: smtplib.SMTP, numbers: Iterator[int]
) -> None:
    written = mail(next(numbers))
    for unknown in ("nobody@shop.example", "info@other.example", "info", "bounces@other.example"):
        assert send(post, written, unknown)[0] == 550
    assert post.mail("ada@example.com", [f"SIZE={BYTES_MAX + 1}"])[0] == 552
    many = ["info@shop.example"] * 4
    assert send(post, written, *many)[0] == 452
    written.set_content("x" * 70 + "\n" + ("y" * 70 + "\n") * (BYTES_MAX // 70))
    assert send(post, written)[0] == 552


def test_odd_mails_are_taken_and_break_nothing(
    post: smtplib.SMTP, client: Client, numbers: Iterator[int]
) -> None:
    client.create_item("deal:7", "deals")
    address = RETURNS.reply_to("deal:7")
    broken = b"Content-Type: text/plain; charset=none\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!\r\n"
    odd = [
        b"",
        b"\xff\xfe nothing of a mail",
        b"From: \xe9t\xe9 <a@b.example>\r\nSubject: =?x-none?q?offer?=\r\n\r\n\xe9\xff",
        b"Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\n",
        b'Content-Type: multipart/mixed; boundary="a"\r\n\r\n--a\r\n%s' % broken,
        b"Content-Type: message/rfc822\r\n\r\n" * 300,
        b"".join(b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (i, i) for i in range(200)),
        b"Subject: a\r\n\tb\r\nSubject: c\r\nFrom: x\r\nFrom: y@z.example\r\n\r\nz",
    ]
    for number, content in enumerate(odd, 1):
        assert send(post, content, address)[0] == 250, content
        assert len(heard(client, "deal:7")) == number


def test_while_the_shard_does_not_answer_mails_stay_with_who_sends_them(
    served: Served, post: smtplib.SMTP, client: Client, numbers: Iterator[int]
) -> None:
    client.create_item("deal:8", "deals")
    address = RETURNS.reply_to("deal:8")
    first, second = mail(next(numbers), subject="Hello"), mail(next(numbers), subject="Again")
    os.kill(served.pids["shard-0"], signal.SIGSTOP)
    try:
        assert send(post, first, address)[0] == 451
        began_s = time.monotonic()
        assert send(post, second, address)[0] == 451
        assert time.monotonic() - began_s < 0.5, "nothing piles up"
    finally:
        os.kill(served.pids["shard-0"], signal.SIGCONT)
    deadline = time.monotonic() + 20
    while send(post, second, address)[0] != 250:
        assert time.monotonic() < deadline
    assert send(post, first, address)[0] == 250
    assert len(heard(client, "deal:8")) == 2, "also the one that was sent in vain, once"


def test_a_conversation_that_breaks_off_harms_nobody_and_the_log_holds_no_word_of_a_mail(
    served: Served, post: smtplib.SMTP, numbers: Iterator[int]
) -> None:
    host, _, port = served.inbound.rpartition(":")
    with socket.create_connection((host, int(port))) as broken:
        broken.sendall(
            b"EHLO x\r\nMAIL FROM:<daffodil@example.com>\r\nRCPT TO:<info@shop.example>\r\nDATA\r\nda"
        )
    written = mail(next(numbers), "daffodil@example.com", "daffodil")
    written["Auto-Submitted"] = "auto-generated"
    assert send(post, written)[0] == 250
    said = served.log.read_text()
    for secret in (KEY, "daffodil", "ada@example.com"):
        assert secret not in said


def test_a_killed_listener_is_started_again_and_a_mail_that_it_had_taken_is_done_once(
    served: Served, client: Client, numbers: Iterator[int]
) -> None:
    client.create_item("deal:9", "deals")
    written = mail(next(numbers), subject="Hello")
    for life in range(2):
        if life:
            served.wait_ready("inbound-0", other_than=served.kill("inbound-0"))
        host, _, port = served.inbound.rpartition(":")
        with smtplib.SMTP(host, int(port), timeout=30) as post:
            assert send(post, written, RETURNS.reply_to("deal:9"))[0] == 250
    assert len(heard(client, "deal:9")) == 1
