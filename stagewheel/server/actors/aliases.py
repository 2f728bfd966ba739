"""Aliases: the CRM's own ids for items, contacts and companies, as rows, and how commands and questions find
what they mean (semantics 7.5).

Laws: a key of something that is there is never looked for among the aliases, and an alias is refused where
such a key is there, so the two never compete. What a command names is replaced by the key before anything is
decided or stored: mailboxes, records and results know keys alone. An alias of what was deleted still finds
its timeline, and may be bound anew, or become a key. A shard without aliases pays one look at a flag.
"""

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from stagewheel.protocol.messages import AnyCommand, AnyQuery, Client, CreateItem, PutClient, UpdateItem
from stagewheel.protocol.partitions import DIRECTORY
from stagewheel.server.actors.relay_shapes import AliasTold
from stagewheel.server.core.client_row import ClientRow
from stagewheel.server.core.effects import BindAlias
from stagewheel.server.core.item import Item, decode_row
from stagewheel.server.store.base import Reads
from stagewheel.server.store.keys import mailbox_prefix, prefix_end
from stagewheel.server.store.tables import Table

if TYPE_CHECKING:
    from stagewheel.server.actors.turn import Turn

ALIAS, OF_KEY = b"\x00", b"\x01"
ALIASES_SHOWN_MAX = 100


def any_in(reads: Reads) -> bool:
    """Is anything named by an alias?"""
    return reads.count(Table.ALIASES) > 0


def aliases_of(reads: Reads, key: bytes) -> list[str]:
    """The aliases of a key."""
    prefix = OF_KEY + mailbox_prefix(key)
    rows = reads.range(Table.ALIASES, prefix, prefix_end(prefix), ALIASES_SHOWN_MAX)
    return [row_key[len(prefix) :].decode() for row_key, _ in rows]


def meant(turn: "Turn", command: AnyCommand, key: bytes) -> bytes:
    """The key that a command means; the command names it from here on."""
    if isinstance(command, CreateItem | UpdateItem):
        command.client, command.company = _client(turn, command.client), _client(turn, command.company)
    elif isinstance(command, PutClient) and command.company:
        command.company = _named(turn, command.company.encode()).decode()
    found = _named(turn, key) if key else key
    if found == key or _is_elsewhere(turn, found):
        command.item = found.decode()
        return found
    if isinstance(command, CreateItem | PutClient) and not _is_there(turn, found):
        _forget(turn, key, found)
        return key
    command.item = found.decode()
    return found


def _client(turn: "Turn", client: Client | None) -> Client | None:
    if client is None or not client.key:
        return client
    found = _named(turn, client.key.encode()).decode()
    return client if found == client.key else replace(client, key=found)


def _is_there(turn: "Turn", key: bytes) -> bool:
    turn.load({key})
    return isinstance(turn.items.get(key), Item | ClientRow) or key in turn.backlog


def _is_elsewhere(turn: "Turn", key: bytes) -> bool:
    """Does what the key names live on another shard? It alone knows whether it is there still."""
    relay = turn.engine.relay
    return relay is not None and not relay.is_own(key)


def _named(turn: "Turn", key: bytes) -> bytes:
    if _is_there(turn, key):
        return key
    return turn.transaction.get(Table.ALIASES, ALIAS + key) or key


def owner(turn: "Turn", alias: str) -> str:
    """The key that an alias names, or is; "": it is free."""
    key = alias.encode()
    found = _named(turn, key) if key else key
    if found and found != key and _is_elsewhere(turn, found):
        return found.decode()
    return found.decode() if found and _is_there(turn, found) else ""


def bind_alias(turn: "Turn", key: bytes, effect: BindAlias) -> None:
    """From the next command on the alias names the key; other shards hear of it from the directory, so all
    end with the same one of two that were bound at a time.
    """
    _bind(turn, effect.alias.encode(), key)
    _spread(turn, AliasTold(effect.alias, key.decode()))


def alias_told(turn: "Turn", told: AliasTold, shard: int) -> None:
    """Another shard bound an alias, or let it go."""
    alias, key = told.alias.encode(), told.key.encode()
    turn.flush()
    if key:
        _bind(turn, alias, key)
    elif (before := turn.transaction.get(Table.ALIASES, ALIAS + alias)) is not None:
        _forget(turn, alias, before)
    if turn.engine.relay is not None and turn.engine.relay.is_directory:
        _spread(turn, told)


def _spread(turn: "Turn", told: AliasTold) -> None:
    relay = turn.engine.relay
    if relay is not None and relay.is_directory:
        relay.tell_others(turn, told)
    elif relay is not None:
        relay.tell(turn, DIRECTORY, told)


def _bind(turn: "Turn", alias: bytes, key: bytes) -> None:
    turn.flush()
    before = turn.transaction.get(Table.ALIASES, ALIAS + alias)
    if before is not None:
        _forget(turn, alias, before)
    turn.batch.put(Table.ALIASES, ALIAS + alias, key)
    turn.batch.put(Table.ALIASES, OF_KEY + mailbox_prefix(key) + alias, b"")
    turn.flush()
    turn.engine.any_alias = True


def _forget(turn: "Turn", alias: bytes, key: bytes) -> None:
    turn.batch.delete(Table.ALIASES, ALIAS + alias)
    turn.batch.delete(Table.ALIASES, OF_KEY + mailbox_prefix(key) + alias)
    turn.flush()


def forget_aliases(turn: "Turn", key: bytes) -> int:
    """Of what is erased; how many there were."""
    turn.flush()
    prefix = OF_KEY + mailbox_prefix(key)
    count = 0
    while rows := turn.transaction.range(Table.ALIASES, prefix, prefix_end(prefix), ALIASES_SHOWN_MAX):
        for row_key, _ in rows:
            alias = row_key[len(prefix) :]
            _forget(turn, alias, key)
            _spread(turn, AliasTold(alias.decode(), ""))
        count += len(rows)
    return count


def asked_for(reads: Reads, query: AnyQuery) -> AnyQuery:
    """The question by the key that it means, also where a filter of it names one."""
    changed: dict[str, Any] = {}
    for name in query.__struct_fields__:
        value = getattr(query, name)
        if name in ("item", "client") and isinstance(value, str):
            changed[name] = _key_of(reads, value)
        elif isinstance(item := getattr(value, "item", None), str):
            changed[name] = replace(value, item=_key_of(reads, item))
    return replace(query, **changed) if changed else query


def _key_of(reads: Reads, name: str) -> str:
    key = name.encode()
    row = reads.get(Table.ITEMS, key) if key else None
    if not key or (row is not None and isinstance(decode_row(row), Item | ClientRow)):
        return name
    found = reads.get(Table.ALIASES, ALIAS + key)
    return found.decode() if found is not None else name
