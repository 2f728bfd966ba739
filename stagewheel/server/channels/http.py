"""Webhooks over HTTP: one request, one answer, one of the four outcomes.

Laws:
- 2xx is delivered; 408, 425, 429 and 5xx are tried again, not before `Retry-After`; every other answer
  refuses for good. A redirect refuses too, unless the configuration lets it be followed: then each hop is
  checked as the first was, 307 and 308 repeat the request, a GET stays one, and nothing else is followed,
  since it would become another request. What authenticates us goes to the hosts of its section only.
- Without `allow_private` a request goes to public addresses only (`addresses.py`), and to the very address
  that was checked. TLS is still checked against the name.
- What failed before the request was sent is `Retry`; a connection that broke or a time-out after it,
  `Unknown`.
- A signature is made anew for each attempt: it tells when. Secrets stand in no reason and no log.
- A body longer than the bound is not sent; of an answer no more than the bound is read, and what it says as
  JSON is kept as far as `answers.py` lets it.

A failure here never counts for the breaker: every URL is a provider of its own, and one that is down must not
stop the others. The limit of requests to one host does that work.

One client a host, since a pool of connections is keyed by address, and two names on one address must not
share a TLS connection that was checked for one of them. It keeps no cookies: what one rule's answer set is
nothing to another's request.
"""

import logging
import time
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final

import httpx
import trio
from msgspec import Struct

from stagewheel.protocol.signatures import SIGNATURE, signature
from stagewheel.server.channels.addresses import Forbidden, networks_of
from stagewheel.server.channels.answers import bounded_json
from stagewheel.server.channels.base import Delivered, Delivery, Outcome, RefusedForGood, Retry, Unknown
from stagewheel.server.channels.provider import LOOPBACK
from stagewheel.server.channels.resolving import checked
from stagewheel.server.channels.tls import system_context
from stagewheel.server.channels.webhook import HttpSettings, Secret
from stagewheel.server.limits import REASON_LENGTH_MAX, WEBHOOK_CLIENTS_MAX

RETRY_AFTER_MS_MAX = 86_400_000
ADDRESSES_TRIED_MAX = 3

_AGAIN = frozenset({408, 425, 429})
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_REPEATED: Final = frozenset({307, 308})  # redirects that keep the method and the body
# What a rule can't set: what belongs to the connection, the key that must be the same in every attempt, and
# what only a secret can make.
_OURS: Final = frozenset(
    {
        *("host", "idempotency-key", "content-length", "transfer-encoding", "connection", "te", "trailer"),
        *("upgrade", "expect", "proxy-authorization", "accept-encoding", SIGNATURE.lower()),
    }
)
_DEFAULTS: Final = (("User-Agent", "stagewheel"), ("Accept", "*/*"), ("Accept-Encoding", "identity"))


class _Client:
    """A host's client, and how many requests use it."""

    __slots__ = ("client", "users")

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.users = 0


class _Hop(Struct, frozen=True):
    """One request: the first, or where a redirect leads."""

    method: str
    url: httpx.URL
    body: bytes


class _Moved(Struct, frozen=True):
    """A redirect that may be followed."""

    status: int
    reason: str
    to: str


class HttpChannel:
    """Requests to any host."""

    def __init__(self, settings: HttpSettings, secrets: Mapping[str, Secret] | None = None) -> None:
        self._settings = settings
        self._secrets = secrets or {}
        self._private = networks_of("channels.webhook", settings.private_networks)
        self._timeout = httpx.Timeout(settings.timeout_s)
        self._limits = httpx.Limits(
            max_connections=settings.pool_size, keepalive_expiry=min(settings.idle_s, 60.0)
        )
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
        """Make one request, and those to which it is redirected."""
        if len(content.body) > self._settings.request_bytes_max:
            limit = self._settings.request_bytes_max
            return RefusedForGood(f"the body has {len(content.body)} bytes; request_bytes_max is {limit}")
        try:
            hop = _Hop(content.method, _url(content.url), content.body)
            for left in range(self._settings.redirects, -1, -1):
                answered = await self._hop(content, delivery, hop)
                if not isinstance(answered, _Moved):
                    return answered
                if not left:
                    return RefusedForGood(answered.reason)
                hop = _next(hop, answered)
        except Forbidden as error:
            return RefusedForGood(str(error)[:REASON_LENGTH_MAX])
        raise AssertionError("the last hop has an outcome")

    async def _hop(self, content: Any, delivery: Delivery, hop: _Hop) -> Outcome | _Moved:
        """One request, to the first of its host's addresses that takes a connection. Raises `Forbidden`."""
        url = hop.url
        headers = self._headers(content, delivery, hop)
        try:
            with trio.fail_after(self._settings.timeout_s):
                port = url.port or (443 if url.scheme == "https" else 80)
                addresses = await checked(url.host, port, self._settings.allow_private, self._private)
        except trio.TooSlowError:
            return Retry("resolving the host of the webhook timed out")
        except OSError as error:
            return Retry(f"the host of the webhook can't be resolved: {error}")
        held = await self._client(f"{url.scheme}://{url.netloc.decode('ascii')}")
        held.users += 1
        try:
            for address in addresses[:ADDRESSES_TRIED_MAX]:
                outcome = await self._request(held.client, hop, address, headers)
                if outcome is not None:
                    return outcome
        finally:
            held.users -= 1
        return Retry(f"{url.host} does not take connections at {', '.join(addresses[:ADDRESSES_TRIED_MAX])}")

    def _headers(self, content: Any, delivery: Delivery, hop: _Hop) -> dict[str, str]:
        """All of them. Raises `Forbidden` where a secret must not go, or is not known."""
        headers = {name: value for name, value in content.headers.items() if name.lower() not in _OURS}
        if not hop.body:
            headers = {name: value for name, value in headers.items() if name.lower() != "content-type"}
        given = {name.lower() for name in headers}
        headers |= {name: value for name, value in _DEFAULTS if name.lower() not in given}
        headers |= {"Idempotency-Key": delivery.key, "Host": hop.url.netloc.decode("ascii")}
        if content.auth:
            headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
            headers["Authorization"] = _authorization(content.auth, self._secret(content.auth), hop.url)
        if content.sign:
            secret = self._secret(content.sign)
            if not secret.signs:
                raise Forbidden(f"the key of secret {content.sign!r} is too short to sign with")
            headers[SIGNATURE] = signature(secret.key, hop.body, int(time.time()))
        return headers

    def _secret(self, name: str) -> Secret:
        secret = self._secrets.get(name)
        if secret is None:
            raise Forbidden(f"there is no secret {name!r}; configure [channels.webhook.secrets.{name}]")
        return secret

    async def _request(
        self, client: httpx.AsyncClient, hop: _Hop, address: str, headers: dict[str, str]
    ) -> Outcome | _Moved | None:
        """One request to one checked address; None when no connection could be made to it."""
        url = hop.url
        try:
            async with client.stream(
                hop.method,
                url.copy_with(host=address),
                headers=headers,
                content=hop.body or None,
                extensions={"sni_hostname": url.raw_host.decode("ascii")},
            ) as response:
                to = response.headers.get("Location", "")
                if self._settings.redirects and response.status_code in _MOVED and to:
                    await self._read(response)
                    return _Moved(response.status_code, _reason(response, url.host), to)
                return await self._answered(response, url.host)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            return None
        except httpx.PoolTimeout as error:
            return Retry(_failure(url.host, error))
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, ValueError) as error:
            return RefusedForGood(_failure(url.host, error))
        except httpx.HTTPError as error:
            return Unknown(_failure(url.host, error))

    async def _answered(self, response: httpx.Response, host: str) -> Outcome:
        """What an answer comes to."""
        body = await self._read(response)
        status = response.status_code
        if 200 <= status < 300:
            said = bounded_json(body) if "json" in response.headers.get("Content-Type", "").lower() else None
            return Delivered({"status": status} if said is None else {"status": status, "json": said})
        reason = _reason(response, host)
        if status in _AGAIN or status >= 500:
            return Retry(reason, retry_after_ms(response.headers.get("Retry-After", "")))
        return RefusedForGood(reason)

    async def _read(self, response: httpx.Response) -> bytes:
        """The answer, so that the connection can be used again; empty where it is too long or too slow, or
        breaks off: the status said what became of the request.
        """
        held = bytearray()
        # Left by cancelling and not by `break`: httpx's generators stay open when nobody exhausts them.
        with trio.move_on_after(self._settings.timeout_s) as scope:
            try:
                async for chunk in response.aiter_raw():
                    held += chunk
                    if len(held) > self._settings.response_bytes_max:
                        scope.cancel()
            except httpx.HTTPError:
                return b""
        whole = not scope.cancelled_caught and len(held) <= self._settings.response_bytes_max
        return bytes(held) if whole else b""

    async def _client(self, origin: str) -> _Client:
        held = self._clients.get(origin)
        if held is None:
            held = _Client(
                httpx.AsyncClient(
                    verify=system_context(),
                    timeout=self._timeout,
                    limits=self._limits,
                    follow_redirects=False,
                    cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
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


def _next(hop: _Hop, moved: _Moved) -> _Hop:
    """Where a redirect leads. Raises `Forbidden`."""
    try:
        url = _url(str(hop.url.join(moved.to)))
    except (httpx.InvalidURL, ValueError):
        raise Forbidden(f"{moved.reason}, to what is no address") from None
    if hop.url.scheme == "https" and url.scheme != "https":
        raise Forbidden(f"{moved.reason}, to an address that is not encrypted")
    if moved.status in _REPEATED or hop.method == "GET":
        return _Hop(hop.method, url, hop.body)
    raise Forbidden(f"{moved.reason}: following it would make another request of it than {hop.method}")


def _authorization(name: str, secret: Secret, url: httpx.URL) -> str:
    """The header. Raises `Forbidden` where the secret must not go."""
    host = url.host.lower()
    if host not in secret.hosts:
        allowed = ", ".join(secret.hosts) or "nowhere: its section names no hosts"
        raise Forbidden(f"secret {name!r} must not go to {host}; it goes to {allowed}")
    if url.scheme != "https" and host not in LOOPBACK:
        raise Forbidden(f"secret {name!r} would go to {host} in clear; use https")
    if not secret.username:
        return f"Bearer {secret.key.decode('ascii')}"
    return "Basic " + b64encode(secret.username.encode() + b":" + secret.key).decode("ascii")


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


def _reason(response: httpx.Response, host: str) -> str:
    return f"{host} answered {response.status_code} {response.reason_phrase}"[:REASON_LENGTH_MAX]


def _failure(host: str, error: Exception) -> str:
    return f"{host}: {type(error).__name__}: {error}"[:REASON_LENGTH_MAX]
