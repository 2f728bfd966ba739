"""An action worker for asyncio: functions are coroutines, each job is a task. See `worker.py` for its use."""

import asyncio

from stagewheel.client.worker_base import AsyncWorkerBase


class AsyncioActionWorker(AsyncWorkerBase):
    """A worker inside a running loop: `await worker.run()`."""

    _event: asyncio.Event | None = None

    async def run(self) -> None:
        """Serve until `stop`, or until cancelled. Raises QueryRefused for actions that are refused."""
        self._open()
        loop = asyncio.get_running_loop()
        event = self._event = asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()
        fd = -1
        try:
            while True:
                event.clear()
                for job in self._pump():
                    task = asyncio.create_task(self._do(job))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                if self._is_over(loop.time()):
                    return
                if fd != self._fd:
                    if fd >= 0:
                        loop.remove_reader(fd)
                    fd = self._fd
                    loop.add_reader(fd, event.set)
                alarm = loop.call_later(self._sleep_s(), event.set)
                await event.wait()
                alarm.cancel()
        finally:
            if fd >= 0:
                loop.remove_reader(fd)
            for task in tasks:
                task.cancel()
            self._close()

    def _wake(self) -> None:
        if self._event is not None:
            self._event.set()
