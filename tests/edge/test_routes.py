"""Every route over real HTTP, against a real server: what it does, and what it refuses."""

import time
from typing import Any

import httpx
import pytest

from stagewheel.client.blocking import Client
from stagewheel.server.edge.config import VISIT, purpose_of
from stagewheel.server.edge.signing import sign
from stagewheel.server.edge.visits import COOKIE, GIF
from tests.edge.conftest import BURST, EVENTS_TOKEN, HOOK_TOKEN, KEY, METRICS_TOKEN, SHOP
from tests.server.harness import Served

BEARER = {"Authorization": f"Bearer {HOOK_TOKEN}"}
FROM_SHOP = {"Origin": SHOP}


def signed(purpose: str, value: str, ends_in_s: int = 600) -> str:
    return sign(KEY.encode(), purpose, value, int(time.time()) + ends_in_s)


def stage(client: Client, key: str) -> str:
    item = client.item(key)
    assert item is not None
    return item.stage


# ---- hooks ----


def test_a_hook_raises_its_event_and_tells_what_it_did(web: httpx.Client, client: Client) -> None:
    """G4."""
    client.create_item("deal:1", "deals")
    small = web.post("/hooks/payments", headers=BEARER, json={"order": {"deal": 1}, "sum": 5})
    assert (small.status_code, small.json()["result"]) == (200, "not_moved")
    [candidate] = small.json()["candidates"]
    assert (candidate["trigger"], candidate["tests"][0]["seen"]) == ("payment", 5)
    paid = web.post(
        "/hooks/payments", headers={"X-Token": HOOK_TOKEN}, json={"order": {"deal": 1}, "sum": 500}
    )
    assert paid.json() == {"result": "moved", "from": "new", "to": "paid", "trigger": "payment"}
    assert stage(client, "deal:1") == "paid"


def test_a_hook_takes_its_key_from_a_query_and_another_event_type(web: httpx.Client, client: Client) -> None:
    """G16."""
    client.create_item("deal:2", "deals")
    answer = web.post("/hooks/calls?deal=deal:2", headers=BEARER)
    assert answer.json()["to"] == "called"


def test_a_request_that_is_sent_again_with_its_key_does_nothing_twice(
    web: httpx.Client, client: Client
) -> None:
    client.create_item("deal:3", "deals")
    for _ in range(2):
        headers = {**BEARER, "Idempotency-Key": "one"}
        web.post("/hooks/payments", headers=headers, json={"order": {"deal": 3}, "sum": 1})
    heard = [record for _, record in client.timeline("deal:3") if record.cause == "RaiseEvent"]
    assert len(heard) == 1


def test_an_event_for_a_paused_item_is_accepted(web: httpx.Client, client: Client) -> None:
    client.create_item("deal:4", "deals")
    client.pause("deal:4")
    answer = web.post("/hooks/payments", headers=BEARER, json={"order": {"deal": 4}, "sum": 500})
    assert (answer.status_code, answer.json()) == (202, {"result": "accepted"})
    client.resume("deal:4")


@pytest.mark.parametrize(
    ("path", "headers", "body", "status", "code"),
    [
        ("payments", {}, b"{}", 401, "unauthorized"),
        ("payments", {"Authorization": "Bearer hook-token-of-the-test"}, b"{}", 401, "unauthorized"),
        ("payments", {"X-Token": EVENTS_TOKEN}, b"{}", 401, "unauthorized"),
        ("none", BEARER, b"{}", 401, "unauthorized"),
        ("payments", BEARER, b"{", 400, "bad_json"),
        ("payments", BEARER, b"[" * 4_000, 400, "bad_json"),
        ("payments", BEARER, b"{}", 422, "no_item"),
        ("payments", BEARER, b'{"order": {"deal": 1}, "sum": %d}' % 10**30, 422, "bad_value"),
        ("payments", BEARER, b'{"order": {"deal": "none"}}', 404, "unknown_item"),
        ("payments", BEARER, b" " * 4_097, 413, "too_large"),
    ],
)
def test_a_hook_refuses_with_a_code(
    web: httpx.Client, path: str, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    answer = web.post(f"/hooks/{path}", headers=headers, content=body)
    assert (answer.status_code, answer.json()["error"]) == (status, code)


def test_a_body_without_a_length_is_cut_off_at_the_limit(web: httpx.Client) -> None:
    answer = web.post("/hooks/payments", headers=BEARER, content=iter([b" " * 1_000] * 50))
    assert (answer.status_code, answer.json()["error"]) == (413, "too_large")


# ---- events ----


def test_an_integration_raises_any_event(web: httpx.Client, client: Client) -> None:
    """G16, G17."""
    client.create_item("deal:10", "deals")
    headers = {"Authorization": f"Bearer {EVENTS_TOKEN}"}
    event = {"item": "deal:10", "type": "call_missed", "payload": {"line": "+1 00"}}
    assert web.post("/events", headers=headers, json=event).json()["trigger"] == "rang"
    for wrong in (
        {**event, "type": "field_changed"},
        {**event, "itm": 1},
        {**event, "item": ""},
        {"item": 1},
    ):
        assert web.post("/events", headers=headers, json=wrong).status_code == 422
    assert web.post("/events", headers=BEARER, json=event).status_code == 401


# ---- forms ----


def test_a_form_with_a_signed_field_writes_to_its_item_and_moves_it(
    web: httpx.Client, client: Client
) -> None:
    """G3."""
    client.create_item("deal:20", "deals")
    ticket = signed(purpose_of("brief"), "deal:20")
    posted = {"ticket": ticket, "size": "12,5", "urgent": "on", "why": "new roof", "website": "", "x": "y"}
    answer = web.post("/forms/brief", headers=FROM_SHOP, data=posted)
    assert (answer.status_code, answer.headers["location"]) == (303, "https://shop.example/thanks")
    assert answer.headers["access-control-allow-origin"] == SHOP
    item = client.item("deal:20")
    assert item is not None
    assert (item.stage, item.fields) == ("briefed", {"size": 12.5, "urgent": True})


def test_a_form_may_come_as_multipart_or_json_and_a_program_gets_json(
    web: httpx.Client, client: Client
) -> None:
    """G3, G16."""
    client.create_item("deal:21", "deals")
    client.create_item("deal:22", "deals")
    parts = {"ticket": (None, signed(purpose_of("brief"), "deal:21")), "size": (None, "7")}
    accept = {**FROM_SHOP, "Accept": "application/json"}
    answer = web.post("/forms/brief", headers=accept, files=parts)
    assert (answer.status_code, answer.json()) == (200, {"ok": True}), "nothing of the inside is told"
    assert stage(client, "deal:21") == "new", "its condition does not hold"
    answer = web.post("/forms/call", json={"ticket": signed(purpose_of("call"), "deal:22"), "when": 9})
    assert answer.json() == {"ok": True}
    assert stage(client, "deal:22") == "called"


def test_a_form_of_somebody_unknown_makes_a_contact_and_a_lead(web: httpx.Client, client: Client) -> None:
    """G3; 5.6 by way of a contact whose key is the address."""
    posted = {"email": "Ada@Example.com", "who": "Ada", "name": "Kitchen", "size": "3"}
    assert web.post("/forms/lead", headers=FROM_SHOP, data=posted).json() == {"ok": True}
    contact = client.client("contact:ada@example.com")
    assert contact is not None
    assert (contact.client.name, contact.links) == ("Ada", 1)
    item = client.item("deal:contact-ada@example.com-1")
    assert item is not None
    assert (item.title, item.source, item.fields) == ("From Kitchen", "web", {"size": 3})


@pytest.mark.parametrize(
    ("path", "headers", "posted", "status", "code"),
    [
        ("none", FROM_SHOP, {}, 404, "unknown_form"),
        ("brief", {}, {"size": "1"}, 403, "wrong_origin"),
        ("brief", {"Origin": "https://shop.example.net"}, {"size": "1"}, 403, "wrong_origin"),
        ("brief", {"Origin": "null"}, {"size": "1"}, 403, "wrong_origin"),
        ("brief", FROM_SHOP, {"size": " "}, 422, "missing_field"),
        ("brief", FROM_SHOP, {"size": "1"}, 422, "bad_email"),
        ("brief", FROM_SHOP, {"size": "many", "ticket": "x"}, 422, "bad_field"),
        ("brief", FROM_SHOP, {"size": "nan", "ticket": "x"}, 422, "bad_field"),
        ("brief", FROM_SHOP, {"size": "1", "ticket": "x.y"}, 403, "bad_signature"),
        ("brief", FROM_SHOP, {"size": "1", "ticket": signed("visit", "deal:1")}, 403, "bad_signature"),
        ("brief", FROM_SHOP, {"size": "1", "ticket": signed("form:call", "deal:1")}, 403, "bad_signature"),
        ("brief", FROM_SHOP, {"size": "1", "ticket": signed("form:brief", "deal:1", -9)}, 410, "too_old"),
        ("brief", FROM_SHOP, {"size": "1", "ticket": signed("form:brief", "deal:none")}, 422, "not_taken"),
        ("lead", FROM_SHOP, {"email": "nobody"}, 422, "bad_email"),
        ("lead", FROM_SHOP, {f"f{n}": "" for n in range(201)}, 400, "bad_form"),
        ("lead", FROM_SHOP, {"email": "x" * 5_000}, 413, "too_large"),
    ],
)
def test_a_form_refuses_with_a_code_and_nothing_of_the_inside(
    web: httpx.Client, path: str, headers: dict[str, str], posted: dict[str, str], status: int, code: str
) -> None:
    answer = web.post(f"/forms/{path}", headers=headers, data=posted)
    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert "deal:" not in answer.text


def test_a_form_with_a_file_or_of_another_type_is_refused(web: httpx.Client) -> None:
    files: dict[str, Any] = {"size": (None, "1"), "photo": ("a.png", b"png", "image/png")}
    assert web.post("/forms/brief", headers=FROM_SHOP, files=files).json()["error"] == "bad_form"
    other = {**FROM_SHOP, "Content-Type": "text/plain"}
    assert web.post("/forms/brief", headers=other, content=b"size=1").status_code == 415
    assert web.post("/forms/brief", headers=FROM_SHOP, json=[1]).status_code == 400


def test_who_fills_the_honeypot_is_thanked_and_nothing_is_done(web: httpx.Client, client: Client) -> None:
    client.create_item("deal:25", "deals")
    posted = {
        "ticket": signed(purpose_of("brief"), "deal:25"),
        "size": "50",
        "website": "https://spam.example",
    }
    assert web.post("/forms/brief", headers=FROM_SHOP, data=posted).status_code == 303
    assert stage(client, "deal:25") == "new"


def test_a_browser_is_told_which_pages_may_post_a_form(web: httpx.Client) -> None:
    asked = {**FROM_SHOP, "Access-Control-Request-Method": "POST"}
    answer = web.options("/forms/lead", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == SHOP
    assert "content-type" in answer.headers["access-control-allow-headers"]
    refused = web.options("/forms/lead", headers={**asked, "Origin": "https://other.example"})
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers


# ---- visits ----


def test_a_visit_by_a_signed_link_is_an_event_and_later_ones_are_known_by_a_cookie(
    web: httpx.Client, client: Client
) -> None:
    """G5."""
    client.create_item("deal:30", "deals")
    first = web.get("/v.gif", params={"page": "https://shop.example/", "s": signed(VISIT, "deal:30")})
    assert (first.status_code, first.content) == (200, GIF)
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert stage(client, "deal:30") == "new", "no trigger hears this page"
    web.get("/v.gif", headers={"Referer": "https://shop.example/Pricing?x=1"})
    assert stage(client, "deal:30") == "visited"


def test_who_comes_back_after_a_pause_is_a_returning_visitor(web: httpx.Client, client: Client) -> None:
    """G6."""
    client.create_item("deal:31", "deals")
    web.cookies.set(COOKIE, signed("visitor", f"{int(time.time()) - 3_600} deal:31"))
    web.get("/v.gif?page=/pricing")
    assert stage(client, "deal:31") == "back"


WRONG_LINKS = {
    "none": "",
    "no signature": "x",
    "over": signed(VISIT, "deal:32", -9),
    "of another purpose": signed("visitor", "9 deal:32"),
}


@pytest.mark.parametrize(
    "link", WRONG_LINKS.values(), ids=WRONG_LINKS
)  # named: what is signed differs each time
def test_nobody_is_followed_without_a_right_link(web: httpx.Client, client: Client, link: str) -> None:
    if client.item("deal:32") is None:
        client.create_item("deal:32", "deals")
    answer = web.get("/v.gif", params={"page": "/pricing", "s": link})
    assert (answer.status_code, answer.content) == (200, GIF)
    assert "set-cookie" not in answer.headers
    tampered = signed("visitor", "9 deal:32").replace(".", "A.")
    web.get("/v.gif?page=/pricing", headers={"Cookie": f"{COOKIE}={tampered}"})
    assert stage(client, "deal:32") == "new"


# ---- health, numbers, rates ----


def test_numbers_of_edge_and_shard_are_for_who_has_the_token(web: httpx.Client, client: Client) -> None:
    assert web.get("/healthz").json() == {"status": "ok"}
    assert web.get("/readyz").json() == {"status": "ready"}
    assert web.get("/metrics").status_code == 401
    text = web.get("/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"}).text
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert lines["stagewheel_up"] == "1.0"
    assert float(lines['stagewheel_commands_total{shard="0"}']) > 0
    assert float(lines['stagewheel_python_threads{shard="0"}']) == 1
    assert float(lines['stagewheel_cpu_seconds_total{shard="0"}']) > 0
    assert float(lines['stagewheel_edge_requests_total{route="healthz",status="200"}']) >= 1
    assert "contact" not in text


def test_an_address_that_asks_too_often_is_told_when_to_come_back_and_others_are_not(
    web: httpx.Client,
) -> None:
    answers = [web.get("/healthz") for _ in range(BURST + 1)]
    assert [one.status_code for one in answers] == [200] * BURST + [429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 61
    wrong = web.post("/hooks/payments", headers={"X-Token": "wrong-token-of-the-tests"})
    assert wrong.status_code == 429, "tokens can't be tried out"
    right = web.post("/hooks/payments", headers=BEARER, json={})
    assert right.status_code == 422, "a right token has its own rate"
    other = web.get("/healthz", headers={"X-Forwarded-For": "203.0.113.77"})
    assert other.status_code == 200


def test_what_is_not_there_is_said_in_json(web: httpx.Client) -> None:
    assert web.get("/").json()["error"] == "not_found"
    assert web.get("/events").json()["error"] == "wrong_method"


def test_the_log_holds_no_secret_and_nothing_that_was_sent(served: Served, web: httpx.Client) -> None:
    web.post(
        "/hooks/payments?secret=daffodil", headers={"X-Token": "daffodil-token-here"}, content=b"daffodil"
    )
    web.post("/hooks/payments?secret=daffodil", headers=BEARER, content=b"daffodil")
    said = served.log.read_text()
    assert "edge" in said or "hooks" in said
    for secret in (HOOK_TOKEN, EVENTS_TOKEN, METRICS_TOKEN, KEY, "daffodil", "ada@example.com"):
        assert secret not in said
