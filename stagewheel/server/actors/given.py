"""What the hand-out gives to one session at once: rows of a lane, and the frames that bring them.

Laws: a frame has at most `JOBS_FRAME_MAX` jobs, and rows of at most half of what a sender takes, unless one
row alone has more. For a sender frames are joined of bytes (`protocol/job_bytes.py`); a job with a handler,
and one for a worker, is encoded with its Struct.
"""

from collections.abc import Iterator

from msgspec import Raw, Struct

from stagewheel.protocol.actions import ActionSpec
from stagewheel.protocol.codec import encode_payload
from stagewheel.protocol.job_bytes import join_jobs, rows_bytes
from stagewheel.protocol.messages import Job, Jobs
from stagewheel.server.limits import JOBS_FRAME_MAX, SENDER_FRAME_BYTES_MAX
from stagewheel.server.store.keys import read_u64

ROWS_BYTES_MAX = SENDER_FRAME_BYTES_MAX // 2


class Given(Struct):
    """Rows of a lane for a session, in order."""

    route: bytes
    lane: str
    numbers: list[bytes]  # as eight bytes each
    rows: list[bytes]
    handler: ActionSpec | None = None
    joined: list[bytes] | None = None  # their frames, where they are there already

    def jobs(self) -> list[Job]:
        """The same, one by one."""
        lane, handler = self.lane, self.handler
        rows = zip(map(read_u64, self.numbers), self.rows, strict=True)
        return [Job(lane, number, Raw(row), handler) for number, row in rows]

    def payloads(self) -> list[bytes]:
        """Frames of all of them."""
        if self.joined is not None:
            return self.joined
        return [encode_payload(Jobs(part)) for part in frames_of(self.jobs())]

    def keep_out(self, numbers: set[int]) -> None:
        """These are not given after all."""
        rows = zip(self.numbers, self.rows, strict=True)
        left = [(number, row) for number, row in rows if read_u64(number) not in numbers]
        self.numbers, self.rows, self.joined = [n for n, _ in left], [row for _, row in left], None


def join_frames(lead: bytes, numbers: list[bytes], rows: list[bytes]) -> tuple[list[bytes], int]:
    """The frames of a lane's rows, and how many bytes the rows have together."""
    frames, total_bytes = list[bytes](), 0
    for start in range(0, len(rows), JOBS_FRAME_MAX):
        part, of_part = rows[start : start + JOBS_FRAME_MAX], numbers[start : start + JOBS_FRAME_MAX]
        frame = join_jobs(lead, of_part, part)
        size_bytes = rows_bytes(lead, len(part), frame)
        total_bytes += size_bytes
        if size_bytes <= ROWS_BYTES_MAX:
            frames.append(frame)
            continue
        at = 0
        for count in _counts(map(len, part)):
            frames.append(join_jobs(lead, of_part[at : at + count], part[at : at + count]))
            at += count
    return frames, total_bytes


def frames_of(jobs: list[Job]) -> Iterator[list[Job]]:
    """Jobs in frames that a sender takes: neither too many nor too large."""
    at = 0
    for count in _counts(len(job.row) for job in jobs):
        yield jobs[at : at + count]
        at += count


def _counts(sizes_bytes: Iterator[int]) -> Iterator[int]:
    """How many rows of these sizes go into each frame."""
    count = total_bytes = 0
    for size_bytes in sizes_bytes:
        if count and (count == JOBS_FRAME_MAX or total_bytes + size_bytes > ROWS_BYTES_MAX):
            yield count
            count = total_bytes = 0
        count += 1
        total_bytes += size_bytes
    if count:
        yield count
