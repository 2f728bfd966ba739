"""For whoever receives our requests: is this one signed by a server that knows the secret?

    from stagewheel.client.signatures import SIGNATURE, SignatureWrong, verify

    try:
        verify(request.headers.get(SIGNATURE, ""), request.body, secret)
    except SignatureWrong:
        return 403

The form stands in `stagewheel.protocol.signatures`.
"""

import time

from stagewheel.protocol import signatures
from stagewheel.protocol.signatures import SIGNATURE, TOLERANCE_S, SignatureWrong, signature

__all__ = ["SIGNATURE", "TOLERANCE_S", "SignatureWrong", "signature", "verify"]


def verify(
    header: str,
    body: bytes,
    *secrets: bytes | str,
    tolerance_s: float = TOLERANCE_S,
    now_s: float | None = None,
) -> None:
    """Raises `SignatureWrong` unless one of the secrets signed `body`, the bytes as they came, within
    `tolerance_s` of now. Several secrets: the old one and the new, while it is being changed.
    """
    known = [secret.encode() if isinstance(secret, str) else secret for secret in secrets]
    if not known or not all(known):
        raise ValueError("verify needs at least one secret, and none may be empty")
    signatures.verify(header, body, known, time.time() if now_s is None else now_s, tolerance_s)
