"""Deletions and aliases, as the journal tells of them: of what was erased it tells that it was, no more."""

from stagewheel.protocol import journal as j
from stagewheel.protocol.messages import AliasItem, DeleteItem


def delete_item(record: j.Record) -> DeleteItem:
    """With its personal data, if that went."""
    erased = next((one for one in record.did if isinstance(one, j.Erased)), None)
    return DeleteItem(record.item, erased.by if erased is not None else 0, erase=erased is not None)


def alias_item(record: j.Record) -> AliasItem | None:
    """None where the alias itself was erased."""
    [bound] = [one for one in record.did if isinstance(one, j.AliasBound)]
    return AliasItem(record.item, bound.by, alias=bound.alias) if bound.alias else None
