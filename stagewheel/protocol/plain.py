"""Messages and journal records as plain mappings by name, for people, JSON and scenarios.

Laws: the wire's arrays have no names, so this goes by the Structs' fields; a result, fact or other tagged
Struct says what it is under `kind`; bytes become hexadecimal text. Nothing is left out and nothing added.
"""

import re
from typing import Any

import msgspec
from msgspec import Struct

from stagewheel.protocol.journal import Fact

WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


def kind_of(value: Struct) -> str:
    """`step_ended` of a StepEnded."""
    return WORD_START.sub("_", type(value).__name__).lower()


def plain(value: Any) -> Any:
    """Anything made of Structs, lists and mappings, as what JSON knows."""
    if isinstance(value, Struct):
        named = {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        tagged = isinstance(value, Fact) or value.__struct_config__.tag is not None
        return {"kind": kind_of(value), **named} if tagged else named
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    if isinstance(value, msgspec.Raw):
        return plain(msgspec.msgpack.decode(value))
    if isinstance(value, bytes):
        return value.hex()
    return value
