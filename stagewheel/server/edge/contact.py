"""The key of the contact whom an e-mail address or a phone number belongs to, so that all that it does is
one person's.

Laws: pure. Case and spaces around it do not matter; an address that is none has no key.
"""

import hashlib
import re
from typing import Final

from stagewheel.server.core.limits import ITEM_KEY_BYTES_MAX

_NUMBER: Final = re.compile(r"\+[1-9][0-9]{4,14}")
_ADDRESS: Final = re.compile(r"[^@\s,;<>\"]{1,64}@[^@\s,;<>\"]{1,253}")
KEY_BYTES_MAX: Final = ITEM_KEY_BYTES_MAX - 60  # what is made for a contact has its key within its own


def contact_key(address: str) -> str:
    """`contact:ada@example.com`, or "" if it is no e-mail address."""
    address = address.strip().casefold()
    if not _ADDRESS.fullmatch(address):
        return ""
    key = f"contact:{address}"
    if len(key.encode()) > KEY_BYTES_MAX:
        return f"contact:{hashlib.blake2b(address.encode(), digest_size=16).hexdigest()}"
    return key


def number_key(number: str) -> str:
    """`contact:+390655500101`, or "" if it is no number with the code of its country."""
    return f"contact:{number}" if _NUMBER.fullmatch(number) else ""
