"""Documents that are looked at and codes that are scanned, in front of a real shard; how they are held."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing
from starlette.responses import Response

from stagewheel.client import TrioClient, open_trio_client
from stagewheel.server.edge.answers import Refusal
from stagewheel.server.edge.config import EdgeConfig, Secrets
from stagewheel.server.edge.documents import SEND_S, Documents
from stagewheel.server.edge.endpoint import Edge
from stagewheel.server.edge.metrics import Metrics
from stagewheel.server.edge.rate import Rates
from stagewheel.server.edge.routes import application
from stagewheel.server.edge.shard import Gate
from stagewheel.server.limits import MADE_BYTES_MAX, MADE_SHOWN_MAX
from stagewheel.server.links import Links, Origin
from stagewheel.server.store.memory import MemoryStore
from tests.edge.test_gate import SlowShard
from tests.edge.test_links_waiting import KEY, PUBLIC, edge_of, request
from tests.senders.test_files import served

LINKS = Links(PUBLIC, KEY).of(Origin("deal:1", "badge", 1))
OFFER = "documents/deal:1/1-1.html"
HTML = b"<!doctype html><title>Offer</title><script>alert(1)</script><p>For Ada</p>"
RULES = """
ruleset: papers
entities: {deal: {}}
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
      - id: viewed
        triggers: [{id: viewed, on: document_viewed, template: offer}]
      - id: scanned
        triggers: [{id: scanned, on: qr_scanned, rule: badge}]
"""


@asynccontextmanager
async def papers(folder: Path, burst: int = 1_000) -> AsyncIterator[tuple[TrioClient, httpx.AsyncClient]]:
    """The edge's routes in front of a real shard with documents that were made."""
    address = f"ipc://{folder}/shard"
    async with served(address, MemoryStore()), open_trio_client(address) as client:
        await client.put_ruleset("papers", {"rules.yaml": RULES})
        await client.put_file(HTML, "Offer für Ada.html", file=OFFER, type="text/html")
        await client.put_file(b"%PDF-1.7 \xff", "o.pdf", file="documents/deal:1/1-2.pdf")
        await client.put_file(b"<svg/>", "o.svg", file="documents/deal:1/1-3.svg", type="image/svg+xml")
        await client.create_item("deal:1", "deals")
        rates = Rates(1, burst), Rates(1_000, 1_000)
        config = EdgeConfig(public_url=PUBLIC)
        edge = Edge(
            config, Secrets(KEY, b"", b"", {}), Gate(client), Metrics(), *rates, lambda: 1_800_000_000.0
        )
        transport = httpx.ASGITransport(application(edge), client=("198.51.100.9", 9))
        async with httpx.AsyncClient(transport=transport, base_url=PUBLIC) as web:
            yield client, web


async def state(client: TrioClient) -> tuple[str, int]:
    """The stage of the item, and how many events reached it."""
    item = await client.item("deal:1")
    assert item is not None
    records = await client.timeline("deal:1")
    return item.stage, sum(record.cause == "RaiseEvent" for _, record in records)


def shown(file: str = OFFER, template: str = "offer") -> str:
    return LINKS.document(template, file)


async def test_a_document_is_shown_as_a_strangers_and_moves_the_item_once(tmp_path: Path) -> None:
    """A10, G14: by its template."""
    async with papers(tmp_path) as (client, web):
        other = await web.get(shown(template="invoice"))
        assert (other.status_code, await state(client)) == (200, ("new", 1)), "of another template"
        answer = await web.get(shown())
        assert (answer.status_code, answer.content) == (200, HTML)
        assert (await web.get(shown())).content == HTML
        assert await state(client) == ("viewed", 2)
    headers = answer.headers
    assert headers["content-type"].startswith("text/html")
    policy = headers["content-security-policy"]
    assert "sandbox" in policy
    assert "default-src 'none'" in policy
    assert "allow-scripts" not in policy
    assert headers["content-disposition"] == "inline; filename*=UTF-8''Offer%20f%C3%BCr%20Ada.html"
    assert (headers["x-robots-tag"], headers["cache-control"]) == ("noindex, nofollow", "no-store, private")


async def test_a_pdf_is_opened_what_we_do_not_make_is_saved_and_what_was_dropped_is_gone(
    tmp_path: Path,
) -> None:
    """A10."""
    async with papers(tmp_path) as (client, web):
        pdf = await web.get(shown("documents/deal:1/1-2.pdf", "x"))
        assert (pdf.headers["content-type"], pdf.headers["content-disposition"][:6]) == (
            "application/pdf",
            "inline",
        )
        assert pdf.headers["x-content-type-options"] == "nosniff"
        drawing = await web.get(shown("documents/deal:1/1-3.svg", "x"))
        assert drawing.headers["content-type"] == "application/octet-stream"
        assert drawing.headers["content-disposition"].startswith("attachment")
        _, before = await state(client)
        await client.drop_file(OFFER)
        gone = await web.get(shown())
        assert (gone.status_code, gone.json()["error"]) == (404, "no_document")
        assert await state(client) == ("new", before), "nobody looked at it"


async def test_what_a_program_fetches_by_itself_is_shown_and_not_counted(tmp_path: Path) -> None:
    """G14, G15."""
    programs = [("HEAD", {}), ("GET", {"User-Agent": "Googlebot/2.1"}), ("GET", {"Purpose": "prefetch"})]
    async with papers(tmp_path) as (client, web):
        for method, headers in programs:
            assert (await web.request(method, shown(), headers=headers)).status_code == 200
            code = LINKS.qr("https://shop.example", "", "")
            assert (await web.request(method, code, headers=headers)).status_code == 302
        assert await state(client) == ("new", 0)


async def test_a_code_leads_on_or_shows_a_small_page_and_moves_the_item(tmp_path: Path) -> None:
    """A11, G15: by the rule that made it."""
    async with papers(tmp_path) as (client, web):
        answer = await web.get(LINKS.qr("https://shop.example/pay?for=é", "", ""))
        assert (answer.status_code, answer.headers["location"]) == (
            302,
            "https://shop.example/pay?for=%C3%A9",
        )
        assert await state(client) == ("scanned", 1)
        page = await web.get(LINKS.qr("", "Hall <3>", "Doors at 8\n<script>"))
        assert await state(client) == ("scanned", 2)
    assert "<h1>Hall &lt;3&gt;</h1>" in page.text
    assert "Doors at 8\n&lt;script&gt;" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_a_link_that_is_not_ours_is_refused_and_counts_by_the_small_rate(tmp_path: Path) -> None:
    """G14, G15."""
    document, code = shown().rpartition("/")[2], LINKS.qr("https://shop.example", "", "").rpartition("/")[2]
    async with papers(tmp_path, burst=4) as (client, web):
        asked = [f"/d/{document[:-2]}", f"/q/{code[:-2]}", f"/q/{document}", f"/d/{code}", "/d/x"]
        assert [(await web.get(one)).status_code for one in asked] == [404, 404, 404, 404, 429]
        assert await state(client) == ("new", 0)
        assert (await web.get(shown())).status_code == 200, "who has a right one is served"


# ---------------------------------------------------------------- what the edge holds


async def looked_at(documents: Documents, route: str = "d") -> Response:
    url = shown() if route == "d" else LINKS.qr("https://shop.example", "", "")
    return await (documents.show if route == "d" else documents.scan)(request("GET", url))


async def test_documents_on_their_way_are_bounded_and_a_slow_reader_is_let_go(
    autojump_clock: trio.testing.MockClock,
) -> None:
    shard = SlowShard()
    shard.data = HTML
    shard.go.set()
    edge = edge_of(shard)
    edge.with_token = Rates(1_000, 1_000)
    documents = Documents(edge)
    answers = [await looked_at(documents) for _ in range(MADE_SHOWN_MAX)]
    with pytest.raises(Refusal) as raised:
        await looked_at(documents)
    assert (raised.value.status, raised.value.code) == (503, "busy")

    async def never(message: Any) -> None:
        await trio.sleep_forever()

    async def nothing() -> Any:
        await trio.sleep_forever()

    began_s = trio.current_time()
    await answers[0]({"type": "http"}, nothing, never)
    assert trio.current_time() - began_s == SEND_S
    assert (await looked_at(documents)).status_code == 200


@pytest.mark.parametrize(
    ("data", "status", "code"), [(b"", 404, "no_document"), (b"x" * (MADE_BYTES_MAX + 1), 404, "no_document")]
)
async def test_a_file_that_is_not_there_or_too_large_is_not_shown_and_gives_its_place_back(
    data: bytes, status: int, code: str
) -> None:
    shard = SlowShard()
    shard.data = data
    shard.go.set()
    edge = edge_of(shard)
    edge.with_token = Rates(1_000, 1_000)
    documents = Documents(edge)
    for _ in range(MADE_SHOWN_MAX + 1):
        with pytest.raises(Refusal) as raised:
            await looked_at(documents)
        assert (raised.value.status, raised.value.code) == (status, code)


async def test_a_code_is_counted_again_after_a_minute() -> None:
    shard = SlowShard()
    shard.go.set()
    edge = edge_of(shard)
    keys: list[str] = []
    submit = shard.submit

    async def kept(commands: Any, wait_applied: bool = False) -> Any:
        keys.extend(one.dedupe_key for one in commands)
        return await submit(commands)

    shard.submit = kept  # type: ignore[method-assign]
    for now_s in (59.0, 60.0, 119.0):
        edge.now_s = lambda now_s=now_s: now_s  # type: ignore[misc]
        await looked_at(Documents(edge), "q")
    assert keys[0] != keys[1] == keys[2]
