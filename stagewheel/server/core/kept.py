"""What is stored for people to read: notifications, messages of the stream, entries of the history (7.1).

A record is a row of its own beside the journal's fact, since it is looked for over all items and by what the
item was at that moment (stage, responsible); it is appended, so it costs one page of the store, and nothing
where no rule makes any.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import KeepRecord, KeepTask

HISTORY: Final = "history"
NOTIFICATION: Final = "notification"
STREAM: Final = "stream"
KINDS: Final = (HISTORY, NOTIFICATION, STREAM)


class Kept(Struct, array_like=True, gc=False, frozen=True):
    """A row. `author` is an employee's number, or what a history entry says."""

    item: str
    pipeline: str
    stage: str
    rule: str
    at_ms: int
    author: str
    responsible: int
    text: str
    to: list[int] = []
    link: str = ""
    files: dict[str, Any] = {}
    reply_to: int = 0


encode_kept = msgspec.msgpack.Encoder().encode
decode_kept = msgspec.msgpack.Decoder(Kept).decode


def keep(d: Deciding, kind: str, rule: str, text: str, author: str = "", **more: Any) -> int:
    """Store a record; its number."""
    number = next_number(d)
    item = d.item
    row = Kept(item.key, item.pipeline, item.stage, rule, d.now_ms, author, item.responsible, text, **more)
    d.effects.append(KeepRecord(kind, number, encode_kept(row)))
    return number


def next_number(d: Deciding) -> int:
    """A number for what is stored for people, that nothing else has."""
    return d.facts.record_next + sum(
        isinstance(one, KeepRecord) or (isinstance(one, KeepTask) and one.before is None) for one in d.effects
    )
