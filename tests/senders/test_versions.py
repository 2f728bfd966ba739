"""The versions a sender process keeps, and the jobs that wait for one."""

from collections.abc import Mapping

from stagewheel.server.core.effects import OutboxRow, decode_outbox_row
from stagewheel.server.core.plan import Version
from stagewheel.server.limits import SENDER_VERSIONS_MAX
from stagewheel.server.senders.versions import ASK_AGAIN_MS, Versions
from tests.senders.shard import job, outbox_row

ROW: OutboxRow = decode_outbox_row(outbox_row())


def compile_empty(files: Mapping[str, str], number: int) -> Version:
    return Version("sales", number, {}, {}, {}, ())


def test_a_version_is_asked_for_once_and_again_only_when_no_answer_comes() -> None:
    versions = Versions(compile_empty)
    versions.wait_for(3, job(1, b""), ROW)
    versions.wait_for(3, job(2, b""), ROW)
    assert versions.to_ask(0) == [3]
    assert versions.to_ask(ASK_AGAIN_MS - 1) == []
    assert versions.to_ask(ASK_AGAIN_MS) == [3]
    assert [waiting.number for waiting, _ in versions.arrived(3, {})] == [1, 2]
    assert versions.to_ask(ASK_AGAIN_MS * 3) == []
    assert versions.get(3) is not None


def test_jobs_that_are_dropped_leave_no_question_behind() -> None:
    versions = Versions(compile_empty)
    versions.wait_for(3, job(1, b""), ROW)
    versions.to_ask(0)
    assert len(versions.drop_waiting()) == 1
    assert versions.to_ask(ASK_AGAIN_MS) == []
    versions.wait_for(3, job(1, b""), ROW)
    assert versions.to_ask(1) == [3], "a new session is asked at once"


def test_only_the_versions_used_last_are_kept() -> None:
    versions = Versions(compile_empty)
    for number in range(SENDER_VERSIONS_MAX):
        versions.arrived(number, {})
    assert versions.get(0) is not None
    versions.arrived(SENDER_VERSIONS_MAX, {})
    assert versions.get(0) is not None
    assert versions.get(1) is None
