"""An action worker with threads: each job runs in one, and the thread that called `run` keeps the line.

worker = ActionWorker("ipc:///run/stagewheel/main.sock", concurrency=8)

@worker.action("score", {"size": "number"}, {"score": "number"})
def score(job):
    return {"score": job.parameters["size"] * 2}

worker.run()
"""

import os
import select
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from stagewheel.client.worker_base import WorkerBase
from stagewheel.protocol.messages import ActionJob as ActionJob


class ActionWorker(WorkerBase):
    """See the module. `stop` may be called from any thread, and from a signal handler."""

    _bell = -1

    def run(self) -> None:
        """Serve until `stop`. Raises QueryRefused for actions that the server refuses."""
        self._open()
        self._done: deque[tuple[ActionJob, Any, BaseException | None]] = deque()
        heard, self._bell = os.pipe()
        os.set_blocking(heard, False)
        os.set_blocking(self._bell, False)
        pool = ThreadPoolExecutor(self._concurrency, "stagewheel-worker")
        try:
            while True:
                for job in self._pump():
                    pool.submit(self._do, job)
                if self._is_over(time.monotonic()):
                    return
                ready, _, _ = select.select([self._fd, heard], [], [], self._sleep_s())
                if heard in ready:
                    os.read(heard, 4096)
                while self._done:
                    self._ended(*self._done.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            self._close()
            bell, self._bell = self._bell, -1
            os.close(bell)
            os.close(heard)

    def _do(self, job: ActionJob) -> None:
        given, error = None, None
        try:
            given = self._functions[job.action](job)
        except Exception as raised:  # whatever a function does
            error = raised
        self._done.append((job, given, error))
        self._wake()

    def _wake(self) -> None:
        try:
            os.write(self._bell, b".")
        except OSError:
            pass  # it is over, or the bell has rung
