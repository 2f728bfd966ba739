"""A worker that dies in the middle of its first job: the server gives that job to another worker."""

import os
import sys

from stagewheel.client import ActionJob, ActionWorker

worker = ActionWorker(sys.argv[1], concurrency=1, heartbeat_s=0.1)


@worker.action("score", {"size": "number", "source": "text"}, {"score": "number", "grade": "text"})
def score(job: ActionJob) -> None:
    sys.stdout.write(f"has {job.key}, attempt {job.attempt}\n")
    sys.stdout.flush()
    os._exit(1)


worker.run()
