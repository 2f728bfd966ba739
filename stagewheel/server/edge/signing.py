"""Values that leave through a browser and come back: signed, so that nobody makes one up, and with an end.

Laws: pure, the moment is passed in. A value is signed for one purpose (`form:brief`, `visit`), and none of
another purpose is taken for it. The comparison takes the same time wherever two signatures differ, and
nothing of a value is read before its signature is known to be right. Who reads a bad one learns only that it
is bad or that its time is over.

The form: base64url without padding of `EXPIRES_S ":" VALUE` in utf-8 (seconds since 1970; 0: no end), a dot,
and base64url of HMAC-SHA256 with the key over `PURPOSE "\\0" EXPIRES_S ":" VALUE`.
"""

import base64
import binascii
import hashlib
import hmac

from stagewheel.errors import CallerError
from stagewheel.server.limits import EDGE_SIGNED_CHARS_MAX


class BadSignature(CallerError):
    """Not a value that was signed with this key for this purpose."""


class SignatureEnded(CallerError):
    """It was right once; its time is over."""


def sign(key: bytes, purpose: str, value: str, expires_s: int) -> str:
    """The signed value. Raises CallerError for one that would be too long to be read."""
    content = f"{expires_s}:{value}".encode()
    signed = f"{_text(content)}.{_text(_mac(key, purpose, content))}"
    if len(signed) > EDGE_SIGNED_CHARS_MAX:
        raise CallerError(f"a signed value has at most {EDGE_SIGNED_CHARS_MAX} characters; this has more")
    return signed


def read_signed(key: bytes, purpose: str, signed: str, now_s: float) -> str:
    """The value. Raises `BadSignature`, `SignatureEnded`."""
    if len(signed) > EDGE_SIGNED_CHARS_MAX:
        raise BadSignature("the signed value is too long")
    content = _bytes(signed.partition(".")[0])
    # The whole text is compared: base64 may write the same bytes in several ways, and one of them was signed.
    right = f"{_text(content)}.{_text(_mac(key, purpose, content))}"
    if not hmac.compare_digest(right.encode(), signed.encode("utf-8", "surrogatepass")):
        raise BadSignature("the signature is wrong")
    expires, _, value = content.decode().partition(":")
    if 0 < int(expires) < now_s:
        raise SignatureEnded("the time of the signed value is over")
    return value


def same_secret(given: str, right: bytes) -> bool:
    """Are they the same? In a time that tells neither where they differ nor how long the right one is."""
    return hmac.compare_digest(
        hashlib.sha256(given.encode("utf-8", "surrogatepass")).digest(), hashlib.sha256(right).digest()
    )


def _mac(key: bytes, purpose: str, content: bytes) -> bytes:
    return hmac.digest(key, purpose.encode() + b"\0" + content, "sha256")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadSignature("the signed value is not written as one") from None
