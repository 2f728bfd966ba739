"""Links of messages over real HTTP: clicks, openings, unsubscribing; and the mail that they stand in."""

import email
import email.policy
import re
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest

from stagewheel.client.blocking import Client
from stagewheel.protocol.journal import AddressSuppressed, StepEnded
from stagewheel.protocol.messages import Address, Client as Person
from stagewheel.server.edge.visits import GIF
from stagewheel.server.links import Links, Origin
from tests.edge.conftest import BURST, CONFIG, ENVIRONMENT, KEY, METRICS_TOKEN
from tests.edge.test_routes import stage
from tests.server.harness import Served, wait_for

PUBLIC = "https://edge.shop.example"
LINKS = Links(PUBLIC, KEY.encode())
OFFER = "https://shop.example/offers/7?from=mail&x=%C3%A9"

MAILS = """
ruleset: mails
timezone: UTC
entities: {lead: {}, deal: {}}
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
      - id: opened
        triggers: [{id: opened, on: email_opened, rule: offer}]
      - id: clicked
        triggers: [{id: clicked, on: link_clicked, url: "https://shop.example/offers/*"}]
  leads:
    entity: lead
    stages:
      - id: new
        rules:
          - id: hello
            action:
              do: send_email
              subject: Hello
              body: hello.html.j2
              track: {clicks: true, opens: true}
      - id: keen
        triggers: [{id: looked, on: link_clicked, url: "https://shop.example/prices"}]
"""
BODY = '<a href="https://shop.example/prices">Prices</a> <a href="{{ unsubscribe_url }}">Enough</a>'
ADA = Person("Ada", [Address("reader@shop.example")])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """As the others have it, with a sender that writes mails to a Maildir."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in ENVIRONMENT.items():
            environment.setenv(name, value)
        with Served(tmp_path_factory.mktemp("links"), edge=CONFIG) as served:
            served.wait_ready("edge-0")
            with served.client() as client:
                client.put_ruleset("mails", {"rules.yaml": MAILS, "hello.html.j2": BODY})
            yield served


def path(url: str) -> str:
    return url.removeprefix(PUBLIC)


def clicked(item: str, url: str = OFFER) -> str:
    return path(LINKS.click(Origin(item, "offer", 3), url))


def heard(client: Client, key: str) -> int:
    return sum(record.cause == "RaiseEvent" for _, record in client.timeline(key))


def test_a_click_leads_on_and_moves_the_item_and_counts_once(web: httpx.Client, client: Client) -> None:
    """G10."""
    client.create_item("deal:50", "deals")
    for _ in range(2):
        answer = web.get(clicked("deal:50"))
        assert (answer.status_code, answer.headers["location"]) == (302, OFFER)
    assert stage(client, "deal:50") == "clicked"
    assert heard(client, "deal:50") == 1


def test_the_picture_of_a_mail_tells_that_it_was_opened(web: httpx.Client, client: Client) -> None:
    """G9, by the rule that sent the mail."""
    client.create_item("deal:51", "deals")
    answer = web.get(path(LINKS.open(Origin("deal:51", "offer", 3))))
    assert (answer.status_code, answer.content) == (200, GIF)
    assert stage(client, "deal:51") == "opened"


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("HEAD", {}),
        ("GET", {"Sec-Purpose": "prefetch;prerender"}),
        ("GET", {"X-Purpose": "preview"}),
        ("GET", {"User-Agent": "TelegramBot (like TwitterBot)"}),
        ("GET", {"User-Agent": "WhatsApp/2.24 A"}),
    ],
)
def test_what_a_program_fetches_by_itself_is_no_click(
    web: httpx.Client, client: Client, method: str, headers: dict[str, str]
) -> None:
    if client.item("deal:52") is None:
        client.create_item("deal:52", "deals")
    answer = web.request(method, clicked("deal:52"), headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (302, OFFER)
    assert heard(client, "deal:52") == 0


def test_a_click_of_an_item_that_is_gone_leads_on(web: httpx.Client) -> None:
    assert web.get(clicked("deal:none")).headers["location"] == OFFER


def test_an_address_is_written_as_a_header_can_hold_it(web: httpx.Client) -> None:
    written = clicked("deal:none", "https://shop.example/caf\u00e9 \u0142?a=1;b\r\nX-Evil: 1")
    answer = web.get(written)
    assert answer.headers["location"] == "https://shop.example/caf%C3%A9%20%C5%82?a=1;b%0D%0AX-Evil:%201"
    assert "x-evil" not in answer.headers


def test_a_link_that_was_changed_or_is_of_another_kind_is_refused(web: httpx.Client, client: Client) -> None:
    """Nobody leads somebody elsewhere through us."""
    client.create_item("deal:53", "deals")
    signed = clicked("deal:53").removeprefix("/c/")
    content, _, mac = signed.partition(".")
    other = clicked("deal:53", "https://evil.example/").removeprefix("/c/").partition(".")[0]
    for wrong in (f"/c/{other}.{mac}", f"/c/{content}", f"/c/{content}.", f"/o/{signed}.gif", f"/u/{signed}"):
        answer = web.get(wrong)
        assert (answer.status_code, answer.json()["error"]) == (404, "bad_link")
        assert "location" not in answer.headers
    assert heard(client, "deal:53") == 0


def test_wrong_links_are_counted_by_the_small_rate_and_right_ones_are_not(
    web: httpx.Client, client: Client
) -> None:
    client.create_item("deal:54", "deals")
    answers = [web.get("/c/wrong.link").status_code for _ in range(BURST + 1)]
    assert answers == [404] * BURST + [429]
    assert web.get(clicked("deal:54")).status_code == 302


def test_s8_8_the_page_asks_and_its_button_unsubscribes(web: httpx.Client, client: Client) -> None:
    client.create_item("deal:55", "deals")
    link = path(LINKS.unsubscribe(Origin("deal:55", "offer", 3), "email", "<i>@shop.example"))
    page = web.get(link)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert '<form method="post">' in page.text
    assert "&lt;i&gt;@shop.example gets no more e-mails" in page.text
    assert list(client.suppressed("email", "<i>@shop.example")) == [], "a GET changes nothing"
    done = web.post(link)
    assert (done.status_code, "form" in done.text) == (200, False)
    [row] = client.suppressed("email")
    assert (row.address, row.kind, row.item) == ("<i>@shop.example", "unsubscribed", "deal:55")
    client.unsuppress("email", "<i>@shop.example")


def test_s8_8_a_mail_program_unsubscribes_with_one_click(web: httpx.Client, client: Client) -> None:
    """H1: RFC 8058. A POST without cookies, as a form or as multipart; no redirect; again it does nothing."""
    client.create_item("deal:56", "deals")
    link = path(LINKS.unsubscribe(Origin("deal:56", "offer", 3), "email", "ada@shop.example"))
    answers = [
        web.post(link, data={"List-Unsubscribe": "One-Click"}),
        web.post(link, files={"List-Unsubscribe": (None, "One-Click")}),
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    facts = [did for _, record in client.timeline("deal:56") for did in record.did]
    said = [did for did in facts if isinstance(did, AddressSuppressed)]
    assert [(one.address, one.reason) for one in said] == [
        ("ada@shop.example", "by the link in a message of offer")
    ]
    assert [row.kind for row in client.suppressed("email", "Ada@Shop.example")] == ["unsubscribed"]
    client.unsuppress("email", "ada@shop.example")


def test_a_body_that_is_too_large_unsubscribes_nobody(web: httpx.Client, client: Client) -> None:
    link = path(LINKS.unsubscribe(Origin("", "offer", 3), "sms", "+390612345"))
    assert web.post(link, content=b"x" * 4_097).status_code == 413
    assert list(client.suppressed("sms")) == []


def test_the_numbers_tell_of_links(web: httpx.Client, client: Client) -> None:
    client.create_item("deal:57", "deals")
    web.get(clicked("deal:57"))
    web.head(clicked("deal:57"))
    text = web.get("/metrics", headers={"X-Token": METRICS_TOKEN}).text
    assert 'stagewheel_edge_requests_total{route="click",status="302"}' in text
    assert 'stagewheel_edge_events_total{outcome="moved",route="click"}' in text
    assert 'stagewheel_edge_dropped_total{route="click",why="program"}' in text
    assert "deal:57" not in text


def ended(client: Client, key: str) -> list[tuple[str, str]]:
    facts = [did for _, record in client.timeline(key) for did in record.did]
    return [(did.outcome, did.reason) for did in facts if isinstance(did, StepEnded)]


def test_s8_8_a_mail_is_clicked_and_unsubscribed_and_the_next_one_is_not_sent(
    served: Served, web: httpx.Client, client: Client
) -> None:
    """H1, G10: the links that a sender process signed are those that the edge takes."""
    client.create_item("lead:1", "leads", client=ADA)
    wait_for(client, lambda: ended(client, "lead:1"))
    [file] = Path(served.config.channels.email.spool, "new").iterdir()
    mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    html = mail.get_body(("html",))
    assert isinstance(html, EmailMessage)
    click, enough = re.findall(r'href="([^"]*)"', html.get_content())
    assert mail["List-Unsubscribe"] == f"<{enough}>"
    assert web.get(path(click)).headers["location"] == "https://shop.example/prices"
    assert stage(client, "lead:1") == "keen"
    assert web.post(path(enough), data={"List-Unsubscribe": "One-Click"}).status_code == 200
    client.create_item("lead:2", "leads", client=ADA)
    assert ended(client, "lead:2") == [("skipped", "suppressed")]
    client.unsuppress("email", "reader@shop.example")
