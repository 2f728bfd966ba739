"""Access tokens that are fetched with a refresh token (OAuth 2.0, RFC 6749, section 6).

Laws: a token is kept in memory, and fetched anew shortly before it ends or when it was dropped; whoever asks
meanwhile waits for the one that is being fetched. The secrets are read when one is fetched, so that a file
may be replaced. No reason holds a secret or a token. Nothing of a message is out when there is no token:
`Retry`.
"""

from typing import Final, Protocol
from urllib.parse import urlencode

import trio

from stagewheel.errors import OperatorError
from stagewheel.server.channels.base import Retry
from stagewheel.server.channels.connections import Connections
from stagewheel.server.channels.provider import Answer, at_path, reason

FORM: Final = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
EARLY_S: Final = 60.0  # before a token ends, another one is fetched


class Credentials(Protocol):
    """What a section says about who asks."""

    @property
    def client_id(self) -> str:
        """The client."""

    @property
    def token_url(self) -> str:
        """Where tokens are given."""

    def secrets(self, where: str) -> tuple[str, str]:
        """Client secret and refresh token. Raises `OperatorError`."""


class Access:
    """The token of one account."""

    def __init__(self, name: str, connections: Connections, credentials: Credentials, where: str) -> None:
        self._name, self._connections = name, connections
        self._credentials, self._where = credentials, where
        self._token, self._until_s = "", 0.0
        self._fetching = trio.Lock()

    async def token(self) -> str | Retry:
        """A token; why there is none."""
        async with self._fetching:
            if self._token and trio.current_time() < self._until_s:
                return self._token
            return await self._fetch()

    def drop(self, token: str) -> None:
        """It is no longer taken."""
        if self._token == token:
            self._token = ""

    async def _fetch(self) -> str | Retry:
        credentials = self._credentials
        try:
            client, refresh = credentials.secrets(self._where)
        except OperatorError as error:
            return Retry(str(error), provider=True)
        fields = {"grant_type": "refresh_token", "client_id": credentials.client_id}
        body = urlencode({**fields, "client_secret": client, "refresh_token": refresh}).encode()
        answer = await self._connections.ask("POST", credentials.token_url, FORM, body)
        if not isinstance(answer, Answer):
            return Retry(answer.reason, provider=True)
        token, lasts_s = at_path(answer.body, "access_token"), at_path(answer.body, "expires_in")
        if answer.status != 200 or not isinstance(token, str) or not token:
            said = str(at_path(answer.body, "error") or answer.phrase)
            return Retry(reason(f"{self._name} gives no token: it", answer.status, said), provider=True)
        self._token = token
        self._until_s = trio.current_time() + (lasts_s if isinstance(lasts_s, int) else 0) - EARLY_S
        return token
