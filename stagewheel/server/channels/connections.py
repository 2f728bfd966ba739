"""The HTTP requests of providers: one request, one answer.

Laws: a request that found no connection was not taken (`Retry`), one that broke off after that may have been
(`Unknown`). A redirect is not followed. An answer is read up to a bound, and as it came: nothing is
unpacked. When the rest can't be read, its status alone says what became of the request.
"""

import logging
from typing import Any

import httpx
import msgspec
import trio

from stagewheel.server.channels.base import PoolSettings, Retry, Unknown
from stagewheel.server.channels.http import retry_after_ms
from stagewheel.server.channels.provider import Answer
from stagewheel.server.channels.tls import system_context
from stagewheel.server.limits import WEBHOOK_RESPONSE_BYTES_MAX


class Connections:
    """A provider's connections."""

    def __init__(self, name: str, pool: PoolSettings) -> None:
        self._name = name
        self._timeout_s = pool.timeout_s
        self._client = httpx.AsyncClient(
            verify=system_context(),
            timeout=pool.timeout_s,
            limits=httpx.Limits(max_connections=pool.pool_size, keepalive_expiry=min(pool.idle_s, 60.0)),
            follow_redirects=False,
            trust_env=False,
            headers={"Accept-Encoding": "identity"},
        )
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every URL

    async def ask(
        self, method: str, url: str, headers: dict[str, str], body: bytes, auth: tuple[str, str] | None = None
    ) -> Answer | Retry | Unknown:
        """One request, one answer."""
        try:
            async with self._client.stream(
                method, url, headers=headers, content=body, auth=auth or httpx.USE_CLIENT_DEFAULT
            ) as response:
                text = await self._read(response)
                after_ms = retry_after_ms(response.headers.get("Retry-After", ""))
                return Answer(response.status_code, response.reason_phrase, after_ms, _json(text))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return Retry(f"{self._name} takes no connection ({type(error).__name__})", provider=True)
        except httpx.HTTPError as error:
            return Unknown(f"{self._name} did not answer ({type(error).__name__})")

    async def _read(self, response: httpx.Response) -> bytes:
        """What can be read in time and within the bound: the status said what became of the request."""
        text = b""
        with trio.move_on_after(self._timeout_s) as scope:
            try:
                async for chunk in response.aiter_raw():
                    text += chunk
                    if len(text) > WEBHOOK_RESPONSE_BYTES_MAX:
                        scope.cancel()
            except httpx.HTTPError:
                pass
        return text

    async def aclose(self) -> None:
        """Close them."""
        await self._client.aclose()


def _json(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
