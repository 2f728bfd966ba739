"""DKIM signatures (RFC 6376): a header by which a receiver knows that a mail is of the sender's domain.

Laws: a key comes from a file or the environment and is read when the channel is opened; it stands in no log
and no error. The domain of a mail's sender decides which key signs it, else that of a domain above it; a mail
of another domain goes out without a signature of ours, since one that does not fit its sender counts for
nothing. Headers and body are signed in their relaxed form, From, Subject, To, Date and those of RFC 8058
among them, and nobody can add a second From, To or Subject.

The signature is the one part of a mail that differs between two attempts: it tells when it was made. It costs
some milliseconds of processor time a mail (RSA in Python), where it is set at all.
"""

import os
from collections.abc import Mapping
from typing import Final

import dkim  # type: ignore[import-untyped]
from dkim import crypto
from msgspec import Struct

from stagewheel.errors import OperatorError
from stagewheel.server.channels.email import DkimSettings

SIGNED: Final = (
    *("from", "to", "subject", "date", "message-id", "reply-to", "mime-version", "content-type"),
    *("content-transfer-encoding", "list-unsubscribe", "list-unsubscribe-post", "from", "to", "subject"),
)
KEY_BITS_MIN: Final = 1024


class Signer(Struct, frozen=True):
    """A key that was read."""

    domain: str
    selector: str
    key: bytes
    identity: str

    def signed(self, data: bytes) -> bytes:
        """The mail with its signature in front."""
        identity = self.identity.encode() or None
        header: bytes = dkim.sign(
            data,
            self.selector.encode(),
            self.domain.encode(),
            self.key,
            identity=identity,
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=[name.encode() for name in _present(data)],
        )
        return header + data

    def __repr__(self) -> str:
        return f"Signer({self.domain!r}, {self.selector!r})"


class Signers:
    """The keys by domain."""

    def __init__(self, settings: Mapping[str, DkimSettings]) -> None:
        self._by_domain = {domain.lower(): _opened(domain.lower(), one) for domain, one in settings.items()}

    def of(self, address: str) -> Signer | None:
        """Who signs for a sender, if anybody does."""
        domain = address.rpartition("@")[2].lower()
        while domain:
            if (signer := self._by_domain.get(domain)) is not None:
                return signer
            domain = domain.partition(".")[2]
        return None


def _present(data: bytes) -> list[str]:
    """The headers to sign: those that are there, and once more those of which no second may be added."""
    head = data[: data.index(b"\r\n\r\n")].split(b"\r\n")
    names = [line.partition(b":")[0].decode().lower() for line in head if line[:1] not in (b" ", b"\t")]
    return [name for number, name in enumerate(SIGNED) if name in names or name in SIGNED[:number]]


def _opened(domain: str, settings: DkimSettings) -> Signer:
    where = f'channels.email.dkim."{domain}"'
    if not settings.selector or not domain.isascii() or "." not in domain:
        raise OperatorError(f"{where}: a domain such as example.com and a selector are needed")
    if settings.identity and not settings.identity.endswith(f"@{domain}"):
        raise OperatorError(f"{where}: identity has to end with @{domain}")
    if bool(settings.key_file) == bool(settings.key_env):
        raise OperatorError(f"{where}: name the private key by one of key_file and key_env")
    key = _read(where, settings)
    try:
        bits = crypto.parse_pem_private_key(key)["modulus"].bit_length()
    except (crypto.UnparsableKeyError, KeyError, TypeError, ValueError):
        raise OperatorError(f"{where}: the key is no private RSA key in PEM form") from None
    if bits < KEY_BITS_MIN:
        raise OperatorError(f"{where}: a key of {bits} bits is too short; make one of 2048")
    return Signer(domain, settings.selector, key, settings.identity)


def _read(where: str, settings: DkimSettings) -> bytes:
    if settings.key_env:
        held = os.environ.get(settings.key_env)
        if held is None:
            raise OperatorError(f"{where}: the environment variable {settings.key_env} (key_env) is not set")
        return held.replace("\\n", "\n").encode()
    try:
        with open(settings.key_file, "rb") as file:
            return file.read(1 << 16)
    except OSError as error:
        raise OperatorError(f"{where}: cannot read key_file {settings.key_file}: {error.strerror}") from None
