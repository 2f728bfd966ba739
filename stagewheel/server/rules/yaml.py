"""Documents as plain values with positions: YAML 1.2 core schema, JSON (which is YAML) and TOML.

Laws:
- `on`, `no`, `yes`, `20:00` and dates are text; only true/false, null/~, numbers of the core schema are not.
- A key that stands twice in a mapping is a mistake, as is a key that is no text.
- Anchors and aliases work and are copied; size, depth and the count of values *after* copying are bounded,
  so a small file can't become a large value. Tags (`!!python/…`) are refused: a document is data.
- Every value's position is kept: that of its key in a mapping, its own in a list.

Why not the loader of PyYAML: it resolves YAML 1.1 words, dates and times, and keeps no positions of plain
values. We take the events of libyaml's parser, which says nothing of types, and build the values ourselves:
six times as fast as a parser in Python, and a shard reads its rules at every start.
"""

import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final

import yaml
from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from stagewheel.server.limits import DOCUMENT_BYTES_MAX, DOCUMENT_DEPTH_MAX, DOCUMENT_VALUES_MAX
from stagewheel.server.rules.mistakes import Log, Path, Place, Positions

INTEGER: Final = re.compile(r"[-+]?[0-9]{1,30}", re.ASCII)
OCTAL: Final = re.compile(r"0o[0-7]{1,30}", re.ASCII)
HEX: Final = re.compile(r"0x[0-9a-fA-F]{1,30}", re.ASCII)
FLOAT: Final = re.compile(r"[-+]?(\.[0-9]{1,60}|[0-9]{1,60}(\.[0-9]{0,60})?)([eE][-+]?[0-9]{1,4})?", re.ASCII)
WORDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
STR_TAG: Final = "tag:yaml.org,2002:str"
PARSER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # where PyYAML was built without libyaml


class _Mistaken(Exception):
    """Ends the reading of one document."""

    def __init__(self, message: str, mark: Any = None) -> None:
        super().__init__(message)
        self.line = mark.line + 1 if mark is not None else 0
        self.column = mark.column + 1 if mark is not None else 0


def load(file: str, text: str, log: Log) -> Any:
    """The value of a document, by the ending of its name. None if it can't be read: then `log` says why.

    Positions go to `log.positions[file]`.
    """
    positions = log.positions.setdefault(file, {})
    if len(text.encode("utf-8", "surrogatepass")) > DOCUMENT_BYTES_MAX:
        log.mistake_at(file, 0, 0, f"the file is larger than {DOCUMENT_BYTES_MAX} bytes; split it")
        return None
    try:
        if file.endswith(".toml"):
            return _bounded(tomllib.loads(text))
        if file.endswith(".json"):
            text = text.replace(
                "\t", " "
            )  # a string of JSON holds no bare tab, and YAML does not indent with one
        return _Composer(text, Place(file), positions, log).document()
    except _Mistaken as mistaken:
        log.mistake_at(file, mistaken.line, mistaken.column, str(mistaken))
    except MarkedYAMLError as error:
        said = " ".join(str(part) for part in (error.context, error.problem) if part)
        line, column = _position(text, error.problem_mark or error.context_mark)
        log.mistake_at(file, line, column, f"not valid YAML: {said}")
    except (YAMLError, ValueError, RecursionError) as error:  # tomllib's error is a ValueError with its line
        log.mistake_at(file, 0, 0, f"the document can't be read: {error}")
    return None


def _position(text: str, mark: Any) -> tuple[int, int]:
    """Line and column of a mark; one that stands behind the last line is shown at that line's end."""
    if mark is None:
        return 0, 0
    lines = text.splitlines()
    if lines and mark.line >= len(lines):
        return len(lines), len(lines[-1]) + 1
    return mark.line + 1, mark.column + 1


def scalar(text: str) -> Any:
    """A plain (unquoted) scalar by the core schema of YAML 1.2."""
    if text in WORDS:
        return WORDS[text]
    first = text[0]
    if not (first.isdigit() or first in "-+."):
        return text
    if INTEGER.fullmatch(text):
        return int(text)
    if OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if HEX.fullmatch(text):
        return int(text[2:], 16)
    if FLOAT.fullmatch(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise _Mistaken(f"the number {text} is too large")
        return number
    return text


class _Composer:
    """Builds values from parser events.

    An anchored value is kept as its events, and built again for each alias.
    """

    def __init__(self, text: str, place: Place, positions: Positions, log: Log) -> None:
        self.events: Iterator[Any] = yaml.parse(text, Loader=PARSER)
        self.place = place
        self.positions = positions
        self.log = log
        self.recording: list[list[Any]] = []
        self.anchors: dict[str, list[Any]] = {}
        self.replay: list[Iterator[Any]] = []
        self.values = 0

    def document(self) -> Any:
        """The one document of the stream; None when it is empty."""
        value: Any = None
        documents = 0
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _Mistaken("a file holds one document; remove the second '---'", event.start_mark)
                value = self._value(self._next(), ())
        return value

    def _next(self) -> Any:
        while self.replay:
            event = next(self.replay[-1], None)
            if event is not None:
                return event
            self.replay.pop()
        event = next(self.events)
        for record in self.recording:
            record.append(_without_anchor(event))
        return event

    def _value(self, event: Any, path: Path) -> Any:
        self.values += 1
        if self.values > DOCUMENT_VALUES_MAX:
            raise _Mistaken(f"the document holds more than {DOCUMENT_VALUES_MAX} values", event.start_mark)
        if len(path) > DOCUMENT_DEPTH_MAX:
            raise _Mistaken(f"the document is nested deeper than {DOCUMENT_DEPTH_MAX}", event.start_mark)
        if isinstance(event, AliasEvent):
            events = self.anchors.get(event.anchor)
            if events is None:
                raise _Mistaken(
                    f"'*{event.anchor}' names an anchor that is not complete above", event.start_mark
                )
            self.replay.append(iter(events))
            return self._value(self._next(), path)
        anchor = event.anchor
        if anchor is None:
            return self._built(event, path)
        if anchor in self.anchors:
            raise _Mistaken(f"the anchor '&{anchor}' stands twice", event.start_mark)
        record: list[Any] = [_without_anchor(event)]
        self.recording.append(record)
        value = self._built(event, path)
        self.recording.pop()
        self.anchors[anchor] = record
        return value

    def _built(self, event: Any, path: Path) -> Any:
        if not path:
            self.positions.setdefault((), (event.start_mark.line + 1, event.start_mark.column + 1))
        if isinstance(event, ScalarEvent):
            return self._scalar(event)
        if event.tag is not None:
            raise _Mistaken(f"tags such as {event.tag} are not allowed here", event.start_mark)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(path)
        assert isinstance(event, MappingStartEvent), f"the parser gave {event}"
        return self._mapping(path)

    def _scalar(self, event: Any) -> Any:
        tag = str(event.tag) if event.tag is not None else None
        if tag in (STR_TAG, "!"):
            return event.value
        if tag is not None:
            raise _Mistaken(f"tags such as {tag} are not allowed here", event.start_mark)
        if event.style:  # quoted or a block: text
            return event.value
        try:
            return scalar(event.value)
        except _Mistaken as mistaken:
            raise _Mistaken(str(mistaken), event.start_mark) from None

    def _sequence(self, path: Path) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := self._next(), SequenceEndEvent):
            below = (*path, len(values))
            self.positions[below] = (event.start_mark.line + 1, event.start_mark.column + 1)
            values.append(self._value(event, below))
        return values

    def _mapping(self, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := self._next(), MappingEndEvent):
            key = self._key(event)
            below = (*path, key)
            position = (event.start_mark.line + 1, event.start_mark.column + 1)
            if key in values:
                first = self.positions[below][0]
                self.log.mistake_at(
                    self.place.file, *position, f"the key '{key}' stands twice; it is first in line {first}"
                )
                self._value(self._next(), below)
                continue
            self.positions[below] = position
            values[key] = self._value(self._next(), below)
        return values

    def _key(self, event: Any) -> str:
        if isinstance(event, ScalarEvent):
            value = self._scalar(event)
            if isinstance(value, str):
                return value
            if isinstance(value, int) and not isinstance(value, bool):
                return event.value  # type: ignore[no-any-return]  # `7:` is the name "7"
        raise _Mistaken("a key is text; put it in quotes", event.start_mark)


def _without_anchor(event: Any) -> Any:
    """A copy that does not define the anchor again when it is built for an alias."""
    if getattr(event, "anchor", None) is None or isinstance(event, AliasEvent):
        return event
    if isinstance(event, ScalarEvent):
        return ScalarEvent(
            None, event.tag, event.implicit, event.value, event.start_mark, event.end_mark, style=event.style
        )
    return type(event)(None, event.tag, event.implicit, event.start_mark, event.end_mark)


def _bounded(value: Any, depth: int = 0) -> Any:
    """A value from TOML: dates as text (as everywhere in the language), and not too deep."""
    if depth > DOCUMENT_DEPTH_MAX:
        raise _Mistaken(f"the document is nested deeper than {DOCUMENT_DEPTH_MAX}")
    if isinstance(value, dict):
        return {key: _bounded(below, depth + 1) for key, below in value.items()}
    if isinstance(value, list):
        return [_bounded(below, depth + 1) for below in value]
    if isinstance(value, str | int | float | bool):
        return value
    return value.isoformat()
