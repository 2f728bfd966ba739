"""An action worker for asyncio: functions are coroutines, each job is a task. See `worker.py` for its use."""

import asyncio
from typing import Any

from stagewheel.client.worker_base import WorkerBase
from stagewheel.protocol.messages import ActionJob

CLOSING_S = 10.0


class AsyncioActionWorker(WorkerBase):
    """A worker inside a running loop: `await worker.run()`."""

    _stopping = False
    _event: asyncio.Event | None = None

    async def run(self) -> None:
        """Serve until `stop`, or until cancelled. Raises QueryRefused for actions that are refused."""
        self._open()
        loop = asyncio.get_running_loop()
        event = self._event = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()
        ends_s, fd = float("inf"), self._socket.fd
        loop.add_reader(fd, event.set)
        try:
            while True:
                event.clear()
                for job in self._pump():
                    task = asyncio.create_task(self._do(job))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                if self._stopping and self._core.asking:
                    self._core.asking, ends_s = False, loop.time() + CLOSING_S
                over = not self._core.held and not self._core.untaken
                if loop.time() > ends_s or (self._stopping and (over or not self._connected)):
                    return
                alarm = loop.call_later(self._sleep_s(), event.set)
                await event.wait()
                alarm.cancel()
        finally:
            loop.remove_reader(fd)
            for task in tasks:
                task.cancel()
            self._socket.close()

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
        if self._event is not None:
            self._event.set()
