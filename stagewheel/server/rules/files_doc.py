"""What documents and QR codes are made of, compiled: the `document` of their plans.

Laws: those of `channels_doc.py`. The number and the id of the file were given by the decision and come with
the row, so every attempt makes the same; links are signed here, in the sender. A picture of a document is a
stored file that its HTML names, `<img src="stored:ID">`.
"""

from typing import Any, Final

from msgspec import Struct

from stagewheel.errors import CallerError
from stagewheel.server.core.plan_actions import Text
from stagewheel.server.core.scope import Scope
from stagewheel.server.limits import FILE_NAME_BYTES_MAX
from stagewheel.server.rules.mistakes import TemplateFailed
from stagewheel.server.rules.tracking import links_of


class DocumentContent(Struct, frozen=True):
    """A document, rendered but for its pictures."""

    file: str
    title: str
    number: str
    template: str
    format: str  # pdf | html
    page: str
    body: str
    link: str = ""


class QrContent(Struct, frozen=True):
    """A QR code: what it holds, and how it is drawn. `url` is where it leads, "" to a page."""

    file: str
    title: str
    link: str
    url: str
    text: str
    scale: int
    border: int
    correction: str


class DocumentDocument(Struct, frozen=True):
    """A10."""

    template: str  # its name, as triggers know it
    format: str
    page: str
    body: Text
    title: Text | None
    link: bool

    def lacks(self, scope: Scope) -> str:
        """Nothing can be missing: what is empty renders as nothing."""
        return ""

    def render(self, scope: Scope) -> DocumentContent:
        """The document. Raises TemplateFailed, LinksMissing."""
        told = scope.document
        file, number = str(told.get("file") or ""), str(told.get("number") or "")
        title = " ".join(self.title(scope).split()) if self.title is not None else ""
        title = title or number or scope.item.title or self.template
        scope.document = {**told, "title": title}
        link = links_of(scope).document(self.template, file) if self.link else ""
        body = self.body(scope)
        return DocumentContent(file, title, number, self.template, self.format, self.page, body, link)


class QrDocument(Struct, frozen=True):
    """A11."""

    url: Text | None
    title: Text | None
    text: Text | None
    scale: int
    border: int
    correction: str

    def lacks(self, scope: Scope) -> str:
        """That an address is one is seen when it is rendered."""
        return ""

    def render(self, scope: Scope) -> QrContent:
        """The code. Raises TemplateFailed, LinksMissing."""
        url = self.url(scope).strip() if self.url is not None else ""
        title = " ".join(self.title(scope).split()) if self.title is not None else ""
        text = self.text(scope).strip() if self.text is not None else ""
        if self.url is not None and not url.lower().startswith(("http://", "https://")):
            raise TemplateFailed("url: expected an address that begins with http:// or https://")
        try:
            link = links_of(scope).qr(url, title, text)
        except CallerError as error:
            raise TemplateFailed(f"the code can't hold so much: {error}") from None
        file = str(scope.document.get("file") or "")
        name = title or scope.item.title or "code"
        return QrContent(file, name, link, url, text, self.scale, self.border, self.correction)


TYPES: Final = {"pdf": "application/pdf", "html": "text/html"}
PNG: Final = "image/png"


def made_detail(content: DocumentContent | QrContent, size: int) -> dict[str, Any]:
    """What is told of a file that was made: `previous.*`, and what a field of type file holds."""
    if isinstance(content, QrContent):
        told = {"file": content.file, "name": _name(content.title, "png"), "type": PNG, "size": size}
        return {**told, "link": content.link}
    name = _name(content.title, content.format)
    told = {"file": content.file, "name": name, "type": TYPES[content.format], "size": size}
    return {**told, "number": content.number, "title": content.title, "link": content.link}


def _name(title: str, ending: str) -> str:
    """A file's name of a title: what no system takes in one is left out, and it is cut at a letter."""
    text = "".join(char for char in title if char.isprintable() and char not in '/\\:*?"<>|')
    text = text.strip(" .").encode()[: FILE_NAME_BYTES_MAX - 10].decode(errors="ignore").strip() or "document"
    return f"{text}.{ending}"
