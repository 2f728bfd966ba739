"""Custom audiences against a local server that holds each request against Meta's published format: POST and
DELETE of `/AUDIENCE/users`, Marketing API 25.0 (H7).
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
import trio

from stagewheel.errors import OperatorError
from stagewheel.server.channels.ad_hashes import sha256
from stagewheel.server.channels.ads import AdsSettings
from stagewheel.server.channels.base import Delivered, Delivery, Outcome, RefusedForGood, Retry, Unknown
from stagewheel.server.channels.meta import MetaSettings
from stagewheel.server.rules.ads_doc import AudienceContent
from stagewheel.server.senders.pool import NotBegun, Pool, Task
from tests.channels.test_http import Answer, Seen, server, status

TOKEN, APP_SECRET = "EAAt0ken-that-nobody-prints", "an-app-secret"
PATH = re.compile(r"/v25\.0/(\d+)/users")
HASH = re.compile(r"[0-9a-f]{64}|")
LIST = "23842000000000001"
BAD = sha256("bad@example.com")


def error(code: int, message: str, line: str = "400 Bad Request", **more: Any) -> Answer:
    """An error as Meta writes it."""
    body = {"error": {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "A1", **more}}
    return status(line, "Content-Type: application/json", body=msgspec.json.encode(body))


def meta(request: Seen) -> bytes | None:
    """What the API answers; it refuses what is not of its format."""
    path = PATH.fullmatch(request.target)
    assert path is not None, "no token stands in the URL"
    assert request.method in ("POST", "DELETE")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    fields = dict(parse_qsl(request.body.decode(), strict_parsing=True))
    if fields["access_token"] != TOKEN:
        return error(190, "Error validating access token: the session has expired")(request)
    proof = hmac.new(APP_SECRET.encode(), TOKEN.encode(), hashlib.sha256).hexdigest()
    assert fields.get("appsecret_proof", proof) == proof
    assert set(fields) <= {"access_token", "appsecret_proof", "session", "payload"}
    session, payload = msgspec.json.decode(fields["session"]), msgspec.json.decode(fields["payload"])
    assert 0 < session.pop("session_id") < 2**63
    rows = payload["data"]
    assert session == {"batch_seq": 1, "last_batch_flag": True, "estimated_num_total": len(rows)}
    assert set(payload) == {"schema", "data"}
    assert payload["schema"] in (["EMAIL"], ["PHONE"], ["EMAIL", "PHONE"])
    assert 1 <= len(rows) <= 10_000
    for row in rows:
        assert len(row) == len(payload["schema"])
        assert any(row)
        assert all(HASH.fullmatch(one) for one in row)
    wrong = sum(BAD in row for row in rows)
    told = {
        "audience_id": path[1],
        "session_id": "77",
        "num_received": len(rows),
        "num_invalid_entries": wrong,
    }
    return status("200 OK", body=msgspec.json.encode({**told, "invalid_entry_samples": {}}))(request)


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHEEL_META", TOKEN)
    monkeypatch.setenv("WHEEL_META_APP", APP_SECRET)


def settings(base_url: str, **more: Any) -> AdsSettings:
    own = {"token_env": "WHEEL_META", "base_url": base_url.partition("/hook")[0], **more}
    return AdsSettings(region="IT", batch_wait_s=0.01, timeout_s=5.0, providers={"shop": MetaSettings(**own)})


def person(email: str, phone: str = "", operation: str = "add", list_: str = LIST) -> AudienceContent:
    return AudienceContent("", list_, operation, email, phone)


async def deliver(made: AdsSettings, *people: AudienceContent) -> list[Outcome | NotBegun]:
    """All of them through one pool, as a sender does it."""
    ended: dict[int, Outcome | NotBegun] = {}
    pool = Pool("ads", made.open("store"), made.pool, lambda task, end: ended.update({task.number: end}))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.run)
        for number, content in enumerate(people):
            pool.submit(Task(number, content, Delivery(f"{number:032}", 1, "deal:1", "r", 0)))
        await trio.lowlevel.checkpoint()
        pool.pump()
        while len(ended) < len(people):
            await trio.lowlevel.checkpoint()
        await pool.close(1)
    return [ended[number] for number in range(len(people))]


def rows(request: Seen) -> tuple[list[str], list[list[str]]]:
    payload = msgspec.json.decode(dict(parse_qsl(request.body.decode()))["payload"])
    return payload["schema"], payload["data"]


async def test_people_of_one_list_and_operation_leave_in_one_request_and_nothing_but_hashes() -> None:
    """H7: Meta, e-mail and phone or one of them, add, batched."""
    async with server(meta) as (url, seen, _):
        ends = await deliver(
            settings(url, app_secret_env="WHEEL_META_APP"),
            person(" Ada@Example.com ", "06 55500101"),
            person("bo@example.com"),
            person("", "+1 616 954 7888"),
            person("cy@example.com", list_="23842000000000002"),
        )
    assert ends == [Delivered({"message_id": "77", "status": "taken", "provider": "shop"})] * 4
    assert sorted(one.target.split("/")[2][-1] for one in seen) == ["1", "2"]
    first = next(one for one in seen if LIST in one.target)
    schema, data = rows(first)
    assert (first.method, schema) == ("POST", ["EMAIL", "PHONE"])
    assert sorted(data) == sorted(
        [
            [sha256("ada@example.com"), sha256("390655500101")],
            [sha256("bo@example.com"), ""],
            ["", sha256("16169547888")],
        ]
    )
    for told in ("@", "%40", "example", "55500101", "9547888", "deal"):
        assert told not in first.body.decode().lower()


async def test_to_remove_is_a_delete_of_the_same_form() -> None:
    """H7: remove."""
    async with server(meta) as (url, seen, _):
        (end,) = await deliver(settings(url), person("", "06 55500101", "remove"))
    assert isinstance(end, Delivered)
    assert seen[0].method == "DELETE"
    assert rows(seen[0]) == (["PHONE"], [[sha256("390655500101")]])


async def test_each_is_told_apart_where_meta_cannot_read_some_and_does_not_say_which() -> None:
    """H7: partial failures."""
    people = [person(f"p{number}@example.com") for number in range(9)]
    people[6] = person("bad@example.com")
    async with server(meta) as (url, seen, _):
        ends = await deliver(settings(url), *people)
        assert [isinstance(end, Delivered) for end in ends] == [number != 6 for number in range(9)]
        assert isinstance(ends[6], RefusedForGood)
        assert len(seen) <= 9
        (alone,) = await deliver(settings(url), person("bad@example.com"))
    assert alone == RefusedForGood("shop can't read what it was given of this client")


async def test_a_token_that_was_renewed_is_read_again_and_none_is_printed(tmp_path: Path) -> None:
    """H7: credentials from a file."""
    file = tmp_path / "token"
    file.write_text("EAA-old-token")

    def answer(request: Seen) -> bytes | None:
        if b"EAA-old-token" in request.body:
            file.write_text(TOKEN)
        return meta(request)

    async with server(answer) as (url, seen, _):
        made = settings(url, token_env="", token_file=str(file))
        (end,) = await deliver(made, person("ada@example.com"))
    assert isinstance(end, Delivered)
    assert len(seen) == 2


async def test_a_token_that_stays_wrong_is_the_accounts_failure() -> None:
    async with server(error(190, "Error validating access token")) as (url, seen, _):
        (end,) = await deliver(settings(url), person("ada@example.com"))
    assert end == Retry("shop answered 400: Error validating access token (190)", None, provider=True)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (error(100, "Invalid parameter", error_user_msg="Audience Upload Blocked"), RefusedForGood),
        (error(2650, "Failed to update the custom audience"), RefusedForGood),
        (error(17, "User request limit reached"), Retry),
        (error(80003, "Too many calls to this account"), Retry),
        (error(200, "Permissions error", "403 Forbidden"), Retry),
        (error(2, "Service temporarily unavailable", "500 Internal Server Error"), Retry),
        (error(5, "Odd", "400 Bad Request", is_transient=True), Retry),
        (status("502 Bad Gateway"), Unknown),
        (status("503 Service Unavailable"), Retry),
        (lambda _: None, Unknown),
    ],
)
async def test_s8_1_what_meta_answers_is_one_of_the_four_outcomes(
    answer: Callable[[Seen], bytes | None], outcome: type[Outcome]
) -> None:
    async with server(answer) as (url, _, _):
        (end,) = await deliver(settings(url), person("ada@example.com"))
    assert isinstance(end, outcome), end
    assert TOKEN not in repr(end)


@pytest.mark.parametrize(
    ("who", "said"),
    [
        (person("nobody", "12"), "neither e-mail address nor phone number"),
        (person("ada@example.com", list_="../me"), "the list is no number"),
        (person("ada@example.com", list_="٣"), "the list is no number"),
    ],
)
async def test_who_can_be_nobody_and_what_is_no_list_is_refused_before_anything_leaves(
    who: AudienceContent, said: str
) -> None:
    async with server(meta) as (url, seen, _):
        (end,) = await deliver(settings(url), who)
        assert isinstance(end, RefusedForGood)
        assert said in end.reason
        (end,) = await deliver(AdsSettings(), person("ada@example.com"))
        assert end == RefusedForGood("channel ads has no account; name one in the configuration")
    assert not seen


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"token_env": ""}, "name token_env or token_file"),
        ({"token_env": "NOT_SET_ANYWHERE"}, "NOT_SET_ANYWHERE .*is not set"),
        ({"api_version": "25"}, "api_version"),
        ({"app_secret_env": "NOT_SET_ANYWHERE"}, "NOT_SET_ANYWHERE .*is not set"),
    ],
)
def test_settings_that_cannot_work_are_told_before_anything_starts(more: dict[str, str], said: str) -> None:
    with pytest.raises(OperatorError, match=said):
        settings("https://graph.example", **more).check()


def test_a_token_does_not_go_over_a_network_in_clear() -> None:
    with pytest.raises(OperatorError, match="in clear"):
        settings("http://graph.example").check()
