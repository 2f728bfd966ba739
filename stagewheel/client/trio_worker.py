"""An action worker for trio: functions are async, each job is a task. See `worker.py` for how it is used."""

import trio

from stagewheel.client.worker_base import AsyncWorkerBase


class TrioActionWorker(AsyncWorkerBase):
    """A worker inside a nursery: `nursery.start_soon(worker.run)`."""

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
            self._close()

    async def _serve(self, nursery: trio.Nursery) -> None:
        while True:
            for job in self._pump():
                nursery.start_soon(self._do, job)
            if self._is_over(trio.current_time()):
                return
            with trio.move_on_after(self._sleep_s()) as self._sleep:
                if self._woken:
                    await trio.lowlevel.checkpoint()
                else:
                    await trio.lowlevel.wait_readable(self._fd)
            self._woken = False

    def _wake(self) -> None:
        self._woken = True
        if self._sleep is not None:
            self._sleep.cancel()
