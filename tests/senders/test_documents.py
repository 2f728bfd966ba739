"""Documents and QR codes as a sender process makes them, over real sockets: stored, sent along, bounded."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import segno
import trio
from PIL import Image
from pypdf import PdfReader

from stagewheel.client import TrioClient, open_trio_client
from stagewheel.errors import OperatorError, RuleError
from stagewheel.protocol.files import FileView
from stagewheel.protocol.journal import DeadLettered, FileMade, StepEnded
from stagewheel.server.channels.base import Delivered, Delivery, Outcome, RefusedForGood, Retry
from stagewheel.server.channels.document import DocumentSettings
from stagewheel.server.channels.email import EmailSettings
from stagewheel.server.channels.file_store import File, NotStored
from stagewheel.server.channels.qr import QrSettings
from stagewheel.server.links import Links, Origin, Scanned, Showing, read_link
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.files_doc import DocumentContent, QrContent
from stagewheel.server.senders.config import ChannelsConfig
from stagewheel.server.senders.sender import SenderProcess
from stagewheel.server.store.memory import MemoryStore
from tests.senders.test_files import served

KEY = b"k" * 32
LINKS = Links("https://edge.shop.example", KEY)
RULES = """
ruleset: shop
timezone: Europe/Rome
entities: {deal: {fields: {badge: file, offer: file, invoice: file, total: money}}}
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
        rules:
          - id: badge
            action: {do: create_qr, url: "https://shop.example/deals/{{ item.key }}", title: Badge,
                     field: badge, scale: 3}
          - id: invoice
            after_previous: true
            action: {do: create_document, template: invoice.html.j2, number: "INV-{{ year }}-{{ n }}",
                     page: a5, title: "Invoice {{ document.number }}", field: invoice, link: true}
          - id: page
            after_previous: true
            action: {do: create_document, template: offer.html.j2, format: html, field: offer}
          - id: mail
            after_previous: true
            action: {do: send_email, to: ada@example.com, subject: Yours, body: "{{ item.invoice.name }}",
                     attachments: [{field: badge}, {field: invoice, required: true}]}
      - id: broken
        rules: [{id: lost, action: {do: create_document, template: lost.html.j2}}]
"""
FILES = {
    "rules.yaml": RULES,
    "invoice.html.j2": "<style>p {color: red}</style><h1>{{ document.title }}</h1>"
    "<p>Größe: {{ item.total | money }} €</p>"
    '<p><img src="stored:{{ item.badge.file }}" width="90"></p>',
    "offer.html.j2": '<p>For {{ item.title }}</p><img src="stored:{{ item.badge.file }}">',
    "lost.html.j2": '<img src="stored:nobody">',
}


@asynccontextmanager
async def shop(folder: Path) -> AsyncIterator[TrioClient]:
    """A shard, a sender process that makes documents, and a client."""
    address = f"ipc://{folder}/shard"
    config = ChannelsConfig(EmailSettings(spool=str(folder / "spool"), default_from="shop@example.net"))
    process = SenderProcess(
        address, config, "store", b"sender-0", lambda files, n: compile_ruleset(files, n)[0], links=LINKS
    )
    with trio.fail_after(60):
        async with (
            served(address, MemoryStore()),
            open_trio_client(address) as client,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(process.run)
            await client.put_ruleset("shop", FILES)
            yield client
            await process.close()
            nursery.cancel_scope.cancel()


async def facts_until(client: TrioClient, key: str, rule: str) -> list[Any]:
    """What happened to the item, up to the end of a rule."""
    with client.subscribe(item=key) as stream:
        facts: list[Any] = []
        async for _, record in stream:
            facts += record.did
            if any(isinstance(fact, StepEnded) and fact.rule == rule for fact in facts):
                return facts
    raise AssertionError("the stream ended")


async def stored(client: TrioClient, file: str) -> bytes:
    found = await client.get_file(file)
    assert found is not None, file
    return found.data


def signed(url: str) -> tuple[str, str]:
    route, value = url.removeprefix("https://edge.shop.example/").split("/")
    return route, value


async def test_a_code_stands_in_a_document_and_both_go_out_with_a_mail(tmp_path: Path) -> None:
    """A10, A11: HTML, PDF, PNG; number, title, field, public link, pictures of stored files."""
    async with shop(tmp_path) as client:
        await client.create_item("deal:1", "deals", title="Roof", fields={"total": 1200})
        facts = await facts_until(client, "deal:1", "mail")
        badge, invoice, offer = [fact for fact in facts if isinstance(fact, FileMade)]
        item = await client.item("deal:1")
        assert item is not None
        assert [item.fields[one]["type"] for one in ("badge", "invoice", "offer")] == [
            "image/png",
            "application/pdf",
            "text/html",
        ]

        route, value = signed(badge.link)
        scanned = read_link(Scanned, KEY, route, value, 0)
        assert (route, scanned.url) == ("q", "https://shop.example/deals/deal:1")
        assert scanned.origin == Origin("deal:1", "badge", 1)
        png = await stored(client, badge.file)
        code = segno.make_qr(badge.link, error="m", boost_error=False)
        assert drawn(png, 3, 4) == [list(row) for row in code.matrix]

        route, value = signed(invoice.link)
        assert (invoice.number[:4], invoice.number[-2:]) == ("INV-", "-1")
        showing = read_link(Showing, KEY, route, value, 0)
        assert (route, showing.template, showing.file) == ("d", "invoice", invoice.file)
        pdf = await stored(client, invoice.file)
        reader = PdfReader(BytesIO(pdf))
        [page] = reader.pages
        text = page.extract_text()
        assert f"Invoice {invoice.number}" in text
        assert "Größe: 1,200.00 €" in text
        assert "red" not in text
        assert len(page.images) == 1
        assert float(page.mediabox.width) < 425, "A5"
        assert item.fields["invoice"]["size"] == len(pdf)
        assert item.fields["invoice"]["name"] == f"Invoice {invoice.number}.pdf"

        html = (await stored(client, offer.file)).decode()
        assert html.startswith("<!doctype html>")
        assert re.search(r'<img src="data:image/png;base64,[\w+/=]+">', html)
    [mail] = (tmp_path / "spool" / "new").iterdir()
    sent = mail.read_text()
    assert "application/pdf" in sent
    assert "image/png" in sent


async def test_a_document_whose_picture_is_not_there_is_a_dead_letter(tmp_path: Path) -> None:
    """A10, 8.3."""
    async with shop(tmp_path) as client:
        await client.create_item("deal:2", "deals", "broken")
        facts = await facts_until(client, "deal:2", "lost")
        [letter] = [fact for fact in facts if isinstance(fact, DeadLettered)]
        assert letter.reason == "there is no stored file nobody"


def drawn(png: bytes, scale: int, border: int) -> list[list[int]]:
    """The modules of a drawn code: 1 is dark."""
    picture = Image.open(BytesIO(png)).convert("L")
    side = picture.width // scale - 2 * border
    middle = [(border + one) * scale + scale // 2 for one in range(side)]
    return [[int(picture.getpixel((x, y)) == 0) for x in middle] for y in middle]


class Kept:
    """A `FileStore` in memory."""

    def __init__(self, refuses: str = "") -> None:
        self.files: dict[str, bytes] = {"text": b"no picture"}
        self.refuses = refuses

    async def get(self, file: str) -> File | None:
        data = self.files.get(file)
        return File(FileView(file, file, "", len(data), "", 0, 0), data) if data is not None else None

    async def put(self, data: bytes, name: str, *, file: str = "", type: str = "") -> FileView:
        if self.refuses:
            raise NotStored(self.refuses)
        self.files[file] = data
        return FileView(file, name, type, len(data), "", 0, 0)


def content(body: str, format: str = "pdf", page: str = "a4") -> DocumentContent:
    return DocumentContent("documents/deal:1/1-1.pdf", "Offer", "", "offer", format, page, body)


async def made(one: DocumentContent | QrContent, kept: Kept, **settings: Any) -> Outcome:
    opened = DocumentSettings(**settings) if isinstance(one, DocumentContent) else QrSettings()
    channel = opened.open("store")
    try:
        return await channel.deliver(one, Delivery("0" * 32, 1, "deal:1", "offer", 0, files=kept))
    finally:
        await channel.close_sender(0)
        await channel.aclose()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("<img src='stored:text'>", "the stored file text is no PNG, JPEG or GIF"),
        ("".join(f"<img src='stored:{n}'>" for n in range(60)), "at most 50 pictures"),
    ],
)
async def test_what_is_no_picture_is_refused_before_anything_is_made(body: str, reason: str) -> None:
    outcome = await made(content(body), Kept())
    assert isinstance(outcome, RefusedForGood)
    assert reason in outcome.reason


async def test_what_a_template_can_not_have_is_refused_and_the_next_document_is_made() -> None:
    """One process makes them all: a mistake costs none, a document that takes too long costs it."""
    bodies = {
        "<p>Жук</p>": "the letter 'Ж' is in no built-in font",
        '<img src="/etc/hostname">': "'/etc/hostname' is no stored file",
        '<img src="https://shop.example/a.png">': "is no stored file",
    }
    kept = Kept()
    channel = DocumentSettings(render_s=60).open("store")
    delivery = Delivery("0" * 32, 1, "deal:1", "offer", 0, files=kept)
    try:
        for body, reason in bodies.items():
            outcome = await channel.deliver(content(body), delivery)
            assert isinstance(outcome, RefusedForGood)
            assert reason in outcome.reason
        assert isinstance(await channel.deliver(content("<p>Hello</p>"), delivery), Delivered)
        first = kept.files["documents/deal:1/1-1.pdf"]
        assert isinstance(await channel.deliver(content("<p>Hello</p>"), delivery), Delivered)
        assert kept.files["documents/deal:1/1-1.pdf"] == first, "the same document is the same bytes"
        [process] = channel._press._processes.values()  # type: ignore[attr-defined]
        process.kill()
        await process.wait()
        assert isinstance(await channel.deliver(content("<p>Again</p>"), delivery), Delivered)
    finally:
        await channel.aclose()


async def test_a_document_that_takes_too_long_is_given_up() -> None:
    outcome = await made(content("<p>x</p>" * 100_000), Kept(), render_s=0.4)
    assert outcome == RefusedForGood("making the document took longer than 0.4 s")


async def test_a_store_that_refuses_refuses_the_document() -> None:
    outcome = await made(content("<p>x</p>", "html"), Kept("the files take too much room"))
    assert outcome == RefusedForGood("the file was not stored: the files take too much room")


async def test_a_code_that_holds_too_much_is_refused() -> None:
    code = QrContent("f.png", "Badge", "https://edge.shop.example/q/" + "a" * 3000, "", "", 4, 4, "h")
    outcome = await made(code, Kept())
    assert isinstance(outcome, RefusedForGood)
    assert "too long for a QR code" in outcome.reason
    assert not isinstance(outcome, Retry)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [({"font": "/nowhere/a.ttf"}, "can't be read"), ({"font_bold": "/nowhere/b.ttf"}, "needs 'font'")],
)
def test_fonts_that_are_not_there_are_told_at_start(settings: dict[str, str], complaint: str) -> None:
    with pytest.raises(OperatorError, match=complaint):
        DocumentSettings(**settings).check()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "action", ["do: create_qr, text: Hall 3", "do: create_document, template: lost.html.j2, link: true"]
)
def test_a_server_without_an_edge_refuses_what_needs_links(action: str) -> None:
    """A10, A11."""
    stages = f"[{{id: new, rules: [{{id: a, action: {{{action}}}}}]}}]"
    rules = f"ruleset: shop\ntimezone: UTC\npipelines: {{deals: {{entity: deal, stages: {stages}}}}}\n"
    files = {**FILES, "rules.yaml": rules}
    compile_ruleset(files, 1, {"links": ["https://edge.shop.example"]})
    with pytest.raises(RuleError, match="public_url"):
        compile_ruleset(files, 1, {"links": []})
