"""Mails that are made to take long: each costs no more than its length (R8)."""

import time

import pytest

from stagewheel.server.inbound.html_text import text_of
from stagewheel.server.inbound.reading import read_mail
from stagewheel.server.inbound.reports import read_report

HEAD = b"From: Ada <ada@example.com>\r\nSubject: Roof\r\nMIME-Version: 1.0\r\n"
SECONDS = 2.0  # of processor time; on an idle machine each takes a tenth of one


def nested(depth: int) -> bytes:
    parts = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(depth)
    )
    return parts + b"Content-Type: text/plain\r\n\r\n" + b"a\r\n" * 100_000


COSTLY = {
    "words in a subject": b"Subject: " + b"=?utf-8?q?a?= " * 50_000 + b"\r\n" + HEAD + b"\r\nx",
    "multiparts in multiparts": HEAD + nested(200),
    "parts without end": HEAD
    + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    + b"--b\r\n\r\n" * 300_000,
    "parameters of a part": HEAD
    + b"Content-Disposition: attachment"
    + b"; filename*0*=a" * 50_000
    + b"\r\n\r\nx",
    "addresses": b"From: " + b"a," * 500_000 + b"\r\n\r\nx",
}


@pytest.mark.parametrize("content", COSTLY.values(), ids=COSTLY)
def test_a_mail_costs_what_it_is_long(content: bytes) -> None:
    began_s = time.process_time()
    read_report(read_mail(content, "ada@example.com", 65_536).message)
    assert time.process_time() - began_s < SECONDS


@pytest.mark.parametrize("unit", ["<!--", "<", "<a ", "<!", "</", "<?", "<a b='", '<a b="', "<script>"])
@pytest.mark.parametrize("end", ["", ">"])
def test_html_costs_what_it_is_long(unit: str, end: str) -> None:
    """A mail of 80 kB held the listener for five seconds, one of twice its size four times as long."""
    began_s = time.process_time()
    text_of(unit * 40_000 + end)
    assert time.process_time() - began_s < SECONDS


def test_a_sender_in_comments_within_comments_is_nobody_and_the_mail_is_read() -> None:
    mail = read_mail(b"From: " + b"(" * 8_000 + b"\r\nSubject: Roof\r\n\r\nHello", "ada@example.com", 100)
    assert (mail.from_address, mail.subject, mail.text) == ("", "Roof", "Hello")


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("1 < 2", "1 < 2"),
        ("<p>one</p>two &amp; three", "one\ntwo & three"),
        ("a<!-- b > c -->d<!-- e", "ad"),
        ("<!DOCTYPE html><p>a</p><?xml version='1.0'?>b", "a\nb"),
        ("<script><!-- a\n--></script>b", "b"),
    ],
)
def test_what_is_never_closed_is_text_and_comments_are_none(html: str, text: str) -> None:
    assert text_of(html) == text
