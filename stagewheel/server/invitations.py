"""Links that lead a client into a chat with a bot, and what stands in them (H5).

    https://t.me/shop_bot?start=AAAAAAAAAZmDk…       pressing START sends the bot "/start AAAAAAAAAZmDk…"

Laws: the parameter takes 64 characters of A–Z, a–z, 0–9, _ and -, too few for an item's key. So it names the
invitation by its number, which the shard knows (`actors/chats.py`), and is signed, so that nobody comes to an
item by trying numbers. It is made in a sender process with the key of the edge, and read there; the same
action has the same link at every attempt. A decision never sees the key.
"""

import base64
import hmac
from typing import Final
from urllib.parse import quote

PURPOSE: Final = b"invitation\0"
NUMBER_BYTES: Final = 8
MAC_BYTES: Final = 24
TOKEN_CHARS: Final = 43  # of 32 bytes as base64url; Telegram takes 64
LINK: Final = "https://t.me/{bot}?start={token}"


def token(key: bytes, number: int) -> str:
    """What the link of an invitation carries."""
    content = number.to_bytes(NUMBER_BYTES)
    return base64.urlsafe_b64encode(content + _mac(key, content)).rstrip(b"=").decode()


def number_of(key: bytes, text: str) -> int:
    """The invitation of a token; 0 if it is none of ours."""
    if len(text) != TOKEN_CHARS or not key or not text.isascii():
        return 0
    try:
        raw = base64.b64decode(text + "=", altchars=b"-_", validate=True)
    except ValueError:
        return 0
    content = raw[:NUMBER_BYTES]
    return int.from_bytes(content) if hmac.compare_digest(raw[NUMBER_BYTES:], _mac(key, content)) else 0


def link(key: bytes, bot: str, number: int) -> str:
    """The whole link."""
    return LINK.format(bot=quote(bot, safe=""), token=token(key, number))


def _mac(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, PURPOSE + content, "sha256")[:MAC_BYTES]
