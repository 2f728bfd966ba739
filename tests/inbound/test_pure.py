"""What is computed of mails: signed addresses, texts, who wrote them; and what outgoing mails carry."""

import email
import email.policy
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from stagewheel.server.channels import mime
from stagewheel.server.channels.base import Delivery
from stagewheel.server.inbound.html_text import text_of
from stagewheel.server.inbound.reading import read_mail
from stagewheel.server.inbound.reports import read_report
from stagewheel.server.inbound.returning import Returns, split_address
from tests.channels.peers import Content
from tests.inbound.conftest import BOUNCE, REPLY, RETURNS

OTHER = Returns(b"another key" * 4, REPLY, BOUNCE)
keys = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60)


@given(item=keys, rule=keys, address=st.emails())
@settings(max_examples=60, deadline=None)
def test_what_leaves_comes_back_in_any_case_and_is_nobody_elses(item: str, rule: str, address: str) -> None:
    reply, path = RETURNS.reply_to(item), RETURNS.return_path(item, rule, address)
    for made in (reply, path):
        assert len(made.rpartition("@")[0]) <= 64
        assert made.isascii()
        assert mime.mailbox(made, "made")[1] == made
    base, detail = split_address(reply.upper())
    assert base == REPLY
    assert RETURNS.answered(detail) == (item if detail else "")
    assert OTHER.answered(detail) == ""
    assert RETURNS.bounced(detail) is None, "each is for one purpose"
    _, detail = split_address(path.upper())
    if detail:
        origin = RETURNS.bounced(detail)
        assert origin is not None
        assert (origin.item, origin.rule) in ((item, rule), (item, ""))
        assert RETURNS.proven(origin, ["x@y.example", address.upper()]) == address.upper()
        assert OTHER.bounced(detail) is None
        assert RETURNS.bounced(detail[:-1]) is None
    id_ = RETURNS.message_id("f" * 32, item, rule, address, "shop.example")
    quoted = RETURNS.quoted(f"<a@b.example> {id_}, <c@d.example>")
    if len(id_) > 60:
        assert quoted is not None
        assert (quoted.item, quoted.rule) == (item, rule)
        assert OTHER.quoted(id_) is None


@pytest.mark.parametrize("detail", ["", "x", "=", "+", "a" * 64, "é" * 20, "=zz" * 10, "=ff" * 20])
def test_what_was_never_made_names_nothing(detail: str) -> None:
    assert RETURNS.answered(detail) == ""
    assert RETURNS.bounced(detail) is None
    assert RETURNS.quoted(f"<{'0' * 32}.{detail}@shop.example>") is None


def test_an_outgoing_mail_carries_where_its_answers_and_bounces_go() -> None:
    """The same at every attempt."""
    delivery = Delivery("0" * 32, 1, "deal:7", "welcome", 1_770_000_000_000)
    made = mime.build(Content(), delivery, returns=RETURNS)
    parsed: Any = email.message_from_bytes(made.data, policy=email.policy.default)
    assert parsed["Reply-To"] == RETURNS.reply_to("deal:7")
    assert parsed["Message-ID"] == made.message_id
    assert made.sender == RETURNS.return_path("deal:7", "welcome", "ada@example.com")
    assert parsed["From"].addresses[0].addr_spec == "sales@example.com"
    origin = RETURNS.quoted(made.message_id)
    assert origin is not None
    assert RETURNS.proven(origin, ["ada@example.com"]) == "ada@example.com"
    assert mime.build(Content(), delivery, returns=RETURNS) == made
    plain = mime.build(Content(), delivery)
    assert plain.sender == "sales@example.com"
    assert b"Reply-To" not in plain.data


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>Dear&nbsp;shop,</p><p>how <b>much</b>?<br>Ada</p>", "Dear shop,\n\nhow much?\nAda"),
        ("<html><head><title>x</title><style>p{}</style></head><body>a<script>b</script>c</body>", "ac"),
        ("<ul><li>one<li>two</ul>", "one\ntwo"),
        ("no html at all, 1 < 2", "no html at all, 1 < 2"),
        ("<style>never closed", ""),
        ("<<<>>&&&#0;", None),
    ],
)
def test_the_text_of_html_is_what_a_reader_sees(html: str, text: str | None) -> None:
    found = text_of(html)
    assert text is None or found == text


MIXED = b"""\
From: =?utf-8?q?Zo=C3=AB?= Quill <zoe@example.org>\r
Subject: =?iso-8859-1?q?Caf=E9?=\r
 and more\r
Message-ID: <1@example.org>\r
Content-Type: multipart/mixed; boundary=b\r
\r
--b\r
Content-Type: multipart/alternative; boundary=c\r
\r
--c\r
Content-Type: text/html; charset=iso-8859-15\r
Content-Transfer-Encoding: quoted-printable\r
\r
<p>5 =A4</p>\r
--c--\r
--b\r
Content-Type: application/pdf; name="../../x/offer.pdf"\r
Content-Disposition: attachment\r
Content-Transfer-Encoding: base64\r
\r
JVBERg==\r
--b\r
Content-Type: message/rfc822\r
\r
Subject: inner\r
\r
inner text\r
--b--\r
"""


def test_a_mail_is_decoded_with_its_parts() -> None:
    read = read_mail(MIXED, "zoe@example.org", 1_000)
    assert (read.from_name, read.from_address) == ("Zoë Quill", "zoe@example.org")
    assert (read.subject, read.text) == ("Café and more", "5 €")
    assert [(one.name, one.type) for one in read.attachments] == [
        ("offer.pdf", "application/pdf"),
        ("message.rfc822", "message/rfc822"),
    ]
    assert read.attachments[0].data() == b"%PDF"
    assert not read.automatic
    assert read_mail(MIXED, "", 1_000).automatic, "without a return path nobody waits for an answer"
    assert read_mail(b"Received: by x\r\n" + MIXED, "zoe@example.org", 1_000).id == read.id
    assert read_mail(MIXED, "zoe@example.org", 2).text == "5"


@given(st.binary(max_size=400))
@settings(max_examples=150, deadline=None)
def test_whatever_comes_is_read(content: bytes) -> None:
    for around in (
        b"%s",
        b"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n%s\r\n--b--",
        b"From: %s\r\n",
    ):
        read = read_mail(around.replace(b"%s", content), "", 100)
        report = read_report(read.message)
        for text in (read.text, read.subject, read.from_name, read.from_address, read.message_id):
            text.encode()
        assert report is None or report.kind in ("bounce", "complaint", "notice")
