"""The form of signatures, from the receiver's side (H6, H8)."""

import hashlib
import hmac

import pytest

from stagewheel.client.signatures import SignatureWrong, signature, verify

SECRET, BODY, NOW = "a secret that both ends know", b'{"deal": "deal:1"}', 1_772_438_400


def test_the_form_is_the_one_that_the_page_tells() -> None:
    """So that a receiver in any language can check it."""
    signed = hmac.new(SECRET.encode(), b"1772438400." + BODY, hashlib.sha256).hexdigest()
    assert signature(SECRET.encode(), BODY, NOW) == f"t=1772438400,v1={signed}"
    verify(f"t=1772438400,v1={signed}", BODY, SECRET, now_s=NOW)
    verify(f"v1={signed}, t=1772438400, v2=later", BODY, SECRET, now_s=NOW + 299)
    verify(f"t=1772438400,v1={'0' * 64},v1={signed}", BODY, SECRET, now_s=NOW - 299)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("", "has no X-Stagewheel-Signature"),
        ("t=1772438400", "no v1"),
        ("v1=00", "no moment"),
        ("t=soon,v1=00", "no moment"),
        ("t=٣,v1=00", "no moment"),
        ("t=1772438400,v1=", "is wrong"),
        ("t=1772438400,v1=\ud800", "is wrong"),
        ("t=1772438400," + "v1=0," * 1_000, "too long"),
    ],
)
def test_what_is_no_signature_is_refused(header: str, said: str) -> None:
    with pytest.raises(SignatureWrong, match=said):
        verify(header, BODY, SECRET, now_s=NOW)


@pytest.mark.parametrize("late_s", [-301, 301, 86_400])
def test_a_request_that_somebody_kept_cannot_be_sent_again_later(late_s: int) -> None:
    header = signature(SECRET.encode(), BODY, NOW)
    with pytest.raises(SignatureWrong, match="within 300 s"):
        verify(header, BODY, SECRET, now_s=NOW + late_s)
    verify(header, BODY, SECRET, now_s=NOW + late_s, tolerance_s=90_000)


def test_an_empty_secret_is_a_mistake_of_the_receiver() -> None:
    header = signature(b"", BODY, NOW)
    for secrets in ((), ("",), (SECRET, b"")):
        with pytest.raises(ValueError, match="at least one secret"):
            verify(header, BODY, *secrets, now_s=NOW)
