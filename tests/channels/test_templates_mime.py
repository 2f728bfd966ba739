"""Twenty mails of twenty templates, rendered by the real document and read back by the standard library's
parser: what a reader gets is what the author meant. (H1)
"""

import email
import email.policy
from collections.abc import Mapping
from email.message import EmailMessage
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
import pytest

from stagewheel.protocol.files import FileView
from stagewheel.protocol.messages import Address, Client, Employee
from stagewheel.server.channels import mime
from stagewheel.server.channels.base import Delivery
from stagewheel.server.channels.file_store import File
from stagewheel.server.core.item import Item
from stagewheel.server.core.plan_actions import ChannelPlan
from stagewheel.server.core.scope import Scope
from stagewheel.server.rules.compile import compile_ruleset

DELIVERY = Delivery("0123456789abcdef" * 2, 1, "deal:1", "mail", 1_772_438_400_000)
INES = Employee(7, "Ines", [Address("ines@example.com", "work"), Address("ines@home.example", "home")])
LONG = (
    "This subject goes on and on, well beyond what one line of a header may hold, and still it is one. " * 4
)
WORDS = "word " * 400
PICTURE = bytes(range(256)) * 20


class Case(NamedTuple):
    """A template, and what a reader must get."""

    name: str
    subject: str = "Hello"
    body: str = "Hello {{ client.name }}"
    html: str = ""
    client: str = "Ada"
    fields: Mapping[str, Any] = MappingProxyType({})
    sender: str = "auto"
    to: str = "client"
    files: tuple[File, ...] = ()
    wants_subject: str = "Hello"
    wants_text: str = "Hello Ada"
    wants_html: str = ""
    wants_from: tuple[str, str] = ("Ines", "ines@example.com")
    wants_to: tuple[str, str] = ("", "ada@example.com")


def file(name: str, data: bytes, type_: str = "application/pdf") -> File:
    return File(FileView("id", name, type_, len(data), ""), data)


CASES = (
    Case("plain"),
    Case(
        "accents",
        "Grüße, {{ client.name }}",
        client="Żółć",
        wants_subject="Grüße, Żółć",
        wants_text="Hello Żółć",
    ),
    Case("emoji", "🎉 {{ client.name }}", "👩‍🔬 for you", wants_subject="🎉 Ada", wants_text="👩‍🔬 for you"),
    Case(
        "right to left",
        "שלום {{ client.name }}",
        "مرحبا بكم",
        wants_subject="שלום Ada",
        wants_text="مرحبا بكم",
    ),
    Case("a very long subject", LONG, wants_subject=LONG.strip()),
    Case("a long foreign subject", "Größe " * 60, wants_subject=("Größe " * 60).strip()),
    Case("a long line", body="x" * 5000, wants_text="x" * 5000),
    Case("a long line of words", body=WORDS, wants_text=WORDS),
    Case("dots and From", body=".\n..\nFrom here\n--\n", wants_text=".\n..\nFrom here\n--"),
    Case("empty values", "Re {{ item.note }}", "[{{ item.note }}]", wants_subject="Re", wants_text="[]"),
    Case("default of an empty value", body="{{ item.note | default('none') }}", wants_text="none"),
    Case(
        "a subject of two lines",
        "a {{ item.note }}",
        fields={"note": "b\r\nBcc: eve@example.com"},
        wants_subject="a b Bcc: eve@example.com",
    ),
    Case("what looks encoded", "=?utf-8?q?no?=", wants_subject="=?utf-8?q?no?="),
    Case(
        "html with its text beside",
        html="<h1>Hi {{ client.name }}</h1><p>See <a href='https://a.example/x'>this</a></p>",
        wants_text="Hi Ada\n\nSee this (https://a.example/x)",
        wants_html="<h1>Hi Ada</h1><p>See <a href='https://a.example/x'>this</a></p>",
    ),
    Case(
        "html escapes values",
        html="<p>{{ client.name }}</p>",
        client="<b>Ada</b>",
        wants_text="<b>Ada</b>",
        wants_html="<p>&lt;b&gt;Ada&lt;/b&gt;</p>",
    ),
    Case(
        "foreign html in long lines",
        html="<p>" + "Grüße " * 400 + "</p>",
        wants_text=("Grüße " * 400).strip(),
        wants_html="<p>" + "Grüße " * 400 + "</p>",
    ),
    Case(
        "a quoted name",
        sender='"Sales, \\"the\\" Team" <sales@example.com>',
        wants_from=('Sales, "the" Team', "sales@example.com"),
    ),
    Case(
        "a foreign name and domain",
        sender="Büro <sales@bücher.example>",
        to="Zoë <zoe@bücher.example>",
        wants_from=("Büro", "sales@xn--bcher-kva.example"),
        wants_to=("Zoë", "zoe@xn--bcher-kva.example"),
    ),
    Case(
        "attachments", files=(file("invoice.pdf", PICTURE), file('a, "b"; c.bin', b"", "application/x-thing"))
    ),
    Case(
        "attachments with foreign and long names, beside html",
        html="<p>Hi</p>",
        wants_text="Hi",
        wants_html="<p>Hi</p>",
        files=(
            file("Rechnung für Żółć 🎉.pdf", PICTURE),
            file("ä" * 60 + ".txt", b"text\n", "text/plain"),
            file("mail.eml", b"Subject: x\n\ny", "message/rfc822"),
        ),
    ),
)


def render(case: Case) -> Any:
    body = {"templates/b.html.j2": case.html} if case.html else {"templates/b.txt.j2": case.body}
    action = {"do": "send_email", "subject": case.subject, "body": next(iter(body)), "from": case.sender}
    if case.to != "client":
        action["to"] = case.to
    rules = {
        "ruleset": "sales",
        "entities": {"deal": {"fields": {"note": "text"}}},
        "pipelines": {
            "deals": {
                "entity": "deal",
                "stages": [{"id": "new", "rules": [{"id": "mail", "action": action}]}],
            }
        },
    }
    version, _ = compile_ruleset({"sales.json": msgspec.json.encode(rules).decode(), **body}, 1)
    plan = next(one for one in version.actions if isinstance(one, ChannelPlan))
    ada = Client(case.client, [Address("ada@example.com", "work")])
    item = Item(0, 0, None, "deal:1", "deals", "new", 1, 0, 1, "", 7, dict(case.fields), ada, "", [], 1, 0, 0)
    zone = version.pipelines["deals"].zone
    scope = Scope(item, item.fields, "deal", {7: INES}, zone, DELIVERY.at_ms)
    return plan.document.render(scope)


def lines(part: Any) -> str:
    return "\n".join(part.get_content().replace("\r\n", "\n").rstrip("\n").split("\n"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_s7_2_a_mail_parses_back_to_what_its_template_meant(case: Case) -> None:
    """H1; 7.2, 7.8."""
    built = mime.build(render(case), DELIVERY, files=case.files)
    assert all(len(line) <= 998 for line in built.data.split(b"\r\n"))
    assert built.data.isascii()
    mail = email.message_from_bytes(built.data, policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    assert not any(part.defects for part in mail.walk())
    assert (mail["Subject"], mail["Bcc"]) == (case.wants_subject, None)
    (sender,), (to,) = mail["From"].addresses, mail["To"].addresses
    assert (sender.display_name, sender.addr_spec) == case.wants_from
    assert (to.display_name, to.addr_spec) == case.wants_to
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert lines(text) == case.wants_text
    assert (lines(html) if html is not None else "") == case.wants_html
    attached = list(mail.iter_attachments()) if case.files else []
    assert [one.get_filename() for one in attached] == [one.view.name for one in case.files]
    assert [one.get_payload(decode=True) for one in attached] == [one.data for one in case.files]


def test_there_are_twenty_of_them() -> None:
    assert len({case.name for case in CASES}) == len(CASES) == 20


@pytest.mark.parametrize(
    "name", ["a\r\nBcc: eve@example.com.pdf", "../../etc/passwd", 'x"; filename="y', "\x00\x01.pdf"]
)
def test_the_name_of_an_attachment_is_no_way_into_the_headers_or_the_disk(name: str) -> None:
    built = mime.build(render(CASES[0]), DELIVERY, files=[file(name, b"x")])
    mail = email.message_from_bytes(built.data, policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    (attached,) = mail.iter_attachments()
    assert mail["Bcc"] is None
    assert [key for key in attached if key.lower() == "bcc"] == []
    found = attached.get_filename() or ""
    assert "/" not in found
    assert "\n" not in found
