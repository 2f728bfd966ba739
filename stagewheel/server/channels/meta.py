"""Custom audiences at Meta: the Marketing API, version 25.0.

    POST or DELETE /v25.0/AUDIENCE/users       payload={"schema": ["EMAIL", "PHONE"], "data": [[…, …], …]}
    {"audience_id": …, "session_id": …, "num_received": 2, "num_invalid_entries": 0, …}

Laws:
- The token goes in the body, never in a URL. One that Meta no longer takes is read again, once a request,
  since whoever renews it writes the same file.
- To add and to remove is the same however often it is done. So where Meta counts entries that it can't read
  and does not say which, the request is made again in halves until it is known of each, at most `ASKED_MAX`
  times.
- Codes 1, 2 and what is marked as transient, rates (4, 17, 32, 613, 80xxx) and what is wrong with the account
  (10, 190, 2xx, 294) are tried again; every other error refuses.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from stagewheel.errors import OperatorError
from stagewheel.server.channels.ad_hashes import Hashed, meta_email, meta_phone
from stagewheel.server.channels.base import (
    Delivered,
    Outcome,
    PoolSettings,
    RefusedForGood,
    Retry,
    Unknown,
)
from stagewheel.server.channels.provider import Answer, check_url, reason
from stagewheel.server.channels.providers import ProviderPool
from stagewheel.server.channels.secrets import read_secret

VERSION: Final = "v25.0"
METHODS: Final = {"add": "POST", "remove": "DELETE"}
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
TOKEN: Final = frozenset({102, 190})
RATES: Final = frozenset({4, 17, 32, 613})
ACCOUNT: Final = frozenset({3, 10, 294})
TRANSIENT: Final = frozenset({1, 2})
RATE_WAIT_MS: Final = 300_000  # the windows of Meta's rates are minutes and hours
ASKED_MAX: Final = 40


class MetaSettings(
    ProviderPool, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="meta", tag_field="kind"
):
    """`kind = "meta"`."""

    token_env: str = ""  # of a system user, with ads_management
    token_file: str = ""
    app_secret_env: str = ""  # then each request proves that the token is ours (appsecret_proof)
    app_secret_file: str = ""
    api_version: str = VERSION
    base_url: str = "https://graph.facebook.com"

    def check(self, where: str) -> None:
        """Raises `OperatorError`."""
        check_url(where, "base_url", self.base_url)
        if not self.token(where):
            raise OperatorError(f"{where}: a token is needed; name token_env or token_file")
        self.app_secret(where)
        if not self.api_version.startswith("v") or not self.api_version[1:].replace(".", "").isdigit():
            raise OperatorError(f"{where}: api_version is written as in {VERSION!r}")

    def token(self, where: str) -> str:
        """Raises `OperatorError`."""
        return read_secret(where, "token", self.token_env, self.token_file)

    def app_secret(self, where: str) -> str:
        """Raises `OperatorError`."""
        return read_secret(where, "app_secret", self.app_secret_env, self.app_secret_file)

    def open(self, name: str, where: str, pool: PoolSettings) -> "Meta":
        """Ready to send. Raises `OperatorError`."""
        self.check(where)
        return Meta(name, self, where, pool)


class Meta:
    """One access to the API."""

    def __init__(self, name: str, settings: MetaSettings, where: str, pool: PoolSettings) -> None:
        self._name, self._settings, self._where = name, settings, where
        self._token, self._app_secret = settings.token(where), settings.app_secret(where)
        # Loaded here, so that a process that only reads settings loads no HTTP library.
        from stagewheel.server.channels.connections import Connections

        self._connections = Connections(name, pool)

    def hashed(self, email: str, phone: str, region: str) -> Hashed:
        """A person."""
        return Hashed(meta_email(email), meta_phone(phone, region))

    async def send(self, list_: str, operation: str, rows: Sequence[Hashed]) -> Sequence[Outcome]:
        """One request, or more where Meta can't read some of it."""
        found: list[Outcome | None] = [None] * len(rows)
        waiting, asked = [list(range(len(rows)))], 0
        while waiting:
            part = waiting.pop()
            if asked == ASKED_MAX:
                said = f"{self._name} can't read some of {len(part)} entries and does not say which"
                _put(found, part, RefusedForGood(said))
                continue
            asked += 1
            answer = await self._asked(list_, operation, [rows[number] for number in part])
            ended = self._outcome(answer)
            invalid = _invalid(answer) if isinstance(ended, Delivered) else 0
            if not invalid:
                _put(found, part, ended)
            elif invalid >= len(part):
                _put(found, part, RefusedForGood(f"{self._name} can't read what it was given of this client"))
            else:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
        return [one for one in found if one is not None]

    async def _asked(self, list_: str, operation: str, rows: list[Hashed]) -> Answer | Retry | Unknown:
        """One request; with the token read anew if it is no longer taken."""
        answer = await self._request(list_, operation, rows)
        if not isinstance(answer, Answer) or _code(answer) not in TOKEN:
            return answer
        try:
            token = self._settings.token(self._where)
        except OperatorError as error:
            return Retry(str(error), provider=True)
        if token == self._token:
            return answer
        self._token = token
        return await self._request(list_, operation, rows)

    async def _request(self, list_: str, operation: str, rows: list[Hashed]) -> Answer | Retry | Unknown:
        columns = [name for name in ("email", "phone") if any(getattr(row, name) for row in rows)]
        data = [[getattr(row, name) for name in columns] for row in rows]
        payload = msgspec.json.encode({"schema": [name.upper() for name in columns], "data": data})
        number = int.from_bytes(hashlib.sha256(payload).digest()[:7], "big")  # it fits into 64 bits
        session = {"session_id": number, "batch_seq": 1, "last_batch_flag": True}
        fields = {
            "session": msgspec.json.encode({**session, "estimated_num_total": len(rows)}),
            "payload": payload,
            "access_token": self._token,
        }
        if self._app_secret:
            proof = hmac.new(self._app_secret.encode(), self._token.encode(), hashlib.sha256)
            fields["appsecret_proof"] = proof.hexdigest()
        settings = self._settings
        url = f"{settings.base_url.rstrip('/')}/{settings.api_version}/{list_}/users"
        return await self._connections.ask(METHODS[operation], url, FORM, urlencode(fields).encode())

    def _outcome(self, answer: Answer | Retry | Unknown) -> Outcome:
        if not isinstance(answer, Answer):
            return answer
        status, body = answer.status, answer.body if isinstance(answer.body, dict) else {}
        if 200 <= status < 300:
            told = {"message_id": str(body.get("session_id", "")), "status": "taken"}
            return Delivered({**told, "provider": self._name})
        error = _error(answer)
        code = _code(answer)
        said = str(error.get("error_user_msg") or error.get("message") or answer.phrase)
        why = reason(self._name, status, f"{said} ({code})" if code else said)
        if code in RATES or 80_000 <= code < 80_100 or status == 429:
            return Retry(why, answer.after_ms or RATE_WAIT_MS)
        if code in TOKEN or code in ACCOUNT or 200 <= code < 300 or status == 401:
            return Retry(why, provider=True)
        if code in TRANSIENT or error.get("is_transient") is True or status == 503:
            return Retry(why, answer.after_ms, provider=True)
        return Unknown(why) if status >= 500 else RefusedForGood(why)

    async def aclose(self) -> None:
        """Close its connections."""
        await self._connections.aclose()


def _put(found: list[Outcome | None], part: list[int], outcome: Outcome) -> None:
    for number in part:
        found[number] = outcome


def _invalid(answer: Any) -> int:
    """How many entries it could not read."""
    body = answer.body if isinstance(answer, Answer) else None
    count = body.get("num_invalid_entries") if isinstance(body, dict) else None
    return count if isinstance(count, int) else 0


def _error(answer: Answer) -> dict[str, Any]:
    error = answer.body.get("error") if isinstance(answer.body, dict) else None
    return error if isinstance(error, dict) else {}


def _code(answer: Answer) -> int:
    code = _error(answer).get("code")
    return code if isinstance(code, int) else 0
