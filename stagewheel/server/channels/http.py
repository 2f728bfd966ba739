"""Webhooks over HTTP: one request, one answer, one of the four outcomes.

Laws:
- 2xx is delivered; 408, 425, 429 and 5xx are tried again, not before `Retry-After`; every other answer, a
  redirect too, refuses for good. A redirect is not followed: it would lead past the check of the address.
- Without `allow_private` a request goes to public addresses only. The name is resolved here, every address
  it has is checked, and the connection is made to the checked one, so that a name that resolves to
  something else a moment later (DNS rebinding) gains nothing. TLS is still checked against the name.
- What failed before the request was sent is `Retry`; a connection that broke or a time-out after it,
  `Unknown`.
- Of an answer no more than `WEBHOOK_RESPONSE_BYTES_MAX` is read.

A failure here never counts for the breaker: every URL is a provider of its own, and one that is down must not
stop the others. The limit of requests to one host does that work.

One client a host, since a pool of connections is keyed by address, and two names on one address must not
share a TLS connection that was checked for one of them.
"""

import logging
import ssl
from collections import OrderedDict
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import httpx
import trio

from stagewheel.server.channels.base import Delivered, Delivery, Outcome, RefusedForGood, Retry, Unknown
from stagewheel.server.channels.webhook import WebhookSettings
from stagewheel.server.limits import REASON_LENGTH_MAX, WEBHOOK_CLIENTS_MAX, WEBHOOK_RESPONSE_BYTES_MAX

RETRY_AFTER_MS_MAX = 86_400_000
ADDRESSES_TRIED_MAX = 3

_AGAIN = frozenset({408, 425, 429})
# What a rule can't set: what belongs to the connection, and the key that must be the same in every attempt.
_OURS = frozenset({"host", "idempotency-key", "content-length", "transfer-encoding", "connection"})
_NAT64 = ip_network("64:ff9b::/96")


class Forbidden(Exception):
    """The URL leads where webhooks must not go, or is none."""


class _Client:
    """A host's client, and how many requests use it."""

    __slots__ = ("client", "users")

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.users = 0


class HttpChannel:
    """Requests to any host."""

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings
        self._timeout = httpx.Timeout(settings.timeout_s)
        self._limits = httpx.Limits(
            max_connections=settings.pool_size, keepalive_expiry=min(settings.idle_s, 60.0)
        )
        self._context = ssl.create_default_context()
        self._clients: OrderedDict[str, _Client] = OrderedDict()
        # httpx logs every URL at level INFO, and URLs of webhooks hold secrets.
        logging.getLogger("httpx").setLevel(logging.WARNING)

    def group(self, content: Any) -> str:
        """The URL's host."""
        try:
            return httpx.URL(content.url).host
        except (httpx.InvalidURL, ValueError):
            return ""

    async def deliver(self, content: Any, delivery: Delivery) -> Outcome:
        """Make one request."""
        try:
            url = _url(content.url)
            with trio.fail_after(self._settings.timeout_s):
                addresses = await self._resolve(url)
        except Forbidden as error:
            return RefusedForGood(str(error))
        except trio.TooSlowError:
            return Retry("resolving the host of the webhook timed out")
        except OSError as error:
            return Retry(f"the host of the webhook can't be resolved: {error}")
        headers = {name: value for name, value in content.headers.items() if name.lower() not in _OURS}
        headers |= {"Idempotency-Key": delivery.key, "Host": url.netloc.decode("ascii")}
        held = await self._client(f"{url.scheme}://{url.netloc.decode('ascii')}")
        held.users += 1
        try:
            for address in addresses[:ADDRESSES_TRIED_MAX]:
                outcome = await self._request(held.client, content, url, address, headers)
                if outcome is not None:
                    return outcome
        finally:
            held.users -= 1
        return Retry(f"{url.host} does not take connections at {', '.join(addresses[:ADDRESSES_TRIED_MAX])}")

    async def _request(
        self, client: httpx.AsyncClient, content: Any, url: httpx.URL, address: str, headers: dict[str, str]
    ) -> Outcome | None:
        """One request to one checked address; None when no connection could be made to it."""
        try:
            async with client.stream(
                content.method,
                url.copy_with(host=address),
                headers=headers,
                content=content.body or None,
                extensions={"sni_hostname": url.raw_host.decode("ascii")},
            ) as response:
                return await self._answered(response, url.host)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            return None
        except httpx.PoolTimeout as error:
            return Retry(_reason(url.host, error))
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, ValueError) as error:
            return RefusedForGood(_reason(url.host, error))
        except httpx.HTTPError as error:
            return Unknown(_reason(url.host, error))

    async def _answered(self, response: httpx.Response, host: str) -> Outcome:
        """What an answer comes to."""
        await _read(response, self._settings.timeout_s)
        return _outcome(response, host)

    async def _resolve(self, url: httpx.URL) -> list[str]:
        """The addresses of the URL's host, all of them allowed. Raises `Forbidden`, OSError."""
        port = url.port or (443 if url.scheme == "https" else 80)
        found = await trio.socket.getaddrinfo(url.host, port, type=trio.socket.SOCK_STREAM)
        addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
        if not self._settings.allow_private:
            for address in addresses:
                if not _is_public(ip_address(address)):
                    raise Forbidden(
                        f"webhooks to {url.host} are not allowed: {address} is not a public address "
                        "(channels.webhook allow_private = true allows them)"
                    )
        return list(dict.fromkeys(addresses))

    async def _client(self, origin: str) -> _Client:
        held = self._clients.get(origin)
        if held is None:
            held = _Client(
                httpx.AsyncClient(
                    verify=self._context,
                    timeout=self._timeout,
                    limits=self._limits,
                    follow_redirects=False,
                    trust_env=False,
                )
            )
            self._clients[origin] = held
        self._clients.move_to_end(origin)
        if len(self._clients) > WEBHOOK_CLIENTS_MAX:
            await self._close_oldest()
        return held

    async def _close_oldest(self) -> None:
        for origin, held in self._clients.items():
            if not held.users:
                del self._clients[origin]
                await held.client.aclose()
                return

    async def close_sender(self, sender: int) -> None:
        """Connections belong to hosts, not to senders; httpx closes them when they were idle."""

    async def aclose(self) -> None:
        """Close all connections."""
        while self._clients:
            _, held = self._clients.popitem()
            await held.client.aclose()


def _url(written: str) -> httpx.URL:
    try:
        url = httpx.URL(written)
    except (httpx.InvalidURL, ValueError) as error:
        raise Forbidden(f"the webhook's URL is not valid: {error}") from None
    if url.scheme not in ("http", "https") or not url.host or not 0 <= (url.port or 0) <= 65_535:
        raise Forbidden("the webhook's URL must begin with http:// or https:// and name a host")
    return url


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether it can't be of this machine or its network, also in an IPv6 disguise."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _is_public(inner)
    return address.is_global and not address.is_multicast


async def _read(response: httpx.Response, timeout_s: float) -> None:
    """Read the answer, so that the connection can be used again. One that is too long or too slow is left
    unread, and a body that breaks off changes nothing: the status said what became of the request.
    """
    size = 0
    # Left by cancelling and not by `break`: httpx's generators stay open when nobody exhausts them.
    with trio.move_on_after(timeout_s) as scope:
        try:
            async for chunk in response.aiter_raw():
                size += len(chunk)
                if size > WEBHOOK_RESPONSE_BYTES_MAX:
                    scope.cancel()
        except httpx.HTTPError:
            pass


def _outcome(response: httpx.Response, host: str) -> Outcome:
    status = response.status_code
    if 200 <= status < 300:
        return Delivered({"status": status})
    reason = f"{host} answered {status} {response.reason_phrase}"[:REASON_LENGTH_MAX]
    if status in _AGAIN or status >= 500:
        return Retry(reason, retry_after_ms(response.headers.get("Retry-After", "")))
    return RefusedForGood(reason)


def retry_after_ms(header: str) -> int | None:
    """How long an answer asks to wait: seconds or a date (RFC 9110, 10.2.3). What can't be read counts as
    absent.
    """
    if header.isascii() and header.isdigit():
        return min(int(header[:9]) * 1000, RETRY_AFTER_MS_MAX)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delay_ms = int((moment - datetime.now(UTC)).total_seconds() * 1000)
    return min(max(delay_ms, 0), RETRY_AFTER_MS_MAX)


def _reason(host: str, error: Exception) -> str:
    return f"{host}: {type(error).__name__}: {error}"[:REASON_LENGTH_MAX]
