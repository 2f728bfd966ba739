"""From plain values to the Structs of the document, with every mistake and not only the first.

Laws: the Structs say what is allowed, and this is the only code that walks them; a key that is unknown is a
mistake with the nearest known one, and a key that the language has but this build does not (`later` of the
Struct) says so. A part that is wrong is left out (of a list) or takes its default, so that what stands
around it is checked as well; whoever compiles raises in the end if the log holds mistakes.

Why not `msgspec.convert` for a whole document: it stops at the first error, and its path has no line. It
does convert the leaves.
"""

import types
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from stagewheel.server.rules.document import Doc
from stagewheel.server.rules.mistakes import Log, Place, listed, nearest

D = TypeVar("D", bound=Doc)
BAD: Any = object()  # the value could not be read; the log says why
NOT_YET = "is not supported yet by this version of stagewheel; take it out"
SIMPLE = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a mapping",
    list: "a list",
}


def read(kind: type[D], value: Any, place: Place, log: Log) -> D | None:
    """A Struct of the document from a plain value, or None if a part that it needs is missing or wrong."""
    if not isinstance(value, dict):
        log.mistake(place, f"expected {kind.what} as a mapping of keys and values, got {shown(value)}")
        return None
    known = _fields(kind)
    for key in value:
        if key in known:
            continue
        if key in kind.later:
            log.mistake(place / key, f"'{key}' {NOT_YET}")
        else:
            hint = nearest(key, known) or f"; it knows {listed(known)}"
            log.mistake(place / key, f"unknown key '{key}' of {kind.what}{hint}")
    values: dict[str, Any] = {}
    complete = True
    for key, (name, hint_type, required) in known.items():
        if key in value:
            got = convert(hint_type, value[key], place / key, log)
            if got is not BAD:
                values[name] = got
            elif required:
                complete = False
        elif required:
            log.mistake(place, f"{kind.what} needs '{key}'")
            complete = False
    return kind(**values, place_=place) if complete else None


def convert(kind: Any, value: Any, place: Place, log: Log) -> Any:
    """A value of any annotated type, or BAD."""
    if kind is Any:
        return value
    if isinstance(kind, type) and issubclass(kind, Doc):
        got = read(kind, value, place, log)
        return BAD if got is None else got
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is list and isinstance(value, list):
        items = [convert(arguments[0], item, place / number, log) for number, item in enumerate(value)]
        return [item for item in items if item is not BAD]
    if origin is dict and isinstance(value, dict):
        entries = {key: convert(arguments[1], below, place / key, log) for key, below in value.items()}
        for key in entries:
            _leaf(arguments[0], key, place / key, log)
        return {key: below for key, below in entries.items() if below is not BAD}
    if origin in (Union, types.UnionType) and isinstance(value, dict | list):
        wanted = [a for a in arguments if _takes(a, value)]
        if wanted:
            return convert(wanted[0], value, place, log)
    return _leaf(kind, value, place, log)


def _takes(kind: Any, value: dict[str, Any] | list[Any]) -> bool:
    if isinstance(value, dict):
        return (isinstance(kind, type) and issubclass(kind, Doc)) or get_origin(kind) is dict
    return get_origin(kind) is list


def _leaf(kind: Any, value: Any, place: Place, log: Log) -> Any:
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError:
        log.mistake(place, f"expected {words(kind)}, got {shown(value)}{_near(kind, value)}")
        return BAD


def _near(kind: Any, value: Any) -> str:
    if not isinstance(value, str):
        return ""
    choices = [c for k in (kind, *get_args(kind)) if get_origin(k) is Literal for c in get_args(k)]
    return nearest(value, [c for c in choices if isinstance(c, str)])


@cache
def _fields(kind: type[Doc]) -> dict[str, tuple[str, Any, bool]]:
    """Key in the document -> (name in the Struct, its type, whether it must be there)."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        field.encode_name: (field.name, hints[field.name], field.required)
        for field in msgspec.structs.fields(kind)
        if field.name != "place_"
    }


def words(kind: Any) -> str:
    """A type in words: `text`, `one of run, skip, wait`, `a list of text`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and issubclass(kind, Doc):
        return f"{kind.what} as a mapping"
    if origin is Annotated:
        meta = next((m for m in arguments[1:] if isinstance(m, msgspec.Meta)), None)
        return meta.description if meta is not None and meta.description else words(arguments[0])
    if origin is Literal:
        return f"one of {listed(str(a) for a in arguments)}"
    if origin is list:
        return f"a list, each of it {words(arguments[0])}"
    if origin is dict:
        return "a mapping"
    if origin in (Union, types.UnionType):
        said = (words(a) for a in arguments if a is not types.NoneType)
        return " or ".join(dict.fromkeys(said))
    return SIMPLE.get(kind, getattr(kind, "__name__", str(kind)))


def shown(value: Any) -> str:
    """A value in a sentence, cut short."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
