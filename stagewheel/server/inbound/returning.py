"""Addresses and ids that leave in our mails and come back in what is answered, bounced or complained about.

    Reply-To     sales+MACdeal=3a7@shop.example           names the item
    return path  bounces+MACMARKdeal=3a7=00welcome@…      names item and rule, and proves the recipient
    Message-ID   <KEY.MACMARKdeal=3a7=00welcome@…>        the same, for what answers or quotes it

Laws: pure. Nobody makes one up: MAC is 60 bits of HMAC-SHA256 over purpose and content, which is plenty where
each guess costs a mail. MARK is 20 bits of a keyed digest of the recipient: a report can only speak of the
address that the mail went to, even if its author has one of our mails. The same action makes the same
addresses at every attempt, and they have no end: people answer after months.

Why not `edge/signing.py`: a local part has 64 octets (RFC 5321) and must survive servers that change its
case, so it is short, lower case, and writes what is common in a key as it is. Where a key is too long for it,
the address goes without, and the Message-ID, which has room, tells alone.
"""

import hmac
import re
from base64 import b32encode
from typing import Final

from msgspec import Struct

REPLY: Final = "mail-reply"
BOUNCE: Final = "mail-bounce"
MESSAGE: Final = "mail-message"
LOCAL_CHARS_MAX: Final = 64
ID_CHARS_MAX: Final = 400  # of what a Message-ID carries besides its key
MAC_CHARS: Final = 12
MARK_CHARS: Final = 4
_ID: Final = re.compile(r"<[0-9a-f]{32}\.([0-9a-z=_-]{1,400})@[^<>\s]{1,255}>")
_ESCAPED: Final = re.compile(r"=([0-9a-f]{2})")
_SAFE: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_-")


class Origin(Struct, frozen=True):
    """The action that a mail of ours came from. `mark` is of its recipient; "" where none is proven."""

    item: str
    rule: str = ""
    mark: str = ""


class Returns:
    """Makes and reads what comes back. `reply_address` and `bounce_address` are "" where not configured."""

    def __init__(self, key: bytes, reply_address: str = "", bounce_address: str = "") -> None:
        self._key, self.reply_address, self.bounce_address = key, reply_address, bounce_address

    def __repr__(self) -> str:
        return f"Returns({self.reply_address!r}, {self.bounce_address!r}, …)"

    # ---- as a mail leaves ----

    def reply_to(self, item: str) -> str:
        """The address of an answer; "" without `reply_address`. A key without room leaves it as it is."""
        if not self.reply_address:
            return ""
        return _tagged(self.reply_address, self._token(REPLY, item)) or self.reply_address

    def return_path(self, item: str, rule: str, recipient: str) -> str:
        """The envelope's sender; "" without `bounce_address`."""
        if not self.bounce_address:
            return ""
        mark = self.mark(recipient)
        return (
            _tagged(self.bounce_address, self._token(BOUNCE, f"{item}\0{rule}", mark))
            or _tagged(self.bounce_address, self._token(BOUNCE, item, mark))
            or self.bounce_address
        )

    def message_id(self, key: str, item: str, rule: str, recipient: str, domain: str) -> str:
        """The Message-ID of the action with this idempotency key."""
        token = self._token(MESSAGE, f"{item}\0{rule}", self.mark(recipient))
        return f"<{key}.{token}@{domain}>" if len(token) <= ID_CHARS_MAX else f"<{key}@{domain}>"

    # ---- as something comes back ----

    def answered(self, detail: str) -> str:
        """The item that the part behind the plus of a mailbox's address names; "" if it names none."""
        found = self._read(REPLY, detail, marked=False)
        return found.item if found is not None else ""

    def bounced(self, detail: str) -> Origin | None:
        """What the part behind the plus of the return path names."""
        return self._read(BOUNCE, detail, marked=True)

    def quoted(self, message_ids: str) -> Origin | None:
        """The action whose Message-ID stands in a header, the last one if there are several."""
        for token in reversed(_ID.findall(message_ids.casefold())):
            found = self._read(MESSAGE, token, marked=True)
            if found is not None:
                return found
        return None

    def mark(self, recipient: str) -> str:
        """What proves an address to be the one that a mail went to."""
        return self._digest(f"recipient\0{recipient.strip().casefold()}", MARK_CHARS)

    def proven(self, origin: Origin, addresses: list[str]) -> str:
        """The one of these addresses that the mail went to; "" if it is none of them."""
        for address in addresses:
            if origin.mark and hmac.compare_digest(self.mark(address), origin.mark):
                return address
        return ""

    def _token(self, purpose: str, content: str, mark: str = "") -> str:
        return self._digest(f"{purpose}\0{mark}\0{content}", MAC_CHARS) + mark + _quoted(content)

    def _read(self, purpose: str, token: str, *, marked: bool) -> Origin | None:
        token = token.casefold()
        if not token.isascii():
            return None
        at = MAC_CHARS + (MARK_CHARS if marked else 0)
        content = _unquoted(token[at:])
        mark = token[MAC_CHARS:at]
        right = self._token(purpose, content, mark)
        if not content or not hmac.compare_digest(right.encode(), token.encode()):
            return None
        item, _, rule = content.partition("\0")
        return Origin(item, rule, mark)

    def _digest(self, content: str, chars: int) -> str:
        data = hmac.digest(self._key, content.encode("utf-8", "surrogatepass"), "sha256")
        return b32encode(data)[:chars].decode("ascii").lower()


def split_address(address: str) -> tuple[str, str]:
    """An address in small letters without what stands behind its plus, and that part as it was written."""
    local, _, domain = address.strip().rpartition("@")
    base, _, detail = local.partition("+")
    return f"{base}@{domain}".casefold(), detail


def _tagged(address: str, token: str) -> str:
    local, _, domain = address.rpartition("@")
    tagged = f"{local}+{token}"
    return f"{tagged}@{domain}" if len(tagged) <= LOCAL_CHARS_MAX else ""


def _quoted(content: str) -> str:
    return "".join(chr(byte) if byte in _SAFE else f"={byte:02x}" for byte in content.encode())


def _unquoted(token: str) -> str:
    data = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), token)
    try:
        return data.encode("latin-1").decode()
    except UnicodeError:
        return ""
