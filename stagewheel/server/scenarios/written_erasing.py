"""Steps of scenarios about other names of an item, and about the removal of personal data."""

from typing import ClassVar

from stagewheel.protocol.messages import AliasItem, DeleteItem, EraseClient
from stagewheel.server.rules.document import Doc


class AliasDoc(Doc):
    """`alias: {item: deal:1, alias: crm-17}`."""

    what: ClassVar[str] = "alias"
    item: str
    alias: str
    by: int = 0


class DeleteDoc(Doc):
    """`delete: deal:1`; with `erase: true` its personal data goes as well."""

    what: ClassVar[str] = "delete"
    item: str
    by: int = 0
    dedupe_key: str = ""
    erase: bool = False


class EraseClientDoc(Doc):
    """`erase_client: contact:17`: the contact or company, and all its items."""

    what: ClassVar[str] = "erase_client"
    item: str
    by: int = 0


def alias(doc: AliasDoc) -> AliasItem:
    """The command."""
    return AliasItem(doc.item, doc.by, alias=doc.alias)


def delete(doc: DeleteDoc) -> DeleteItem:
    """The command."""
    return DeleteItem(doc.item, doc.by, dedupe_key=doc.dedupe_key, erase=doc.erase)


def erase_client(doc: EraseClientDoc) -> EraseClient:
    """The command."""
    return EraseClient(doc.item, doc.by)
