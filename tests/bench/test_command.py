"""The command of the benchmarks."""

import subprocess
import sys
from pathlib import Path

from tests.server.harness import END_S, group_members

MEASURING = """
import signal, sys
from pathlib import Path
from bench.__main__ import end_in_order
from bench.served import Served
end_in_order()
with Served(Path(sys.argv[1])) as served:
    print(served.pid, flush=True)
    signal.pause()
"""


def test_a_benchmark_that_is_told_to_end_leaves_no_server_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MEASURING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        server = int(process.stdout.readline())
        assert len(group_members(server)) >= 2
        process.terminate()
        assert process.wait(END_S) == 128 + 15
    assert group_members(server) == []
