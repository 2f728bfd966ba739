"""Mails as bytes: every one is read back with the standard library's parser."""

import email
import email.policy
from email.message import EmailMessage

import pytest
from hypothesis import given, strategies as st

from stagewheel.server.channels import mime
from stagewheel.server.channels.base import Delivery
from tests.channels.peers import Content

DELIVERY = Delivery("0123456789abcdef" * 2, 1, "lead:1", "thanks", 1_772_438_400_000)

_LINE_ENDS = "\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029"
LINES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=1_200)
TEXTS = st.lists(LINES, min_size=1, max_size=6).map("\n".join)
HEADERS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=_LINE_ENDS), max_size=200)


def parsed(mail: mime.Mail) -> EmailMessage:
    message = email.message_from_bytes(mail.data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def lines_of(part: object) -> list[str]:
    assert isinstance(part, EmailMessage)
    return str(part.get_content()).replace("\r\n", "\n").rstrip("\n").split("\n")


@given(TEXTS)
def test_every_text_is_read_back_as_it_was_written(text: str) -> None:
    mail = mime.build(Content(text=text), DELIVERY)
    read = parsed(mail).get_content().replace("\r\n", "\n")
    assert read.rstrip("\n") == text.rstrip("\n")
    assert mail.data.isascii()
    assert mail.data.endswith(b"\r\n")
    assert all(len(line) <= 998 for line in mail.data.split(b"\r\n"))
    assert b"\n" not in mail.data.replace(b"\r\n", b"")


@given(HEADERS)
def test_every_subject_is_read_back_as_it_was_written(subject: str) -> None:
    message = parsed(mime.build(Content(subject=subject), DELIVERY))
    assert " ".join(message["Subject"].split()) == " ".join(subject.split())


@given(HEADERS.filter(lambda name: not set(name) & set("<>")))
def test_every_display_name_is_read_back_with_its_address(name: str) -> None:
    mail = mime.build(Content(to=(f"{name} <ada@example.com>",)), DELIVERY)
    (address,) = parsed(mail)["To"].addresses
    assert address.addr_spec == "ada@example.com"
    assert mail.recipients == ("ada@example.com",)


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_no_text_smuggles_a_header_in(subject: str, name: str, item: str) -> None:
    content = Content(subject=subject, from_=f"{name} <sales@example.com>")
    delivery = Delivery("0" * 32, 1, item, item, 0)
    try:
        mail = mime.build(content, delivery)
    except mime.Unsendable:
        return
    message = email.message_from_bytes(mail.data, policy=email.policy.default)
    assert [name.lower() for name in message] == [
        *("from", "to", "subject", "date", "message-id", "x-stagewheel-item", "x-stagewheel-rule"),
        *("mime-version", "content-type", "content-transfer-encoding"),
    ]


@given(TEXTS, TEXTS)
def test_text_and_html_are_alternatives(text: str, html: str) -> None:
    message = parsed(mime.build(Content(text="t" + text, html="h" + html), DELIVERY))
    plain, rich = message.iter_parts()
    assert (message.get_content_type(), plain.get_content_type(), rich.get_content_type()) == (
        "multipart/alternative",
        "text/plain",
        "text/html",
    )
    assert "\n".join(lines_of(plain)) == ("t" + text).rstrip("\n")
    assert "\n".join(lines_of(rich)) == ("h" + html).rstrip("\n")


def test_a_text_that_holds_the_boundary_does_not_end_its_part() -> None:
    text = f"before\n--=_{DELIVERY.key}--\nafter"
    message = parsed(mime.build(Content(text=text, html="<p>x</p>"), DELIVERY))
    plain, _ = message.iter_parts()
    assert lines_of(plain) == text.split("\n")


def test_s8_2_every_attempt_gives_the_same_bytes() -> None:
    again = Delivery(DELIVERY.key, 7, DELIVERY.item, DELIVERY.rule, DELIVERY.at_ms, sender=3)
    content = Content(html="<p>Grüße</p>")
    assert mime.build(content, DELIVERY) == mime.build(content, again)


def test_date_is_the_moment_of_the_decision_and_the_id_comes_from_the_key() -> None:
    message = parsed(mime.build(Content(), DELIVERY))
    assert message["Date"].datetime.timestamp() == DELIVERY.at_ms / 1000
    assert message["Message-ID"] == f"<{DELIVERY.key}@example.com>"
    named = mime.build(Content(), DELIVERY, domain="mail.example.org")
    assert named.message_id == f"<{DELIVERY.key}@mail.example.org>"


def test_s7_8_the_sender_is_the_rules_else_the_channels_default_else_the_mail_fails() -> None:
    assert mime.build(Content(), DELIVERY, "other@example.com").sender == "sales@example.com"
    assert mime.build(Content(from_=""), DELIVERY, "other@example.com").sender == "other@example.com"
    with pytest.raises(mime.Unsendable, match="no sender address"):
        mime.build(Content(from_=""), DELIVERY)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (Content(subject="a\nBcc: eve@example.com"), "line break"),
        (Content(subject="a\rb"), "line break"),
        (Content(to=("ada@example.com\nBcc: eve@example.com",)), "line break"),
        (Content(from_="a\r\n <sales@example.com>"), "line break"),
        (Content(to=()), "no recipient"),
        (Content(to=("nobody",)), "not an e-mail address"),
        (Content(to=("a b@example.com",)), "not an e-mail address"),
        (Content(to=("<ada@example.com> <eve@example.com>",)), "not an e-mail address"),
        (Content(to=("ada@-example.com",)), "not an e-mail address"),
        (Content(to=("ada@exa mple.com",)), "not an e-mail address"),
        (Content(to=("ada@" + "ö" * 80 + ".example",)), "domain"),
        (Content(to=("a@example.com",) * 101), "101 recipients"),
    ],
)
def test_what_can_never_be_sent_says_why(content: Content, why: str) -> None:
    with pytest.raises(mime.Unsendable, match=why):
        mime.build(content, DELIVERY)


def test_a_domain_beyond_ascii_is_written_as_dns_knows_it() -> None:
    mail = mime.build(Content(to=("Zoë <zoe@bücher.example>",)), DELIVERY)
    assert mail.recipients == ("zoe@xn--bcher-kva.example",)
    assert not mail.utf8
    assert parsed(mail)["To"].addresses[0].display_name == "Zoë"


def test_the_domain_for_the_pools_limit_is_the_first_recipients() -> None:
    assert mime.domain_of(Content(to=("Ada <ada@Example.com>", "b@example.org"))) == "example.com"
    assert mime.domain_of(Content(to=())) == ""
