"""The address at which an HTTP handler tells the end of a job (H8): what it holds, and how a request is
signed.

Laws: an address is for one job alone and holds no secret; who has it may end that job, once. A request to a
handler carries `X-Stagewheel-Signature: t=SECONDS,v1=HEX`, the HMAC-SHA256 of `SECONDS.BODY` under the
secret of `[channels.app]`, so that a handler knows who asks, and when.
"""

import hashlib
import hmac
from typing import Final

from msgspec import Struct

CALL_BACK: Final = "a"  # its route
SIGNATURE: Final = "X-Stagewheel-Signature"


class CallBack(Struct, frozen=True, array_like=True):
    """What the address holds."""

    item: str
    number: int


def signature(secret: bytes, body: bytes, now_s: int) -> str:
    """The value of the header."""
    digest = hmac.new(secret, f"{now_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={now_s},v1={digest}"
