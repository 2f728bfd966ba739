"""Customer Match against a local server that holds each request against Google's published formats: the Data
Manager API, version 1, and the refresh of access tokens (H7).
"""

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from msgspec import Struct, structs

from stagewheel.errors import OperatorError
from stagewheel.server.channels.ad_hashes import sha256
from stagewheel.server.channels.ads import AdsSettings
from stagewheel.server.channels.base import Delivered, Outcome, RefusedForGood, Retry, Unknown
from stagewheel.server.channels.google import GoogleSettings
from tests.channels.test_http import Answer, Seen, server, status
from tests.channels.test_meta import deliver, person

CLIENT_SECRET, REFRESH = "GOCSPX-client-secret", "1//refresh-token"
HASH = re.compile(r"[0-9a-f]{64}")
BAD = sha256("bad@example.com")
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


def json(line: str, body: Any) -> Answer:
    return status(line, "Content-Type: application/json", body=msgspec.json.encode(body))


def error(line: str, state: str, message: str, *details: dict[str, Any]) -> Answer:
    """An error as Google writes it."""
    return json(
        line, {"error": {"code": int(line[:3]), "message": message, "status": state, "details": details}}
    )


class Google(Struct):
    """Both ends of Google: they refuse what is not of their format."""

    tokens: list[str] = []
    takes: str = "ya29.token-1"
    lasts_s: int = 3_599
    asked: list[tuple[str, dict[str, Any]]] = []
    headers: dict[str, str] = {}

    def __call__(self, request: Seen) -> bytes | None:
        assert request.method == "POST"
        if request.target == "/token":
            return self.token(request)
        if request.headers["authorization"] != f"Bearer {self.takes}":
            return error("401 Unauthorized", "UNAUTHENTICATED", "Invalid credentials")(request)
        assert request.headers["content-type"] == "application/json"
        body = msgspec.json.decode(request.body)
        verb = request.target.removeprefix("/v1/audienceMembers:")
        assert verb in ("ingest", "remove")
        known = {"destinations", "audienceMembers", "encoding"}
        assert set(body) <= (known | {"termsOfService", "consent"} if verb == "ingest" else known)
        assert body["encoding"] == "HEX"
        (destination,) = body["destinations"]
        assert set(destination) <= {"operatingAccount", "loginAccount", "productDestinationId"}
        assert destination["operatingAccount"] == {"accountType": "GOOGLE_ADS", "accountId": "1234567890"}
        assert 1 <= len(body["audienceMembers"]) <= 10_000
        wrong = []
        for number, member in enumerate(body["audienceMembers"]):
            identifiers = member["userData"]["userIdentifiers"]
            assert 1 <= len(identifiers) <= 10
            for one in identifiers:
                ((name, value),) = one.items()
                assert name in ("emailAddress", "phoneNumber")
                assert HASH.fullmatch(value)
                if value == BAD:
                    field = f"audience_members.audience_members[{number}].user_data.user_identifiers"
                    why = {"description": "The member is not valid.", "reason": "INVALID_AUDIENCE_MEMBER"}
                    wrong.append({"field": field, **why})
        self.asked.append((verb, body))
        self.headers = request.headers
        if wrong:
            detail = {"@type": BAD_REQUEST, "fieldViolations": wrong}
            said = "There was a problem with the request."
            return error("400 Bad Request", "INVALID_ARGUMENT", said, detail)(request)
        return json("200 OK", {"requestId": "r-1"})(request)

    def token(self, request: Seen) -> bytes | None:
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        fields = dict(parse_qsl(request.body.decode(), strict_parsing=True))
        assert fields.pop("grant_type") == "refresh_token"
        assert fields.pop("client_id") == "shop.apps.example"
        secrets = (fields.pop("client_secret"), fields.pop("refresh_token"))
        assert not fields
        if secrets != (CLIENT_SECRET, REFRESH):
            return json("400 Bad Request", {"error": "invalid_grant", "error_description": "revoked"})(
                request
            )
        self.tokens.append(f"ya29.token-{len(self.tokens) + 1}")
        told = {"access_token": self.tokens[-1], "expires_in": self.lasts_s, "token_type": "Bearer"}
        return json("200 OK", told)(request)


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHEEL_GOOGLE_CLIENT", CLIENT_SECRET)
    monkeypatch.setenv("WHEEL_GOOGLE_REFRESH", REFRESH)


def settings(url: str, **more: Any) -> AdsSettings:
    base = url.partition("/hook")[0]
    own: dict[str, Any] = {
        "account": "123-456-7890",
        "client_id": "shop.apps.example",
        "client_secret_env": "WHEEL_GOOGLE_CLIENT",
        "refresh_token_env": "WHEEL_GOOGLE_REFRESH",
        "terms_accepted": True,
        "base_url": base,
        "token_url": f"{base}/token",
        **more,
    }
    return AdsSettings(
        region="IT", batch_wait_s=0.01, timeout_s=5.0, providers={"shop": GoogleSettings(**own)}
    )


async def test_people_are_added_by_an_ingest_of_hashes_with_terms_and_consent() -> None:
    """H7: Google, account and list, e-mail and phone, add."""
    google = Google()
    async with server(google) as (url, _, _):
        made = settings(url, consent="granted", login_account="987-654-3210", project="shop-1")
        ends = await deliver(made, person("A.da+x@gmail.com", "06 55500101"), person("bo@example.com"))
    assert ends == [Delivered({"message_id": "r-1", "status": "taken", "provider": "shop"})] * 2
    ((verb, body),) = google.asked
    members = [one["userData"]["userIdentifiers"] for one in body.pop("audienceMembers")]
    assert sorted(members, key=len) == [
        [{"emailAddress": sha256("bo@example.com")}],
        [{"emailAddress": sha256("ada@gmail.com")}, {"phoneNumber": sha256("+390655500101")}],
    ]
    granted = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}
    assert (verb, body) == (
        "ingest",
        {
            "destinations": [
                {
                    "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1234567890"},
                    "loginAccount": {"accountType": "GOOGLE_ADS", "accountId": "9876543210"},
                    "productDestinationId": "23842000000000001",
                }
            ],
            "encoding": "HEX",
            "termsOfService": {"customerMatchTermsOfServiceStatus": "ACCEPTED"},
            "consent": granted,
        },
    )
    assert google.headers["x-goog-user-project"] == "shop-1"
    assert google.tokens == ["ya29.token-1"]


async def test_people_are_removed_without_a_word_of_terms_or_consent() -> None:
    """H7: remove."""
    google = Google()
    async with server(google) as (url, _, _):
        (end,) = await deliver(settings(url, consent="granted"), person("", "06 55500101", "remove"))
    assert isinstance(end, Delivered)
    assert google.asked[0][0] == "remove"
    assert "x-goog-user-project" not in google.headers


async def test_those_that_google_names_are_refused_and_the_others_sent_again() -> None:
    """H7: partial failures, of an interface that takes all or nothing."""
    google = Google()
    people = [person(f"p{number}@example.com") for number in range(4)]
    people[2] = person("bad@example.com")
    async with server(google) as (url, _, _):
        ends = await deliver(settings(url), *people)
        assert [isinstance(end, Delivered) for end in ends] == [True, True, False, True]
        assert ends[2] == RefusedForGood("shop answered 400: The member is not valid.")
        assert [len(body["audienceMembers"]) for _, body in google.asked] == [4, 3]
        google.takes = "ya29.token-2"
        (alone,) = await deliver(settings(url), person("bad@example.com"))
        assert isinstance(alone, RefusedForGood)


async def test_a_token_is_kept_until_it_ends_and_fetched_anew_on_401() -> None:
    """H7: credentials are refreshed."""
    google = Google()
    async with server(google) as (url, _, _):
        channel = settings(url).open("store")
        for _ in range(2):
            assert isinstance(await one(channel), Delivered)
        assert google.tokens == ["ya29.token-1"]
        google.takes = "ya29.token-2"
        assert isinstance(await one(channel), Delivered)
        assert google.tokens == ["ya29.token-1", "ya29.token-2"]
        google.takes = "another one"
        end = await one(channel)
        assert isinstance(end, Retry)
        assert end.provider
        assert "401" in end.reason
        google.takes, google.lasts_s = f"ya29.token-{len(google.tokens) + 1}", 30
        assert isinstance(await one(channel), Delivered)
        google.takes = f"ya29.token-{len(google.tokens) + 1}"
        before = len(google.tokens)
        assert isinstance(await one(channel), Delivered)
        assert len(google.tokens) == before + 1, "one that lasts 30 s is too old at once"
        await channel.aclose()


async def one(channel: Any) -> Outcome:
    end: Outcome = await channel.deliver(person("ada@example.com"), None)
    return end


async def test_a_refresh_token_that_is_revoked_is_the_accounts_failure_until_its_file_is_replaced(
    tmp_path: Path,
) -> None:
    file = tmp_path / "refresh"
    file.write_text("1//old-refresh-token\n")
    google = Google()
    async with server(google) as (url, _, _):
        channel = settings(url, refresh_token_env="", refresh_token_file=str(file)).open("store")
        end = await one(channel)
        assert end == Retry("shop gives no token: it answered 400: invalid_grant", None, provider=True)
        file.write_text(REFRESH)
        assert isinstance(await one(channel), Delivered)
        await channel.aclose()


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (
            error("400 Bad Request", "INVALID_ARGUMENT", "wrong", {"reason": "INVALID_USER_LIST_ID"}),
            RefusedForGood,
        ),
        (error("404 Not Found", "NOT_FOUND", "no such list"), RefusedForGood),
        (error("403 Forbidden", "PERMISSION_DENIED", "no", {"reason": "PERMISSION_DENIED"}), Retry),
        (error("429 Too Many Requests", "RESOURCE_EXHAUSTED", "slowly"), Retry),
        (error("503 Service Unavailable", "UNAVAILABLE", "later"), Retry),
        (error("500 Internal Server Error", "INTERNAL", "what"), Unknown),
        (lambda _: None, Unknown),
    ],
)
async def test_s8_1_what_google_answers_is_one_of_the_four_outcomes(
    answer: Answer, outcome: type[Outcome]
) -> None:
    google = Google()
    async with server(lambda seen: google(seen) if seen.target == "/token" else answer(seen)) as (url, _, _):
        (end,) = await deliver(settings(url), person("ada@example.com"))
    assert isinstance(end, outcome), end
    assert "ya29" not in repr(end)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"account": "act_12"}, "number of an account"),
        ({"client_id": ""}, "client_id"),
        ({"terms_accepted": False}, "terms_accepted = true"),
        ({"refresh_token_env": ""}, "are needed"),
        ({"client_secret_env": "NOT_SET_ANYWHERE"}, "NOT_SET_ANYWHERE .*is not set"),
        ({"token_url": "http://token.example"}, "in clear"),
    ],
)
def test_settings_that_cannot_work_are_told_before_anything_starts(more: dict[str, Any], said: str) -> None:
    with pytest.raises(OperatorError, match=said):
        settings("https://google.example/hook", **more).check()


async def test_two_accounts_need_a_usual_one() -> None:
    account = settings("https://google.example/hook").providers["shop"]
    two = AdsSettings(providers={"shop": account, "club": account})
    with pytest.raises(OperatorError, match="which of its providers"):
        two.check()
    structs.replace(two, provider="club").check()
    assert (structs.replace(two, provider="club").usual, sorted(two.members)) == ("club", ["club", "shop"])
