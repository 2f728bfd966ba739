"""Bounces and complaints over real SMTP, against a real server: which mail they speak of, what they do."""

import smtplib
from collections.abc import Iterator

import pytest

from stagewheel.client.blocking import Client
from stagewheel.protocol.journal import EventSeen
from tests.inbound.conftest import BOUNCE, REPLY, RETURNS, mail, send
from tests.inbound.reported import COMPLAINT, POSTFIX, SHAPES, STATUSES, headers_of, written
from tests.server.harness import facts


def bounces(client: Client, key: str) -> list[EventSeen]:
    return [fact for fact in facts(client, key, EventSeen) if fact.type == "email_bounced"]


def our_id(item: str, address: str) -> str:
    return RETURNS.message_id("a" * 32, item, "welcome", address, "shop.example")


def kinds(client: Client, address: str) -> list[str]:
    return [view.kind for view in client.suppressed("email", address)]


def stage(client: Client, key: str) -> str:
    item = client.item(key)
    assert item is not None
    return item.stage


@pytest.mark.parametrize("server", SHAPES)
def test_s2_6_a_bounce_is_an_event_and_no_second_outcome(
    post: smtplib.SMTP, client: Client, numbers: Iterator[int], server: str
) -> None:
    """8.8: and what bounces for good is suppressed. The return path alone tells the mail."""
    item, address = f"deal:{server}", f"{server}@example.com"
    client.create_item(item, "deals")
    path = RETURNS.return_path(item, "welcome", address)
    content = written(SHAPES[server], next(numbers), path, address, headers_of("<x@y.example>", address))
    for _ in range(2):
        assert send(post, content, path, sender="")[0] == 250
    assert stage(client, item) == "undeliverable"
    [event] = bounces(client, item)
    assert (event.code, event.moved_by) == ("welcome", "bounced")
    [view] = client.suppressed("email", address)
    assert (view.kind, view.item) == ("bounced", item)
    assert view.reason.startswith(STATUSES[server])


def test_a_bounce_is_known_by_the_mail_in_it_where_its_address_says_nothing(
    post: smtplib.SMTP, client: Client, numbers: Iterator[int]
) -> None:
    for number, (item, path) in enumerate([("deal:a" + "-long" * 12, BOUNCE), ("deal:b", REPLY)]):
        address = f"quoted{number}@example.com"
        client.create_item(item, "deals")
        content = written(POSTFIX, next(numbers), path, address, headers_of(our_id(item, address), address))
        assert send(post, content, path, sender="")[0] == 250
        assert stage(client, item) == "undeliverable"
        assert kinds(client, address) == ["bounced"]
        assert client.client(f"contact:{address}") is None


@pytest.mark.parametrize("status", ["4.2.1", "5.2.2", "5.7.1"])
def test_what_says_nothing_about_the_address_is_soft(
    post: smtplib.SMTP, client: Client, numbers: Iterator[int], status: str
) -> None:
    item, address = f"deal:soft-{status}", f"soft-{status}@example.com"
    client.create_item(item, "deals")
    path = RETURNS.return_path(item, "welcome", address)
    content = written(POSTFIX, next(numbers), path, address, "", status=status)
    assert send(post, content, path, sender="")[0] == 250
    assert stage(client, item) == "new"
    assert len(bounces(client, item)) == 1
    assert kinds(client, address) == []


def test_what_is_no_failure_is_taken_and_does_nothing(
    post: smtplib.SMTP, client: Client, numbers: Iterator[int]
) -> None:
    address = "late@example.com"
    client.create_item("deal:late", "deals")
    path = RETURNS.return_path("deal:late", "welcome", address)
    delayed = written(POSTFIX, next(numbers), path, address, "", action="delayed", status="4.4.1")
    holiday = mail(next(numbers), address, "Out of office")
    holiday["Auto-Submitted"] = "auto-replied"
    made_up = path.replace("late", "else")
    for content, to in ((delayed, path), (holiday, path), (delayed, BOUNCE), (delayed, made_up)):
        assert send(post, content, to, sender="")[0] == 250
    assert bounces(client, "deal:late") == []


def test_a_report_suppresses_only_the_address_that_the_mail_went_to(
    post: smtplib.SMTP, client: Client, numbers: Iterator[int]
) -> None:
    """8.8: whoever got one mail of ours can't stop those to others."""
    client.create_item("deal:victim", "deals")
    path = RETURNS.return_path("deal:victim", "welcome", "mallory@example.com")
    content = written(POSTFIX, next(numbers), path, "victim@example.com", "")
    assert send(post, content, path, sender="")[0] == 250
    assert len(bounces(client, "deal:victim")) == 1
    headers = headers_of(our_id("deal:victim", "mallory@example.com"), "victim@example.com")
    content = written(COMPLAINT, next(numbers), REPLY, "victim@example.com", headers)
    assert send(post, content, BOUNCE)[0] == 250
    assert kinds(client, "victim@example.com") == []


def test_s8_8_who_calls_a_mail_spam_gets_none_any_more(
    post: smtplib.SMTP, client: Client, numbers: Iterator[int]
) -> None:
    client.create_item("deal:spam", "deals")
    for number, (kind, expected) in enumerate([("abuse", ["complained"]), ("not-spam", [])]):
        address = f"annoyed{number}@example.com"
        headers = headers_of(our_id("deal:spam", address), f"Ann Oyed <{address}>")
        for reported in (address, "redacted@provider.example"):
            content = written(COMPLAINT, next(numbers), REPLY, reported, headers, kind=kind)
            assert send(post, content, REPLY, sender="feedback@provider.example")[0] == 250
        assert kinds(client, address) == expected


def test_a_bounce_for_an_item_that_is_gone_is_taken_and_the_address_suppressed(
    post: smtplib.SMTP, client: Client, numbers: Iterator[int]
) -> None:
    address = "gone@example.com"
    path = RETURNS.return_path("deal:was-never", "welcome", address)
    assert send(post, written(POSTFIX, next(numbers), path, address, ""), path, sender="")[0] == 250
    assert kinds(client, address) == ["bounced"]
