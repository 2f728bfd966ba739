"""What mails of one rule have in common is prepared once: the bytes are those of a mail put together from
nothing, over twenty templates and many mails by chance, whichever came before.
"""

import random
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from msgspec.structs import replace

from stagewheel.server.channels import mime
from stagewheel.server.channels.base import Delivery
from stagewheel.server.channels.mime_parts import body
from tests.channels.peers import Content
from tests.channels.test_templates_mime import CASES, DELIVERY, Case, render

PEOPLE = (
    "sales@example.com",
    "Sales <sales@example.com>",
    '"A, B" <a.b@example.net>',
    "Zoë <zoë@bücher.example>",
)
NAMES = ("", "Ines", "Inès Ünal", 'the "one"')
RULES = ("thanks", "Grüße", "a" * 70, "x\r\nBcc: eve@example.com")
SUBJECTS = ("Hello", "Grüße", "=?utf-8?q?no?=", "long " * 40)
TEXTS = ("Hello", "", "a\r\nb\rc\n", ".\n..", "Größe\n" * 30, "x" * 2_000, "\0", DELIVERY.key)
LINKS = ("", "https://a.example/u", "mailto:u@a.example")


def from_nothing(content: mime.Content, delivery: Delivery, default_from: str, domain: str) -> bytes:
    """The definition: one line after the other, nothing kept."""
    name, sender = mime.mailbox(content.from_.strip() or default_from, "from")
    to = [mime._written(*mime.mailbox(one, "to")) for one in content.to]
    date = format_datetime(datetime.fromtimestamp(delivery.at_ms / 1000, UTC))
    head = [
        f"From: {mime._written(name or content.from_name, sender)}",
        "To: " + ",\r\n ".join(to),
        f"Subject: {mime._unstructured(content.subject.strip(), 'Subject')}",
        f"Date: {date}",
        f"Message-ID: <{delivery.key}@{domain or sender.rpartition('@')[2]}>",
        f"X-Stagewheel-Item: {mime.header_word(delivery.item)}",
        f"X-Stagewheel-Rule: {mime.header_word(delivery.rule)}",
        *filter(None, mime._unsubscribing(content.unsubscribe).split("\r\n")),
        "MIME-Version: 1.0",
    ]
    texts = body(content.text, content.html, content.calendar, (), delivery.key)
    return "".join(f"{line}\r\n" for line in head).encode() + texts


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_template_makes_the_same_bytes_first_and_later(case: Case) -> None:
    content = render(case)
    mime._prepared.cache_clear()
    wanted = from_nothing(content, DELIVERY, "", "")
    assert [mime.build(content, DELIVERY).data for _ in range(2)] == [wanted, wanted]


def test_mails_by_chance_are_those_made_from_nothing_whichever_came_before() -> None:
    draw = random.Random(41)
    for number in range(2_000):
        content = Content(
            to=tuple(draw.sample(PEOPLE, draw.randint(1, 2))),
            subject=draw.choice(SUBJECTS),
            text=draw.choice(TEXTS),
            html=draw.choice(("", "<p>Grüße</p>")),
            unsubscribe=draw.choice(LINKS),
            from_=draw.choice(("", *PEOPLE)),
            from_name=draw.choice(NAMES),
        )
        at_ms = DELIVERY.at_ms + draw.randrange(3_000)
        delivery = replace(DELIVERY, rule=draw.choice(RULES), item=f"lead:{number % 7}", at_ms=at_ms)
        default, domain = draw.choice(PEOPLE), draw.choice(("", "mail.example"))
        built = mime.build(content, delivery, default, domain)
        assert built.data == from_nothing(content, delivery, default, domain)


def test_a_sender_that_is_no_address_is_refused_each_time() -> None:
    for _ in range(2):
        with pytest.raises(mime.Unsendable, match="not an e-mail address"):
            mime.build(Content(from_="nobody"), DELIVERY)
