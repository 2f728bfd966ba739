"""From the events of a log to commands, as a mapping says.

Laws: the first event of a case that becomes anything creates its item, in the stage it names, else in the
pipeline's first; every later one is one command. Commands come in the order of the events, carry the log's
time as `at_ms`, and depend on nothing else, so that the same log always gives the same commands.
"""

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from stagewheel.cli.logs import LogEvent
from stagewheel.cli.mapping import FieldDoc, Mapping, MappingDoc, Unmappable
from stagewheel.protocol.messages import (
    AnyCommand,
    ChangeStage,
    CreateItem,
    Employee,
    PutEmployee,
    RaiseEvent,
)

YES: Final = frozenset({"true", "yes", "1"})


def to_commands(events: Iterable[LogEvent], mapping: Mapping) -> Iterator[AnyCommand]:
    """The commands for events in the order of time: employees, then a create, change or event for each.

    Fields go with the command that creates or moves an item, when they differ from what was last sent.
    Raises Unmappable.
    """
    document = mapping.document
    for person in document.employees:
        yield PutEmployee("", employee=Employee(person.id, person.name, supervisor=person.supervisor))
    sent: dict[str, dict[str, Any]] = {}  # item key -> the fields it was last given
    for event in events:
        entry = mapping.of(event)
        if entry.becomes == "ignore":
            continue
        key = document.item.format(case=event.case)
        stage = _filled(entry.stage, event) if entry.becomes == "stage" else ""
        if key not in sent:
            sent[key] = fields = _fields(event, mapping)
            title = document.title.format(case=event.case)
            yield CreateItem(
                key, at_ms=event.at_ms, pipeline=document.pipeline, stage=stage, title=title,
                fields={**fields, **_time(event, mapping)}, responsible=document.responsible,
            )  # fmt: skip
        elif stage:
            last = sent[key]
            fields = {n: v for n, v in _fields(event, mapping).items() if n not in last or last[n] != v}
            last.update(fields)
            yield ChangeStage(key, at_ms=event.at_ms, stage=stage, fields={**fields, **_time(event, mapping)})
        if entry.becomes == "event":
            code = _filled(entry.code, event)
            yield RaiseEvent(
                key, at_ms=event.at_ms, type=entry.type, code=code, payload=_payload(event, document)
            )


def _filled(template: str, event: LogEvent) -> str:
    if template == "{activity}":
        return event.activity
    return template.format(case=event.case, activity=event.activity, lifecycle=event.lifecycle)


def _fields(event: LogEvent, mapping: Mapping) -> dict[str, Any]:
    return {
        name: _typed(event, source)
        for name, source in mapping.fields.items()
        if source.source in event.attributes
    }


def _typed(event: LogEvent, source: FieldDoc) -> Any:
    value = event.attributes[source.source]
    if source.type == "boolean":
        return value if isinstance(value, bool) else str(value).strip().lower() in YES
    if source.type == "text":
        return str(value)
    try:
        number = float(value)
        if not math.isfinite(number):
            raise ValueError
    except ValueError:
        raise Unmappable(f"case {event.case}: {source.source}: {value!r} is no number") from None
    return int(number) if number.is_integer() else number


def _time(event: LogEvent, mapping: Mapping) -> dict[str, str]:
    name = mapping.document.time_field
    if name is None:
        return {}
    moment = datetime.fromtimestamp(event.at_ms / 1000, UTC)
    return {name: moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")}


def _payload(event: LogEvent, document: MappingDoc) -> dict[str, Any]:
    payload = {n: event.attributes[a] for n, a in document.payload.items() if a in event.attributes}
    return {"lifecycle": event.lifecycle, **payload} if event.lifecycle else payload
