"""Attachments of a message, compiled: stored files by id, and what file fields of the item name.

Laws: an empty field attaches nothing (7.2) unless it is `required`; then the action fails at once, with that
reason (7.3). What a field holds is of the moment of the decision; the bytes of a stored file are those that
stand under its id when the message leaves (docs/files.md).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from msgspec import Struct, field

from stagewheel.protocol.files import file_id
from stagewheel.server.core.scope import Scope
from stagewheel.server.limits import ATTACHMENTS_MAX
from stagewheel.server.rules.document import Doc, Name
from stagewheel.server.rules.mistakes import nearest

if TYPE_CHECKING:  # channels know attachments too, and whoever reads their settings needs no compiler
    from stagewheel.server.rules.where import Where

FILE: Final = "file"


class AttachmentDoc(Doc):
    """A stored file, or those that a field of the item holds."""

    what: ClassVar[str] = "an attachment"
    of: Name | None = field(name="field", default=None)
    file: str | None = None
    required: bool = False


class Attached(Struct, frozen=True):
    """A stored file that a message takes along; `name` "" is the file's own."""

    file: str
    name: str = ""


class Attachments(Struct, frozen=True):
    """What a message takes along, in order: ("file", id) or ("field", name), each with whether it must be."""

    parts: tuple[tuple[str, str, bool], ...] = ()

    def of(self, scope: Scope) -> tuple[Attached, ...]:
        """Those of this item, each once."""
        found = [one for kind, name, _ in self.parts for one in _values(kind, name, scope)]
        return tuple(dict.fromkeys(found))

    def lacks(self, scope: Scope) -> str:
        """Why it can't be sent, or ""."""
        for kind, name, required in self.parts:
            held = _values(kind, name, scope)
            if required and not held:
                return f"the field {name} holds no file"
            if any(not one.file for one in held):
                return f"the field {name} holds a file that is not stored"
        count = len(self.of(scope))
        return "" if count <= ATTACHMENTS_MAX else f"{count} attachments; a message takes {ATTACHMENTS_MAX}"


NOTHING_ATTACHED: Final = Attachments()


def compile_attachments(
    docs: Sequence[AttachmentDoc], where: "Where", key: str = "attachments"
) -> Attachments:
    """What a list of attachments means; stored files are noted for the version."""
    fields = where.names.entity.fields
    parts: list[tuple[str, str, bool]] = []
    for number, doc in enumerate(docs):
        place = where.place / key / number
        if (doc.of is None) == (doc.file is None):
            where.work.log.mistake(place, "an attachment is {field: …} or {file: …}, one of them")
        elif doc.file is not None:
            if not doc.file or "{{" in doc.file:
                where.work.log.mistake(place / "file", "a stored file is named by its id, without a template")
            where.work.files.add(doc.file)
            parts.append(("file", doc.file, True))
        else:
            name = doc.of or ""
            declared = fields.get(name)
            if declared is None:
                entity = where.names.entity.id
                complaint = f"unknown field '{name}' of {entity}{nearest(name, fields)}"
                where.work.log.mistake(place / "field", complaint)
            elif declared.type != FILE:
                where.work.log.mistake(place / "field", f"'{name}' is {declared.type}, not a file")
            parts.append(("field", name, doc.required))
    return Attachments(tuple(parts))


def _values(kind: str, name: str, scope: Scope) -> list[Attached]:
    if kind == "file":
        return [Attached(name)]
    held: Any = scope.fields.get(name)
    values = held if isinstance(held, list) else [held]
    return [Attached(file_id(value), _name(value)) for value in values if value not in (None, "")]


def _name(value: Any) -> str:
    name = value.get("name") if isinstance(value, dict) else None
    return name if isinstance(name, str) else ""
