"""The channel `document`: it makes the file of a document, HTML or PDF, and stores it (A10).

Laws: it is done when the file is stored; under the id that the decision gave, so doing it twice is doing it
once. A picture `<img src="stored:ID">` is a stored file of the item's server, and becomes part of the
document; PNG, JPEG and GIF only. Pages, bytes, pictures and time are bounded.
"""

import base64
import re
from html import escape, unescape
from typing import Final

from stagewheel.errors import OperatorError
from stagewheel.server.channels.attachments import fetch
from stagewheel.server.channels.base import (
    Channel,
    Delivered,
    Delivery,
    Outcome,
    PoolSettings,
    PoolSize,
    RefusedForGood,
    Retry,
    Seconds,
)
from stagewheel.server.channels.file_store import FilesAway, NotStored
from stagewheel.server.limits import MADE_BYTES_MAX, MADE_PICTURES_MAX
from stagewheel.server.links import Links
from stagewheel.server.rules.attachments import Attached
from stagewheel.server.rules.files_doc import DocumentContent, QrContent, made_detail

STORED: Final = re.compile(r"""(<img\b[^>]*?\ssrc\s*=\s*)("stored:[^"]*"|'stored:[^']*')""", re.IGNORECASE)
PREFIX: Final = "stored:"
PICTURES: Final = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}
HEAD: Final = '<!doctype html><html><head><meta charset="utf-8"><title>{}</title></head><body>\n'


class DocumentSettings(PoolSettings, frozen=True, kw_only=True):
    """[channels.document]. Fonts are TrueType files, for PDFs with letters beyond western Europe's."""

    pool_size: PoolSize = 2  # processes that make PDFs
    breaker_failures: int = 0
    render_s: Seconds = 20.0  # of one document
    font: str = ""
    font_bold: str = ""
    font_italic: str = ""
    font_bold_italic: str = ""

    @property
    def pool(self) -> PoolSettings:
        """Its own."""
        return self

    @property
    def fonts(self) -> dict[str, str]:
        """By style, as the library calls it."""
        named = {"": self.font, "B": self.font_bold, "I": self.font_italic, "BI": self.font_bold_italic}
        return {style: path for style, path in named.items() if path}

    def check(self) -> None:
        """Raises OperatorError for a font that can't be read."""
        if self.fonts and not self.font:
            raise OperatorError("channels.document: a bold or italic font needs 'font', the upright one")
        for path in self.fonts.values():
            try:
                with open(path, "rb"):
                    pass
            except OSError as error:
                raise OperatorError(
                    f"channels.document: the font {path} can't be read: {error.strerror}"
                ) from None

    def open(self, store_id: str, links: Links | None = None) -> Channel:
        """The channel; it starts no process yet."""
        self.check()
        return DocumentChannel(self)


class DocumentChannel:
    """Documents."""

    def __init__(self, settings: DocumentSettings) -> None:
        from stagewheel.server.channels.press import Press  # only a process that sends needs it

        self._fonts = settings.fonts
        self._press = Press(settings.render_s)

    def group(self, content: DocumentContent) -> str:
        """None: they go to nobody."""
        return ""

    async def deliver(self, content: DocumentContent, delivery: Delivery) -> Outcome:
        """Make it and store it."""
        pictures = await _pictures(content.body, delivery)
        if isinstance(pictures, RefusedForGood | Retry):
            return pictures
        if content.format == "html":
            data = _whole(content, pictures).encode()
        else:
            made = await self._pdf(content, delivery, pictures)
            if not isinstance(made, bytes):
                return made
            data = made
        if len(data) > MADE_BYTES_MAX:
            return RefusedForGood(f"the document has more than {MADE_BYTES_MAX} bytes")
        return await store(content, data, delivery)

    async def close_sender(self, sender: int) -> None:
        """End its process."""
        await self._press.close_sender(sender)

    async def aclose(self) -> None:
        """End all processes."""
        await self._press.aclose()

    async def _pdf(
        self, content: DocumentContent, delivery: Delivery, pictures: dict[str, bytes]
    ) -> bytes | RefusedForGood | Retry:
        from stagewheel.server.channels.press import Broken, PdfJob

        by_source = {PREFIX + file: data for file, data in pictures.items()}
        job = PdfJob(content.body, content.title, content.page, delivery.at_ms, by_source, self._fonts)
        try:
            made = await self._press.make(delivery.sender, job)
        except Broken:
            return Retry("the process that makes PDFs died", provider=True)
        return made if isinstance(made, bytes) else RefusedForGood(made)


async def store(content: DocumentContent | QrContent, data: bytes, delivery: Delivery) -> Outcome:
    """Keep what was made, under the id that the decision gave."""
    if delivery.files is None:
        return RefusedForGood("this sender has no way to stored files")
    told = made_detail(content, len(data))
    try:
        view = await delivery.files.put(data, told["name"], file=content.file, type=told["type"])
    except FilesAway:
        return Retry("the file could not be stored in time")
    except NotStored as error:
        return RefusedForGood(f"the file was not stored: {error}")
    return Delivered({**told, "size": view.size})


async def _pictures(html: str, delivery: Delivery) -> dict[str, bytes] | RefusedForGood | Retry:
    """The stored files that the document shows, by id."""
    wanted = list(dict.fromkeys(_id(match[2]) for match in STORED.finditer(html)))
    if len(wanted) > MADE_PICTURES_MAX:
        return RefusedForGood(f"a document has at most {MADE_PICTURES_MAX} pictures")
    found = await fetch([Attached(one) for one in wanted], delivery.files, MADE_BYTES_MAX)
    if not isinstance(found, list):
        return found
    for one in found:
        if not _type(one.data):
            return RefusedForGood(f"the stored file {one.view.file} is no PNG, JPEG or GIF")
    return {one.view.file: one.data for one in found}


def _whole(content: DocumentContent, pictures: dict[str, bytes]) -> str:
    """The HTML with its pictures in it, as a whole page."""

    def shown(match: re.Match[str]) -> str:
        data = pictures[_id(match[2])]
        return f'{match[1]}"data:{_type(data)};base64,{base64.b64encode(data).decode()}"'

    body = STORED.sub(shown, content.body)
    if re.match(r"\s*(<!doctype|<html)", body, re.IGNORECASE):
        return body
    return f"{HEAD.format(escape(content.title))}{body}\n</body></html>\n"


def _id(quoted: str) -> str:
    return unescape(quoted[1:-1]).removeprefix(PREFIX)


def _type(data: bytes) -> str:
    return next((kind for lead, kind in PICTURES.items() if data.startswith(lead)), "")
