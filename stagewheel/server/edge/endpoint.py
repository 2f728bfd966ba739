"""What every route has around it: a rate for each address, an answer for every error, numbers, no secrets in
the log.

Laws: an address is counted before anything of its request is read. A right token is counted by another,
larger rate; a wrong one costs as much as any request, so tokens can't be tried out. The log names the route
and the status, never the path, a query, a header or a body.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from stagewheel.protocol.messages import Failed, RaiseEvent, Result
from stagewheel.server.edge.answers import Refusal, outcome
from stagewheel.server.edge.config import EdgeConfig, Secrets
from stagewheel.server.edge.metrics import Metrics
from stagewheel.server.edge.rate import Rates, address_of
from stagewheel.server.edge.shard import Gate
from stagewheel.server.edge.signing import same_secret
from stagewheel.server.limits import DEDUPE_KEY_BYTES_MAX, EDGE_TEXT_CHARS_MAX

log = logging.getLogger("stagewheel.edge")
KEY_CHARS_MAX: Final = 100  # of an Idempotency-Key

Handler = Callable[[Request], Awaitable[Response]]


class Edge(Struct):
    """What the routes share."""

    config: EdgeConfig
    secrets: Secrets
    gate: Gate
    metrics: Metrics
    public: Rates
    with_token: Rates
    now_s: Callable[[], float]  # since 1970, for signatures
    statuses: Mapping[str, Any] = {}  # how call-backs of providers are read, by lane (`statuses.Statuses`)

    def endpoint(self, route: str, handler: Handler, *, has_token: bool = False) -> Handler:
        """The handler of a route with all that is around it. One with a token takes its own rate in
        `authorize`.
        """

        async def answer(request: Request) -> Response:
            began_s = time.monotonic()
            request.state.extra = {}  # headers that also a refusal has
            try:
                if not has_token:
                    self.limit(self.public, request)
                response = await handler(request)
            except Refusal as refusal:
                response = refusal.response()
                if refusal.status >= 500:
                    log.warning("%s: %d %s", route, refusal.status, refusal.code)
            except Exception:
                log.exception("%s: a bug", route)
                response = Refusal(500, "internal", "this request failed with a bug").response()
            response.headers.update(request.state.extra)
            self.metrics.answered(route, response.status_code, time.monotonic() - began_s)
            return response

        return answer

    def authorize(self, request: Request, secret: bytes, given: str | None = None) -> None:
        """Raises `Refusal` unless the request carries the token, in `Authorization: Bearer` or `X-Token`, or
        as `given` where it stands elsewhere.
        """
        if given is None:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer":
                given = request.headers.get("x-token", "")
        if secret and same_secret(given.strip(), secret):
            self.limit(self.with_token, request)
            return
        self.limit(self.public, request)
        refusal = Refusal(401, "unauthorized", "the token is missing or wrong")
        request.state.extra["www-authenticate"] = "Bearer"
        raise refusal

    def limit(self, rates: Rates, request: Request) -> None:
        """Raises `Refusal` if the address asks too often."""
        peer = request.client.host if request.client is not None else ""
        forwarded = request.headers.getlist("x-forwarded-for")
        address = address_of(peer, forwarded, frozenset(self.config.trusted_proxies))
        wait_s = rates.wait_s(address, time.monotonic())
        if wait_s:
            raise Refusal(429, "too_many_requests", "this address asks too often; come back later", wait_s)

    async def raise_event(self, route: str, event: RaiseEvent) -> Result:
        """Give one event to the shard; its durable result. Raises `Refusal` if there is none."""
        [result] = await self.gate.submit([event])
        self.metrics.raised(route, outcome(result))
        if isinstance(result, Failed):
            log.info("%s: %s", route, result.code)
        return result


def dedupe_key(request: Request, route: str) -> str:
    """The key with which a request that is sent again does nothing twice; "" if it has none. Raises
    `Refusal`.
    """
    key = request.headers.get("idempotency-key", "")
    if len(key) > KEY_CHARS_MAX:
        raise Refusal(400, "bad_request", f"an Idempotency-Key has at most {KEY_CHARS_MAX} characters")
    made = f"edge {route} {key}" if key else ""
    if len(made.encode()) > DEDUPE_KEY_BYTES_MAX:
        raise Refusal(400, "bad_request", "the Idempotency-Key is too long")
    return made


def bounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Texts cut to what an event may carry of something that anybody can send."""
    return {
        name: value[:EDGE_TEXT_CHARS_MAX] if isinstance(value, str) else value
        for name, value in values.items()
    }
