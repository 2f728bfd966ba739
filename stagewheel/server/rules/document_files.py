"""The documents of the actions that make a file: documents and QR codes (A10, A11). `files.py` gives them
their meaning.

Laws: those of `document.py`.
"""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from stagewheel.server.rules.document import Doc, Hours, Name


class NumberDoc(Doc):
    """`{text: "INV-{{ year }}-{{ n }}", digits: 4}`."""

    what: ClassVar[str] = "a number"
    text: str
    digits: Annotated[int, Meta(ge=1, le=12)] = 1


class CreateDocumentDoc(Doc):
    """A10."""

    what: ClassVar[str] = "create_document"
    do: str
    template: str
    format: Literal["pdf", "html"] = "pdf"
    page: Literal["a4", "a5", "letter", "legal"] = "a4"
    number: NumberDoc | str | None = None
    title: str | None = None
    field: Name | None = None
    link: bool = False
    expires: str | None = None
    hours: Hours | None = None


class CreateQrDoc(Doc):
    """A11: it leads to `url`, or to a small page with `title` and `text`."""

    what: ClassVar[str] = "create_qr"
    do: str
    url: str | None = None
    title: str | None = None
    text: str | None = None
    field: Name | None = None
    scale: Annotated[int, Meta(ge=1, le=40)] = 8
    border: Annotated[int, Meta(ge=0, le=20)] = 4
    correction: Literal["low", "medium", "quartile", "high"] = "medium"
    expires: str | None = None
    hours: Hours | None = None
