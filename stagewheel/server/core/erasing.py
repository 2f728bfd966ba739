"""Aliases of keys, and the decision that personal data goes (semantics 7.5, 7.6).

Laws: a decision knows its own item and no other row, so it only says that all goes, and what it knows of
what is to be looked for: files, and the words that an answer may repeat. The rest is found and removed behind
it, slice by slice (`actors/erasing.py`). What stays, here, are the facts of the erasing and the tombstone;
neither holds anything of a person. A contact or company tells its items before it goes: each erases itself.
"""

from typing import Any, Final

from msgspec.structs import replace

from stagewheel.protocol.journal import AliasBound, Did, Erased, ErasureEnded, Record
from stagewheel.protocol.messages import (
    AliasItem,
    Applied,
    DeleteItem,
    EraseClient,
    Failed,
    Result,
)
from stagewheel.server.core.between import ErasedWithClient
from stagewheel.server.core.burial import end_item
from stagewheel.server.core.client_desk import Desk
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import BindAlias, Decision, Effect, EraseItem
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.inbox import ErasureFinished
from stagewheel.server.core.item import Tombstone, encode_tombstone
from stagewheel.server.core.limits import ITEM_KEY_BYTES_MAX
from stagewheel.server.core.words import words_of

USE_ERASE_CLIENT: Final = Failed("bad_value", "the key is that of a contact or company: use erase_client")
USE_DELETE_ITEM: Final = Failed("bad_value", "the key is that of an item: use delete_item with erase")

StoneMessage = DeleteItem | EraseClient | ErasureFinished
OF_STONES: Final = (DeleteItem, EraseClient, ErasureFinished)

# ---------------------------------------------------------------- aliases


def bind_alias(d: Deciding, m: AliasItem) -> Result:
    """An item gets another name."""
    answer = _bound(d.item.key, m, d.facts)
    if answer is None:
        d.did.append(AliasBound(m.alias, m.by))
        d.effects.append(BindAlias(m.alias))
    return answer if isinstance(answer, Failed) else Applied(d.item.entry)


def alias_of_client(desk: Desk, m: AliasItem) -> Result:
    """A contact or company gets another name."""
    answer = _bound(desk.row.key, m, desk.facts)
    if answer is None:
        desk.did.append(AliasBound(m.alias, m.by))
        desk.effects.append(BindAlias(m.alias))
    return answer or Applied()


def _bound(key: str, m: AliasItem, facts: Facts) -> Result | None:
    """Why it can't be bound, or that it is already; None: it is free."""
    if not 0 < len(m.alias.encode()) <= ITEM_KEY_BYTES_MAX or m.alias[0] == "\0":
        why = f"an alias has 1 to {ITEM_KEY_BYTES_MAX} bytes and does not begin with a zero byte"
        return Failed("bad_value", why)
    if facts.alias_of == key and m.alias != key:
        return Applied()
    if facts.alias_of or m.alias == key:
        owner = facts.alias_of or key
        what = "is a key itself" if owner == m.alias else f"names {owner!r} already"
        return Failed("alias_taken", f"{m.alias!r} {what}")
    return None


# ---------------------------------------------------------------- what goes


def delete(d: Deciding, m: DeleteItem) -> Result:
    """By command."""
    if m.erase:
        erase_item(d, "", m.by)
    else:
        end_item(d, "")
    return Applied(d.item.entry)


def erase_item(d: Deciding, rule: str, by: int, *, client: bool = False) -> None:
    """End the item, and let nothing stay of it but a tombstone."""
    item = d.item
    more = item.more
    rare: list[Any] = []
    if more is not None:
        rare = [more.trigger, more.was, more.company, more.products, more.chats, more.activities]
        rare += [[one.vars, one.trigger] for one in more.instances]
    words, files = words_of([item.title, item.fields, item.client, rare])
    end_item(d, rule)
    d.did.append(Erased(rule, by, client))
    d.effects.append(EraseItem(by, words, files))
    d.erased = True


def erase_with_client(d: Deciding, m: ErasedWithClient) -> Result:
    """A client of the item is erased; an item that names another one by now stays."""
    company = d.more.company
    named = [one.key for one in (d.item.client, company) if one is not None]
    if m.key in named:
        erase_item(d, "", m.by, client=True)
    return Applied(d.item.entry)


# ---------------------------------------------------------------- the end


def erasure_ended(d: Deciding, m: ErasureFinished) -> Result:
    """The key was created again meanwhile."""
    d.did.append(ErasureEnded(m.records, m.rows, m.since_ms))
    return Applied(d.item.entry)


def erasure_ended_of_client(desk: Desk, m: ErasureFinished) -> Result:
    """Likewise."""
    desk.did.append(ErasureEnded(m.records, m.rows, m.since_ms))
    return Applied()


def decide_stone(stone: Tombstone, m: StoneMessage, facts: Facts, now_ms: int) -> Decision | None:
    """A message about the erasing of what is there no more; None: it is another deletion."""
    effects: list[Effect] = []
    did: Did
    if isinstance(m, ErasureFinished):
        did = ErasureEnded(m.records, m.rows, m.since_ms)
    elif isinstance(m, DeleteItem) and not m.erase:
        return None
    elif stone.erased_ms:  # said again, it changes nothing
        return Decision(None, None, Applied(), [], None)
    else:
        did = Erased("", m.by, state="gone")
        effects.append(EraseItem(m.by, [], []))
    record = Record(m.item, stone.head, now_ms, stone.pipeline, stone.version, type(m).__name__, [did])
    after = replace(stone, head=facts.position, erased_ms=stone.erased_ms or now_ms)
    return Decision(None, encode_tombstone(after), Applied(), effects, record)
