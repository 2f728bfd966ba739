"""Who somebody is, as advertising networks want it told: SHA-256 of a value in the form that each of them
prescribes, so that both ends hash the same.

Laws: pure; what can't be an address or a number gives "", and nothing but a hash is ever returned.
"""

import hashlib
from typing import Final

from msgspec import Struct

from stagewheel.server.channels.numbers import normalised

GOOGLE_MAIL: Final = frozenset({"gmail.com", "googlemail.com"})


class Hashed(Struct, frozen=True):
    """One person: hexadecimal hashes, "" where there is none."""

    email: str = ""
    phone: str = ""


def meta_email(address: str) -> str:
    """Trimmed, in small letters."""
    return sha256(address.strip().lower()) if is_address(address) else ""


def meta_phone(number: str, region: str) -> str:
    """Digits alone, with the country's code and without zeros in front."""
    return sha256(normalised(number, region).lstrip("+0"))


def google_email(address: str) -> str:
    """Without any space, in small letters; of Google's own addresses without dots and what follows a plus."""
    if not is_address(address):
        return ""
    name, _, domain = "".join(address.split()).lower().rpartition("@")
    if domain in GOOGLE_MAIL:
        name = name.partition("+")[0].replace(".", "")
    return sha256(f"{name}@{domain}") if name else ""


def google_phone(number: str, region: str) -> str:
    """E.164, with its plus."""
    return sha256(normalised(number, region))


def is_address(text: str) -> bool:
    """Might it be an e-mail address?"""
    name, at, domain = text.strip().rpartition("@")
    return bool(name and at and domain)


def sha256(text: str) -> str:
    """The hash of a value, "" of none."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() if text else ""
