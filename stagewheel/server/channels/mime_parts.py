"""The bodies of a mail as bytes: text, HTML, an invitation, and the files that go along.

    multipart/mixed ─┬─ multipart/alternative ─┬─ text/plain
                     │                         ├─ text/html
                     │                         └─ text/calendar
                     └─ an attachment, …                          only what there is, the rest falls away

Laws: those of `mime.py`. A file's name is written so that every reader gets it back (RFC 2231), and neither
it nor its type can end the header that they stand in.
"""

import binascii
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from stagewheel.server.channels.file_store import File
from stagewheel.server.channels.plain_text import plain_text

LINE_BYTES_MAX: Final = 900  # of a body sent as it is; RFC 5322 allows 998

_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9.+-]*/[a-z0-9][a-z0-9.+-]*")
_WHOLE: Final = ("message/", "multipart/")  # these may not be encoded, so their bytes go as any others
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9 !#$&'()+,;=@^_`{}~.-]{1,50}")


def body(text: str, html: str, calendar: str, files: Sequence[File], key: str) -> bytes:
    """Headers and bytes of everything below the mail's own headers."""
    inner = _alternatives(text, html, calendar, key)
    if not files:
        return inner
    return _joined("mixed", f"=_{key}_mixed", [inner, *map(_attachment, files)])


def _alternatives(text: str, html: str, calendar: str, key: str) -> bytes:
    if html and not text:
        text = plain_text(html)
    parts = [
        _part(one, subtype, key)
        for one, subtype in ((text, "plain"), (html, "html"), (calendar, "calendar; method=REQUEST"))
        if one
    ]
    if len(parts) < 2:
        return parts[0] if parts else _part("", "plain", key)
    return _joined("alternative", f"=_{key}", parts)


def _joined(subtype: str, boundary: str, parts: Sequence[bytes]) -> bytes:
    mark = f"--{boundary}".encode()
    opening = f'Content-Type: multipart/{subtype};\r\n boundary="{boundary}"\r\n\r\n'.encode()
    return opening + b"".join([mark + b"\r\n" + part + b"\r\n" for part in parts]) + mark + b"--\r\n"


def _attachment(file: File) -> bytes:
    view = file.view
    kind = view.type.partition(";")[0].strip().lower()
    if not _TYPE.fullmatch(kind) or kind.startswith(_WHOLE):
        kind = "application/octet-stream"
    disposition = _parameter("filename", view.name)
    head = (
        f"Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: attachment{disposition}\r\n\r\n"
    )
    return head.encode("ascii") + _base64(file.data)


def _parameter(name: str, value: str) -> str:
    """A parameter of a header, each piece of it on a line of its own."""
    value = "".join(one for one in value if one >= " " and one != "\x7f").replace("/", "_").replace("\\", "_")
    if _PLAIN_NAME.fullmatch(value):
        return f';\r\n {name}="{value}"'
    written = "utf-8''" + quote(value, safe="")
    if len(written) <= 60:
        return f";\r\n {name}*={written}"
    pieces = _pieces(written, 55)
    return "".join(f";\r\n {name}*{number}*={piece}" for number, piece in enumerate(pieces))


def _pieces(written: str, length: int) -> list[str]:
    """Percent-encoded text, cut where no escape is."""
    pieces = []
    while written:
        end = length
        while end < len(written) and "%" in written[end - 2 : end]:
            end -= 1
        pieces.append(written[:end])
        written = written[end:]
    return pieces


def _part(text: str, subtype: str, key: str) -> bytes:
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.removesuffix("\n").split("\n")
    data = ("\r\n".join(lines) + "\r\n").encode("utf-8", "replace")
    # What holds a boundary of ours, which is made of the key, is sent in another form: there it can't.
    plain = data.isascii() and "\0" not in text and key not in text
    if plain and (len(data) <= LINE_BYTES_MAX or max(map(len, lines)) <= LINE_BYTES_MAX):
        return b'Content-Type: text/%s; charset="utf-8"\r\nContent-Transfer-Encoding: 7bit\r\n\r\n%s' % (
            subtype.encode(),
            data,
        )
    if _is_mostly_foreign(data):
        name, encoded = b"base64", _base64(data)
    else:
        name, encoded = b"quoted-printable", _quoted(data)
    return b'Content-Type: text/%s; charset="utf-8"\r\nContent-Transfer-Encoding: %s\r\n\r\n%s' % (
        subtype.encode(),
        name,
        encoded,
    )


def _is_mostly_foreign(data: bytes) -> bool:
    """Whether more than a sixth of the bytes is beyond ASCII: from there base64 is the shorter one."""
    return sum(byte > 126 for byte in data[:4096]) * 6 > len(data[:4096])


def _base64(data: bytes) -> bytes:
    lines = [binascii.b2a_base64(data[at : at + 57], newline=False) for at in range(0, len(data), 57)]
    return b"\r\n".join(lines) + b"\r\n"


def _quoted(data: bytes) -> bytes:
    return binascii.b2a_qp(data, istext=True)
