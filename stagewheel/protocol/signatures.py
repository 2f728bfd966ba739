"""How requests that leave are signed, and how who gets one checks it: the one form for webhooks and for the
jobs of HTTP handlers.

    X-Stagewheel-Signature: t=1772438400,v1=5f8a…

`t` is when it was signed (seconds since 1970), `v1` the HMAC-SHA256 in hexadecimal digits of `t`, a dot, and
the body as it came, under a secret that both ends know.

Laws: pure, the moment is passed in. A signature is for one body and one moment: one that is older or newer
than the tolerance is refused, so that a request that somebody kept can't be sent again later; what comes
twice within it has the same `Idempotency-Key`. There may be several `v1`, and several secrets, of which one
has to fit: so a secret can be changed while requests are under way. The comparison takes the same time
wherever two signatures differ. What is unknown in the header is passed over.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from stagewheel.errors import PeerError

SIGNATURE: Final = "X-Stagewheel-Signature"
TOLERANCE_S: Final = 300
HEADER_CHARS_MAX: Final = 2_000


class SignatureWrong(PeerError):
    """The request was not signed with a known secret, or not now; it is to be answered 401 or 403."""


def signature(secret: bytes, body: bytes, now_s: int) -> str:
    """The value of the header."""
    return f"t={now_s},v1={_digest(secret, body, str(now_s))}"


def verify(
    header: str, body: bytes, secrets: Sequence[bytes], now_s: float, tolerance_s: float = TOLERANCE_S
) -> None:
    """Raises `SignatureWrong` unless one of the secrets signed this body within the tolerance."""
    if not header:
        raise SignatureWrong(f"the request has no {SIGNATURE}")
    if len(header) > HEADER_CHARS_MAX:
        raise SignatureWrong("the signature is too long to be one")
    moment, given = "", []
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if name == "t":
            moment = value
        elif name == "v1":
            given.append(value)
    if not (moment.isascii() and moment.isdigit() and len(moment) <= 12 and given):
        raise SignatureWrong("the signature has no moment, or no v1")
    fits = False
    for secret in secrets:
        right = _digest(secret, body, moment).encode()
        for one in given:
            fits |= hmac.compare_digest(right, one.encode("utf-8", "surrogatepass"))
    if not fits:
        raise SignatureWrong("the signature is wrong")
    if abs(now_s - int(moment)) > tolerance_s:
        raise SignatureWrong(f"the signature was not made within {tolerance_s:g} s of now")


def _digest(secret: bytes, body: bytes, moment: str) -> str:
    return hmac.new(secret, f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
