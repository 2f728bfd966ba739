"""Sentences about documents and QR codes."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from stagewheel.cli.abouts import About
from stagewheel.cli.telling import Line
from stagewheel.protocol import journal as j

KINDS: Final[Mapping[str, str]] = MappingProxyType({"document": "the document", "qr": "the QR code"})


def _numbered(about: About, fact: j.NumberGiven) -> Line:
    return Line("done", f"{fact.rule}: a document gets the number {fact.number}")


def _made(about: About, fact: j.FileMade) -> Line:
    number = f" {fact.number}" if fact.number else ""
    field = f", in the field {fact.field}" if fact.field else ""
    what = KINDS.get(fact.kind, fact.kind)
    return Line("done", f"{fact.rule}: made {what}{number} as the stored file {fact.file}{field}")


SENTENCES: Final[Mapping[type, Callable[[About, Any], Line]]] = MappingProxyType(
    {j.NumberGiven: _numbered, j.FileMade: _made}
)
