"""Reports by columns say what they say one by one, and no detail harms its neighbours."""

import pytest
from msgspec import Raw

from stagewheel.protocol.codec import Kind, all_reports, decode_payload, encode_payload
from stagewheel.protocol.errors import Malformed
from stagewheel.protocol.messages import Delivered, Report, Reports

GOOD = encode_payload({"message_id": "<1@example.com>"})


def test_columns_are_the_reports_that_they_stand_for_in_their_order() -> None:
    refused = Report("email", 9, "refused", "550 no")
    columns = [Delivered("sms/main", [4, 2], [Raw(b"\x80"), Raw(GOOD)]), Delivered("email", [], [])]
    message = decode_payload(Kind.REPORTS, encode_payload(Reports(1, [refused], columns)))
    assert isinstance(message, Reports)
    assert all_reports(message) == [
        refused,
        Report("sms/main", 4, "delivered"),
        Report("sms/main", 2, "delivered", detail={"message_id": "<1@example.com>"}),
    ]


@pytest.mark.parametrize(
    "detail",
    [
        pytest.param(b"\xc0", id="nothing"),
        pytest.param(b"\x91\x01", id="a list"),
        pytest.param(b"\xa1x", id="a text"),
        pytest.param(b"\x81\x01\x02", id="a name that is a number"),
        pytest.param(b"\x81\xa1x\xa1\xff", id="a text that is no utf-8"),
    ],
)
def test_a_detail_that_is_no_map_says_nothing_and_its_job_was_delivered(detail: bytes) -> None:
    payload = encode_payload((1, [], [("email", [1, 2], [Raw(detail), Raw(GOOD)])]))
    message = decode_payload(Kind.REPORTS, payload)
    assert isinstance(message, Reports)
    bad, good = all_reports(message)
    assert (bad.number, bad.outcome, bad.detail) == (1, "delivered", {})
    assert (good.number, good.detail) == (2, {"message_id": "<1@example.com>"})


@pytest.mark.parametrize(
    ("numbers", "details"),
    [
        pytest.param([1, 2], [{}], id="a detail is missing"),
        pytest.param([1], [{}, {}], id="a number is missing"),
        pytest.param([-1], [{}], id="a number below zero"),
        pytest.param(["1"], [{}], id="a text for a number"),
        pytest.param([1], {}, id="a map of details"),
    ],
)
def test_columns_that_do_not_fit_are_malformed(numbers: object, details: object) -> None:
    with pytest.raises(Malformed, match=r"\$\[2\]\[0\]"):
        decode_payload(Kind.REPORTS, encode_payload((1, [], [("email", numbers, details)])))


def test_a_report_on_a_number_below_zero_is_malformed() -> None:
    with pytest.raises(Malformed, match=r"\$\[1\]\[0\]\[1\]"):
        decode_payload(Kind.REPORTS, encode_payload(Reports(1, [Report("app/mark", -1, "delivered")])))
