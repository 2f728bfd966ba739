"""`/healthz`: the edge lives. `/readyz`: all shards answer. `/metrics`: numbers for Prometheus.

Laws: numbers are for those who run the server: with a token, or, where none is set, for programs on this
machine that ask an edge which only this machine reaches.
"""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from stagewheel.server.edge.answers import Refusal, json_response
from stagewheel.server.edge.config import listen_address
from stagewheel.server.edge.endpoint import Edge
from stagewheel.server.edge.metrics import CONTENT_TYPE
from stagewheel.server.edge.rate import is_local

READY_S: Final = 2.0


class Health:
    """How the edge and the shards are."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._only_local = is_local(listen_address(edge.config.listen)[0], {})

    async def healthz(self, _: Request) -> Response:
        """The process lives."""
        return json_response({"status": "ok"})

    async def readyz(self, _: Request) -> Response:
        """All shards answer."""
        gate = self._edge.gate
        found = await gate.statistics(READY_S)
        silent = [str(shard) for shard, one in enumerate(found) if one is None]
        if not silent:
            return json_response({"status": "ready"})
        which = f"shard {', '.join(silent)}" if gate.count > 1 else "the server"
        raise Refusal(503, "not_ready", f"{which} does not answer", READY_S)

    async def metrics(self, request: Request) -> Response:
        """All numbers as text."""
        edge = self._edge
        if edge.secrets.metrics_token:
            edge.authorize(request, edge.secrets.metrics_token)
        else:
            edge.limit(edge.public, request)
            peer = request.client.host if request.client is not None else ""
            if not (self._only_local and is_local(peer, request.headers)):
                raise Refusal(403, "forbidden", "numbers are for this machine; set edge.metrics_token_env")
        text = edge.metrics.text(await edge.gate.statistics(READY_S), edge.gate.under_way)
        return Response(text, 200, {"cache-control": "no-store"}, CONTENT_TYPE)
