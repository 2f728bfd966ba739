"""An action worker: it says what a deal is worth. `python score.py ipc:///run/stagewheel/main.sock`"""

import signal
import sys

from stagewheel.client import ActionJob, ActionWorker, Refuse

worker = ActionWorker(sys.argv[1], concurrency=8, heartbeat_s=0.5)


@worker.action("score", {"size": "number", "source": "text"}, {"score": "number", "grade": "text"})
def score(job: ActionJob) -> dict[str, object]:
    size = job.parameters.get("size")
    if size is None:
        raise Refuse("a deal without a size has no score")
    points = size // 100 + (20 if job.parameters.get("source") == "fair" else 0)
    return {"score": points, "grade": "A" if points >= 50 else "B"}


signal.signal(signal.SIGTERM, lambda *_: worker.stop())
worker.run()
