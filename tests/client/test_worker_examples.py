"""The workers of `examples/workers`, as processes against a shard in this process (H8)."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

from stagewheel.protocol.journal import Entered
from stagewheel.protocol.messages import CreateItem
from tests.client.test_workers import shard

LINES_MAX = 25


@contextmanager
def worker(script: Path, address: str) -> Iterator[subprocess.Popen[str]]:
    """A worker's process, which ends with the block."""
    process = subprocess.Popen([sys.executable, str(script), address], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def test_a_worker_that_dies_in_the_middle_has_its_job_done_by_another(
    tmp_path: Path, repository: Path
) -> None:
    """H8: the example in under 25 lines, and one that dies; both are processes of their own."""
    folder = repository / "examples" / "workers"
    assert len((folder / "score.py").read_text().splitlines()) < LINES_MAX
    rules = (folder / "rules.yaml").read_text()

    async def main() -> list[str]:
        async with shard(tmp_path, rules=rules) as (_, address, client):
            await client.do(CreateItem("d:1", pipeline="deals", source="fair", fields={"size": 4_000}))
            with worker(folder / "dies.py", address) as dying:
                assert await trio.to_thread.run_sync(dying.wait, 20) == 1
                assert dying.stdout is not None
                said = dying.stdout.read()
            assert said == "has d:1/1/1, attempt 1\n"
            with worker(folder / "score.py", address):
                stages: list[str] = []
                async for _, record in client.subscribe(item="d:1"):
                    stages = [did.to_stage for did in record.did if isinstance(did, Entered)]
                    if "hot" in stages:
                        break
            item = await client.item("d:1")
            assert item is not None
            assert item.fields["score"] == 60
            return stages

    assert trio.run(main) == ["hot"]
