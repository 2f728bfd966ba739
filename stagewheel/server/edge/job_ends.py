"""`POST /a/…` (H8): an HTTP handler that answered 202 tells the end of its job.

Laws: the address is signed for one job, so it needs no token. The answer comes after the end is durable: 200
it counts, 409 it came before or its time is over, 404 there is no such job.
"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from stagewheel.protocol.messages import CompleteDelivery
from stagewheel.server.channels.answers import UNKEPT, storable
from stagewheel.server.channels.app_told import Told
from stagewheel.server.edge.answers import Refusal, outcome, told
from stagewheel.server.edge.body import read_body
from stagewheel.server.edge.endpoint import Edge
from stagewheel.server.edge.tracking import link_of
from stagewheel.server.job_links import CALL_BACK, CallBack


class JobEnds:
    """The ends of jobs."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def post(self, request: Request) -> Response:
        """One end."""
        edge = self._edge
        job = link_of(edge, request, CallBack, CALL_BACK, request.path_params["signed"])
        raw = await read_body(request, edge.config.body_bytes_max)
        try:
            said = msgspec.json.decode(raw or b"{}", type=Told)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Refusal(422, "bad_result", f"expected {{results: …}} or {{refused: …}}: {error}") from None
        if not storable(said.results):
            raise Refusal(422, "bad_result", f"the results can't be kept: {UNKEPT}")
        command = CompleteDelivery(job.item, number=job.number, detail=said.results)
        if said.refused is not None:
            command.outcome, command.reason = "refused", said.refused or "refused by the handler"
        [result] = await edge.gate.submit([command])
        edge.metrics.raised("job_ends", outcome(result))
        return told(result)
