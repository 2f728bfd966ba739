"""An action worker for trio: functions are async, each job is a task. See `worker.py` for how it is used."""

from typing import Any

import trio

from stagewheel.client.worker_base import WorkerBase
from stagewheel.protocol.messages import ActionJob

CLOSING_S = 10.0


class TrioActionWorker(WorkerBase):
    """A worker inside a nursery: `nursery.start_soon(worker.run)`."""

    _stopping = False
    _woken = False
    _sleep: trio.CancelScope | None = None

    async def run(self) -> None:
        """Serve until `stop`, or until cancelled. Raises QueryRefused for actions that are refused."""
        self._open()
        try:
            async with trio.open_nursery() as nursery:
                await self._serve(nursery)
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            if len(group.exceptions) > 1:
                raise
            raise group.exceptions[0] from None
        finally:
            self._socket.close()

    async def _serve(self, nursery: trio.Nursery) -> None:
        ends_s = float("inf")
        while True:
            for job in self._pump():
                nursery.start_soon(self._do, job)
            if self._stopping and self._core.asking:
                self._core.asking, ends_s = False, trio.current_time() + CLOSING_S
            over = not self._core.held and not self._core.untaken
            if trio.current_time() > ends_s or (self._stopping and (over or not self._connected)):
                return
            with trio.move_on_after(self._sleep_s()) as self._sleep:
                if self._woken:
                    await trio.lowlevel.checkpoint()
                else:
                    await trio.lowlevel.wait_readable(self._socket.fd)
            self._woken = False

    def stop(self) -> None:
        """Take no more jobs; `run` returns when what is under way is answered."""
        self._stopping = True
        self._wake()

    async def _do(self, job: ActionJob) -> None:
        given: Any = None
        error: Exception | None = None
        try:
            given = await self._functions[job.action](job)
        except Exception as raised:  # whatever a function does
            error = raised
        self._ended(job, given, error)
        self._wake()

    def _wake(self) -> None:
        self._woken = True
        if self._sleep is not None:
            self._sleep.cancel()
