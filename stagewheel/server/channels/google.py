"""Customer Match at Google: the Data Manager API, version 1.

    POST /v1/audienceMembers:ingest   (or :remove)
    {"destinations": [{"operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1234567890"},
                       "productDestinationId": "LIST"}],
     "audienceMembers": [{"userData": {"userIdentifiers": [{"emailAddress": "…"}, {"phoneNumber": "…"}]}}],
     "encoding": "HEX", …}
    {"requestId": "…"}

Laws:
- A request is taken as a whole or not at all. Where Google names members that it can't read, those are
  refused and the request is made again without them, at most `ASKED_MAX` times.
- Who may ask is told by an access token (`access.py`); one that Google answers 401 to is fetched anew, once.
- Whether the terms are accepted, and whether the people consented, is the operator's to say, and is passed on
  as it stands in the configuration.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from stagewheel.errors import OperatorError
from stagewheel.server.channels.ad_hashes import Hashed, google_email, google_phone
from stagewheel.server.channels.base import (
    Delivered,
    Outcome,
    PoolSettings,
    RefusedForGood,
    Retry,
    Unknown,
)
from stagewheel.server.channels.provider import Answer, at_path, check_url, reason
from stagewheel.server.channels.providers import ProviderPool
from stagewheel.server.channels.secrets import read_secret

METHODS: Final = {"add": "ingest", "remove": "remove"}
CONSENTS: Final = {"granted": "CONSENT_GRANTED", "denied": "CONSENT_DENIED"}
MEMBER: Final = re.compile(r"audience_?members\[(\d{1,5})\]", re.IGNORECASE)  # in the path of a violation
ASKED_MAX: Final = 8


class GoogleSettings(
    ProviderPool, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="google", tag_field="kind"
):
    """`kind = "google"`."""

    account: str  # customer number of the Google Ads account
    login_account: str = ""  # of the manager account through which it is reached
    client_id: str
    client_secret_env: str = ""
    client_secret_file: str = ""
    refresh_token_env: str = ""  # with the scope https://www.googleapis.com/auth/datamanager
    refresh_token_file: str = ""
    project: str = ""  # of Google Cloud, to which requests are counted
    terms_accepted: bool = False  # those of Customer Match; without it nobody is added
    consent: Literal["", "granted", "denied"] = ""  # to the use of data and to personal ads
    base_url: str = "https://datamanager.googleapis.com"
    token_url: str = "https://oauth2.googleapis.com/token"

    def check(self, where: str) -> None:
        """Raises `OperatorError`."""
        check_url(where, "base_url", self.base_url)
        check_url(where, "token_url", self.token_url)
        for name in ("account", "login_account"):
            number = _number(getattr(self, name))
            if (number or name == "account") and not (number.isascii() and number.isdigit()):
                raise OperatorError(f"{where}: {name} is the number of an account, such as 123-456-7890")
        if not self.client_id:
            raise OperatorError(f"{where}: client_id is empty")
        if not self.terms_accepted:
            raise OperatorError(f"{where}: set terms_accepted = true when those of Customer Match are")
        self.secrets(where)

    def secrets(self, where: str) -> tuple[str, str]:
        """Client secret and refresh token. Raises `OperatorError`."""
        client = read_secret(where, "client_secret", self.client_secret_env, self.client_secret_file)
        refresh = read_secret(where, "refresh_token", self.refresh_token_env, self.refresh_token_file)
        if not client or not refresh:
            raise OperatorError(f"{where}: client_secret and refresh_token are needed, each as _env or _file")
        return client, refresh

    def open(self, name: str, where: str, pool: PoolSettings) -> "Google":
        """Ready to send. Raises `OperatorError`."""
        self.check(where)
        return Google(name, self, where, pool)


class Google:
    """One account."""

    def __init__(self, name: str, settings: GoogleSettings, where: str, pool: PoolSettings) -> None:
        self._name, self._settings = name, settings
        # Loaded here, so that a process that only reads settings loads no HTTP library.
        from stagewheel.server.channels.access import Access
        from stagewheel.server.channels.connections import Connections

        self._connections = Connections(name, pool)
        self._access = Access(name, self._connections, settings, where)

    def hashed(self, email: str, phone: str, region: str) -> Hashed:
        """A person."""
        return Hashed(google_email(email), google_phone(phone, region))

    async def send(self, list_: str, operation: str, rows: Sequence[Hashed]) -> Sequence[Outcome]:
        """One request, and again without those that Google can't read."""
        found: list[Outcome] = [RefusedForGood("")] * len(rows)
        part = list(range(len(rows)))
        for _ in range(ASKED_MAX):
            answer = await self._asked(list_, operation, [rows[number] for number in part])
            wrong = _violations(answer, len(part))
            for place, why in wrong.items():
                found[part[place]] = RefusedForGood(reason(self._name, 400, why))
            if not wrong:
                ended = self._outcome(answer)
                for number in part:
                    found[number] = ended
                break
            part = [number for place, number in enumerate(part) if place not in wrong]
            if not part:
                break
        else:
            for number in part:
                found[number] = Retry(f"{self._name} refused others of the same request {ASKED_MAX} times")
        return found

    async def _asked(self, list_: str, operation: str, rows: list[Hashed]) -> Answer | Retry | Unknown:
        """One request; with a new token if the one that is kept is no longer taken."""
        url = f"{self._settings.base_url.rstrip('/')}/v1/audienceMembers:{METHODS[operation]}"
        body = msgspec.json.encode(self._body(list_, operation, rows))
        answer: Answer | Retry | Unknown = Retry("")
        for _ in range(2):
            used = await self._access.token()
            if not isinstance(used, str):
                return used
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {used}"}
            if self._settings.project:
                headers["x-goog-user-project"] = self._settings.project
            answer = await self._connections.ask("POST", url, headers, body)
            if not isinstance(answer, Answer) or answer.status != 401:
                return answer
            self._access.drop(used)
        return answer

    def _body(self, list_: str, operation: str, rows: list[Hashed]) -> dict[str, Any]:
        settings = self._settings
        destination: dict[str, Any] = {"operatingAccount": _account(settings.account)}
        if settings.login_account:
            destination["loginAccount"] = _account(settings.login_account)
        destination["productDestinationId"] = list_
        body: dict[str, Any] = {
            "destinations": [destination],
            "audienceMembers": [{"userData": {"userIdentifiers": _identifiers(row)}} for row in rows],
            "encoding": "HEX",
        }
        if operation == "add":
            body["termsOfService"] = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
            if settings.consent:
                consent = CONSENTS[settings.consent]
                body["consent"] = {"adUserData": consent, "adPersonalization": consent}
        return body

    def _outcome(self, answer: Answer | Retry | Unknown) -> Outcome:
        if not isinstance(answer, Answer):
            return answer
        status = answer.status
        if 200 <= status < 300:
            told = {"message_id": str(at_path(answer.body, "requestId") or ""), "status": "taken"}
            return Delivered({**told, "provider": self._name})
        said = str(at_path(answer.body, "error.message") or answer.phrase)
        code = next((one["reason"] for one in _details(answer) if isinstance(one.get("reason"), str)), "")
        why = reason(self._name, status, f"{said} ({code})" if code else said)
        if status in (401, 403):
            return Retry(why, provider=True)
        if status in (408, 429, 503):
            return Retry(why, answer.after_ms, provider=status == 503)
        return Unknown(why) if status >= 500 else RefusedForGood(why)

    async def aclose(self) -> None:
        """Close its connections."""
        await self._connections.aclose()


def _number(account: str) -> str:
    return account.replace("-", "").strip()


def _account(account: str) -> dict[str, str]:
    return {"accountType": "GOOGLE_ADS", "accountId": _number(account)}


def _identifiers(row: Hashed) -> list[dict[str, str]]:
    found = [{"emailAddress": row.email}] if row.email else []
    return found + ([{"phoneNumber": row.phone}] if row.phone else [])


def _details(answer: Answer) -> list[dict[str, Any]]:
    details = at_path(answer.body, "error.details")
    return [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []


def _violations(answer: Any, count: int) -> dict[int, str]:
    """What is wrong with which members, by place, where the request failed for that."""
    found: dict[int, str] = {}
    if not isinstance(answer, Answer) or answer.status != 400:
        return found
    for detail in _details(answer):
        violations = detail.get("fieldViolations")
        for one in violations if isinstance(violations, list) else ():
            path = str(one.get("field", "")) if isinstance(one, dict) else ""
            if (member := MEMBER.search(path)) is not None and int(member[1]) < count:
                found[int(member[1])] = str(one.get("description") or one.get("reason") or path)
    return found
