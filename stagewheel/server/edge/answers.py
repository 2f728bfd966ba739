"""What a request is answered with: what an event did, for those who have a token; a clear refusal for all.

Laws: a refusal is JSON with a code and a sentence, never a value that was sent and nothing of the inside. Who
has no token learns only that the event was taken. 200 is final, 202 is stored and still to be done (an item
that is paused), 503 has Retry-After.
"""

from typing import Any, Final

import msgspec
from starlette.responses import Response

from stagewheel.protocol.messages import Accepted, Failed, Forwarded, Moved, NotMoved, Result

RETRY_S: Final = 5
_STATUS: Final = {
    "unknown_item": 404,
    "unknown_delivery": 404,
    "delivery_over": 409,
    "deleted": 410,
    "mailbox_full": 503,
    "internal": 500,
}
_encode = msgspec.json.Encoder().encode


class Refusal(Exception):
    """A request that is not done, and why."""

    def __init__(self, status: int, code: str, message: str, retry_s: float = 0) -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code, self.message, self.retry_s = status, code, message, retry_s

    def response(self) -> Response:
        """As the client sees it."""
        response = json_response({"error": self.code, "message": self.message}, self.status)
        if self.retry_s:
            response.headers["retry-after"] = str(max(1, round(self.retry_s + 0.5)))
        return response


def json_response(content: Any, status: int = 200) -> Response:
    """JSON that no cache keeps and no browser guesses about."""
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    return Response(_encode(content), status, headers, "application/json")


def told(result: Result) -> Response:
    """What the event did (5.7), for who has a token. Raises `Refusal` for what failed."""
    if isinstance(result, Failed):
        status = _STATUS.get(result.code, 422)
        raise Refusal(status, result.code, result.message, RETRY_S if status == 503 else 0)
    what: dict[str, Any] = {"result": "applied"}
    if isinstance(result, Moved):
        what = {
            "result": "moved",
            "from": result.from_stage,
            "to": result.to_stage,
            "trigger": result.trigger,
        }
    elif isinstance(result, NotMoved):
        candidates = msgspec.json.decode(_encode([_candidate(one) for one in result.candidates]))
        what = {"result": "not_moved", "reason": result.reason, "candidates": candidates}
    elif isinstance(result, Forwarded):
        what = {
            "result": "forwarded",
            "items": result.items,
            "more": result.more,
            "created": result.created,
        }
    elif isinstance(result, Accepted):
        return json_response({"result": "accepted"}, 202)
    return json_response(what)


def _candidate(one: Any) -> dict[str, Any]:
    return {"trigger": one.trigger, "stage": one.stage, "reason": one.reason, "tests": _tests(one.tests)}


def _tests(tests: Any) -> list[dict[str, Any]]:
    return [
        {
            "path": test.path,
            "operator": test.operator,
            "expected": test.expected,
            "seen": test.seen,
            "held": test.held,
        }
        for test in tests
    ]


def outcome(result: Result) -> str:
    """The name of a result, for the metrics."""
    return type(result).__name__.lower() if not isinstance(result, Failed) else f"failed_{result.code}"
