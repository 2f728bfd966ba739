"""Jobs of application actions over HTTP (H8): one POST; its answer, or a call-back, is the end of the job.

    POST URL                      Idempotency-Key, X-Stagewheel-Signature
    {"action": "score", "key": "…", "item": "deal:1", "rule": "ask", "attempt": 1, "at": 1772438400000,
     "parameters": {"size": 40}, "timeout_ms": 60000, "callback": "https://edge.shop.example/a/…"}

    200 {"results": {"score": 7}}   done          200 {"refused": "no such customer"}   it will never be done
    204                             done          202   it was taken; the end comes at `callback`

Laws: as those of webhooks (`http.py`): which addresses a request may reach, what is tried again, what is
unknown. A handler that did not answer in the time of its action may have begun: `Unknown`.
"""

from typing import Any, Final

import httpx
import msgspec
import trio
from msgspec import Struct

from stagewheel.errors import CallerError
from stagewheel.server.channels.answers import UNKEPT, storable
from stagewheel.server.channels.app import AppSettings
from stagewheel.server.channels.app_told import Told
from stagewheel.server.channels.base import (
    Accepted,
    Delivered,
    Delivery,
    Outcome,
    RefusedForGood,
    Unknown,
)
from stagewheel.server.channels.http import HttpChannel
from stagewheel.server.channels.webhook import Secret
from stagewheel.server.job_links import CALL_BACK, CallBack
from stagewheel.server.limits import REASON_LENGTH_MAX, WEBHOOK_RESPONSE_BYTES_MAX
from stagewheel.server.links import Links

HANDLER: Final = "handler"  # its secret among those of the channel
NO_CONTENT: Final = 204
TAKEN: Final = 202
NO_LINKS: Final = "there is no call-back: set [edge] public_url in the server's configuration"
_encode = msgspec.json.Encoder().encode


class Posted(Struct):
    """The request of one job."""

    url: str
    body: bytes
    headers: dict[str, str]
    sign: str
    method: str = "POST"
    auth: str = ""


class AppHttpChannel(HttpChannel):
    """Handlers at any host."""

    def __init__(self, settings: AppSettings, links: Links | None) -> None:
        key = settings.read()
        super().__init__(settings, {HANDLER: Secret(key)} if key else {})
        self._signs = HANDLER if key else ""
        self._links = links

    async def deliver(self, content: Any, delivery: Delivery) -> Outcome:
        """Post a job."""
        posted = self._posted(content, delivery)
        outcome: Outcome = Unknown(f"no answer within {content.timeout_ms / 1000:g} s")
        with trio.move_on_after(content.timeout_ms / 1000):
            outcome = await super().deliver(posted, delivery)
        if isinstance(outcome, Accepted):
            return Accepted(content.timeout_ms)
        return outcome

    def _posted(self, content: Any, delivery: Delivery) -> Posted:
        job = {
            "action": content.action,
            "key": delivery.key,
            "item": delivery.item,
            "rule": delivery.rule,
            "attempt": delivery.attempt,
            "at": delivery.at_ms,
            "parameters": content.parameters,
            "timeout_ms": content.timeout_ms,
        }
        if self._links is not None:
            try:
                job["callback"] = self._links.link(CALL_BACK, CallBack(delivery.item, delivery.number))
            except CallerError:
                pass  # the item's key is too long for a link; the handler has to answer at once
        body = _encode(job)
        return Posted(content.url, body, {"Content-Type": "application/json"}, self._signs)

    async def _answered(self, response: httpx.Response, host: str) -> Outcome:
        status = response.status_code
        if not 200 <= status < 300:
            return await super()._answered(response, host)
        if status == TAKEN:
            if self._links is None:
                return RefusedForGood(f"{host} answered 202: {NO_LINKS}")
            return Accepted(0)
        body = await _body(response, self._settings.timeout_s)
        if body is None:
            return RefusedForGood(f"the answer of {host} is too long, or did not come to its end")
        if status == NO_CONTENT or not body.strip():
            return Delivered({})
        try:
            told = msgspec.json.decode(body, type=Told)
        except (msgspec.DecodeError, RecursionError) as error:
            return RefusedForGood(f"{host} answered what is no result: {error}"[:REASON_LENGTH_MAX])
        if told.refused is not None:
            return RefusedForGood(told.refused[:REASON_LENGTH_MAX] or "refused by the handler")
        if not storable(told.results):
            return RefusedForGood(f"{host} answered results that can't be kept: {UNKEPT}")
        return Delivered(told.results)


async def _body(response: httpx.Response, timeout_s: float) -> bytes | None:
    """The answer's body as it came (`identity` was asked for); None for one that is too long or too slow."""
    held = bytearray()
    with trio.move_on_after(timeout_s) as scope:
        async for chunk in response.aiter_raw():
            held += chunk
            if len(held) > WEBHOOK_RESPONSE_BYTES_MAX:
                scope.cancel()
    return None if scope.cancelled_caught or len(held) > WEBHOOK_RESPONSE_BYTES_MAX else bytes(held)
