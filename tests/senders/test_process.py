"""The process around a sender: it ends its work on SIGTERM, and goes when its parent is gone."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

from stagewheel.protocol.messages import Reports, ReportsTaken
from tests.senders.shard import job, open_shard, outbox_row

SENDER = """
import sys
from stagewheel.server.channels.email import EmailSettings
from stagewheel.server.senders.config import ChannelsConfig
from stagewheel.server.senders.process import run_sender

run_sender(sys.argv[1], ChannelsConfig(EmailSettings(spool=sys.argv[2])), "store-1", "sender-3")
"""
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", *sys.argv[1:]], stdin=subprocess.PIPE)
print(child.pid, flush=True)
child.wait()
"""


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, "-c", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        try:
            yield child
        finally:
            child.kill()


async def ended(pid: int) -> None:
    """Wait for the end of a process that may be nobody's child any more."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        with trio.fail_after(30):
            await trio.lowlevel.wait_readable(descriptor)
    finally:
        os.close(descriptor)


async def test_on_sigterm_it_sees_its_reports_committed_and_ends_well(tmp_path: Path) -> None:
    async with open_shard(tmp_path) as (shard, address):
        with process(SENDER, address, str(tmp_path / "spool")) as child:
            hello = await shard.welcome()
            assert hello.producer == b"sender-3"
            await shard.credit()
            shard.hand(job(1, outbox_row()))
            await shard.answer_sources()
            reports = await shard.hear_a(Reports)
            child.send_signal(signal.SIGTERM)
            shard.say(ReportsTaken(reports.id))
            await ended(child.pid)
            assert child.wait() == 0
    assert len(list((tmp_path / "spool" / "new").iterdir())) == 1


async def test_it_goes_when_its_parent_was_killed(tmp_path: Path) -> None:
    async with open_shard(tmp_path) as (shard, address):
        with process(PARENT, SENDER, address, str(tmp_path / "spool")) as parent:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            await shard.welcome()
            parent.kill()
            await ended(pid)
