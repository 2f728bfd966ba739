"""Frames of jobs joined of bytes are the frames that msgspec encodes."""

import pytest
from msgspec import Raw

from stagewheel.protocol.codec import Kind, decode_payload, encode_payload
from stagewheel.protocol.job_bytes import join_jobs, lead_of, rows_bytes
from stagewheel.protocol.messages import Job, Jobs

WIDE = 1 << 32  # from here on msgspec, too, gives a number eight bytes
LONG = "sms/" + "provider." * 9  # a name that has its length in a byte of its own


def row(number: int) -> bytes:
    return encode_payload(["deal:1", number, {"text": "\u00c3" * (number % 50)}, number % 3 == 0])


def joined(lane: str, numbers: list[int], rows: list[bytes]) -> bytes:
    return join_jobs(lead_of(lane), [number.to_bytes(8, "big") for number in numbers], rows)


@pytest.mark.parametrize("lane", ["email", LONG])
@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 256])
def test_jobs_of_wide_numbers_have_the_bytes_of_their_structs(lane: str, count: int) -> None:
    numbers = [WIDE + 3 * n for n in range(count)]
    rows = [row(number) for number in numbers]
    jobs = Jobs([Job(lane, number, Raw(one)) for number, one in zip(numbers, rows, strict=True)])
    payload = joined(lane, numbers, rows)
    assert payload == encode_payload(jobs)
    assert rows_bytes(lead_of(lane), count, payload) == sum(map(len, rows))


@pytest.mark.parametrize("number", [0, 1, 127, 128, 255, 256, 65_535, 65_536, WIDE - 1, (1 << 64) - 1])
def test_jobs_of_any_number_decode_to_their_structs(number: int) -> None:
    jobs = decode_payload(Kind.JOBS, joined("email", [number], [row(number)]))
    assert isinstance(jobs, Jobs)
    [job] = jobs.jobs
    assert (job.channel, job.number, bytes(job.row), job.handler) == ("email", number, row(number), None)
