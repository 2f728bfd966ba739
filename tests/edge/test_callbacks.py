"""Status call-backs of providers over real HTTP: whose they are, and what they do (H2, H3)."""

from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from stagewheel.client.blocking import Client
from stagewheel.protocol.journal import Dispatched, HistoryAdded, StepEnded
from stagewheel.protocol.messages import Address, Client as Person
from stagewheel.server.channels.statuses import twilio_signature
from stagewheel.server.links import Delivering, Links
from tests.edge.conftest import KEY, TWILIO_TOKEN
from tests.edge.test_routes import stage

PUBLIC = "https://edge.shop.example"
LINKS = Links(PUBLIC, KEY.encode())
FORM = "application/x-www-form-urlencoded"
PHONE = "+390655500101"
ADA = Person("Ada", phones=[Address(PHONE)])


def facts(client: Client, key: str, kind: type) -> list[Any]:
    return [did for _, record in client.timeline(key) for did in record.did if type(did) is kind]


def calling(client: Client, key: str, stage: str = "calling") -> str:
    """An item whose call is on its way; the address that its provider was given."""
    client.create_item(key, "deals", stage=stage, client=ADA)
    [sent] = facts(client, key, Dispatched)
    lane = sent.channel if "/" in sent.channel else f"{sent.channel}/main"
    return LINKS.status(Delivering(lane, key, sent.rule, sent.number, PHONE))


def tell(web: httpx.Client, url: str, fields: dict[str, str], token: str = TWILIO_TOKEN) -> int:
    """As Twilio does it."""
    signature = twilio_signature(token, url, list(fields.items()))
    headers = {"Content-Type": FORM, "X-Twilio-Signature": signature}
    return web.post(url.removeprefix(PUBLIC), content=urlencode(fields), headers=headers).status_code


def ended(client: Client, key: str) -> list[tuple[str, str, str]]:
    return [(one.rule, one.outcome, one.reason) for one in facts(client, key, StepEnded)]


def test_the_signature_is_that_of_twilios_own_example() -> None:
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert twilio_signature("12345", url, list(fields.items())) == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


def test_s2_6_a_call_is_done_when_it_was_answered_and_what_is_chained_behind_it_comes_then(
    web: httpx.Client, client: Client
) -> None:
    """H3. A second call-back, at the end of the call, finds nothing to do."""
    url = calling(client, "deal:60")
    assert tell(web, url, {"CallSid": "CA1", "CallStatus": "ringing"}) == 204
    assert ended(client, "deal:60") == []
    assert (
        tell(web, url, {"CallSid": "CA1", "CallStatus": "in-progress", "AnsweredBy": "machine_start"}) == 204
    )
    both = [("ring", "done", ""), ("after", "done", "")]
    assert ended(client, "deal:60") == both
    assert [one.text for one in facts(client, "deal:60", HistoryAdded)] == ["answered"]
    assert tell(web, url, {"CallSid": "CA1", "CallStatus": "completed"}) == 204
    assert ended(client, "deal:60") == both


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed", "canceled"])
def test_s2_6_a_call_that_nobody_answers_fails_with_a_dead_letter(
    web: httpx.Client, client: Client, status: str
) -> None:
    """H3."""
    key = f"deal:61{status}"
    url = calling(client, key)
    assert tell(web, url, {"CallSid": "CA1", "CallStatus": status}) == 204
    assert ended(client, key)[0] == ("ring", "failed", f"the call was not answered: {status}")
    assert [one.reason for one in client.dead_letters() if one.item == key] == [
        f"the call was not answered: {status}"
    ]


def test_s2_6_that_a_text_message_did_not_arrive_is_an_event_and_counts_once(
    web: httpx.Client, client: Client
) -> None:
    """H2."""
    client.create_item("deal:62", "deals")
    url = LINKS.status(Delivering("sms/main", "deal:62", "remind", 7, PHONE))
    assert tell(web, url, {"MessageSid": "SM1", "MessageStatus": "delivered"}) == 204
    assert stage(client, "deal:62") == "new"
    failed = {"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "30003"}
    for _ in range(2):
        assert tell(web, url, failed) == 204
    assert stage(client, "deal:62") == "unreached"
    assert sum(record.cause == "RaiseEvent" for _, record in client.timeline("deal:62")) == 1


def test_a_wrong_signature_is_refused_and_changes_nothing(web: httpx.Client, client: Client) -> None:
    url = calling(client, "deal:63")
    answered = {"CallSid": "CA1", "CallStatus": "completed"}
    assert tell(web, url, answered, token="another token") == 403
    assert web.post(url.removeprefix(PUBLIC), data=answered).status_code == 403
    other = LINKS.status(Delivering("call/main", "deal:64", "ring", 1, PHONE))
    signature = twilio_signature(TWILIO_TOKEN, other, list(answered.items()))
    headers = {"X-Twilio-Signature": signature}
    assert web.post(url.removeprefix(PUBLIC), data=answered, headers=headers).status_code == 403
    assert ended(client, "deal:63") == []
    assert tell(web, url[:-2] + "AA", answered) == 404, "no address of ours"
    gone = LINKS.status(Delivering("call/gone", "deal:63", "ring", 1, PHONE))
    assert tell(web, gone, answered) == 404


def test_what_an_interface_tells_is_read_as_its_section_says(web: httpx.Client, client: Client) -> None:
    """H3."""
    for key, body, end in (
        ("deal:65", {"call": {"state": "voicemail"}}, ("gate", "done", "")),
        ("deal:66", {"call": {"state": "lost", "why": "no line"}}, ("gate", "failed", "lost: no line")),
    ):
        url = calling(client, key, "gating").removeprefix(PUBLIC)
        assert web.post(url, json={"call": {"state": "ringing"}}).status_code == 204
        assert ended(client, key) == []
        assert web.post(url, json=body).status_code == 204
        assert ended(client, key) == [end]
