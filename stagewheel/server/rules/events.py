"""How an event is written by who listens to it: `on: incoming_email`, `mailbox: [info, sales]`, `subject:
offer`.

Laws: each type has its own settings, and another type's setting is a mistake at its place, never ignored. A
setting holds one text or a list of them, of which any may fit. What they mean when an event comes is
`core/events.py`'s.
"""

from typing import Any, Final, NamedTuple

from stagewheel.server.core.events import APP, EVENTS, FIELD_CHANGED, FURTHER, HOW, Setting
from stagewheel.server.limits import SETTING_VALUES_MAX
from stagewheel.server.rules.document import TriggerDoc
from stagewheel.server.rules.mistakes import Log, Place, listed, nearest
from stagewheel.server.rules.reader import read, shown

__all__ = [
    "APP",
    "EVENTS",
    "FIELD_CHANGED",
    "FURTHER",
    "SETTINGS",
    "SETTING_SCHEMA",
    "Event",
    "event_of",
    "read_event",
    "read_trigger",
]

_FURTHER = tuple(name for names in FURTHER.values() for name in names)
SETTINGS: Final = frozenset({*EVENTS.values(), *_FURTHER} - {""})
MESSAGES: Final = ("first", "any")
SETTING_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]
}


class Event(NamedTuple):
    """What a trigger, workflow or source listens to. `code` is the value of the main setting, if it is one
    text that compares as it is; `settings` are all the others.
    """

    type: str
    code: str
    settings: tuple[Setting, ...] = ()


def settings_of(type_: str) -> tuple[str, ...]:
    """The settings of an event type, the main one first."""
    main = EVENTS.get(type_, "")
    return (*([main] if main else []), *FURTHER.get(type_, ()))


def read_trigger(raw: Any, place: Place, log: Log) -> tuple[TriggerDoc, Event] | None:
    """A trigger and its event; the settings of its type are taken out of it first."""
    if not isinstance(raw, dict):
        read(TriggerDoc, raw, place, log)  # says that it is no mapping
        return None
    rest, event = read_event(raw, "on", place, log, "a trigger on")
    doc = read(TriggerDoc, rest, place, log)
    if doc is None or event is None:
        return None
    if doc.fields and event.type != FIELD_CHANGED:
        log.mistake(place / "fields", f"'fields' is a setting of '{FIELD_CHANGED}' only")
    return doc, event


def read_event(
    raw: dict[str, Any], key: str, place: Place, log: Log, what: str
) -> tuple[dict[str, Any], Event | None]:
    """What is left of a mapping without the settings of its event, and the event: None if the log says why.

    `code` may be written for the main setting of any type.
    """
    type_ = raw.get(key)
    main = EVENTS.get(type_, "") if isinstance(type_, str) else ""
    own = settings_of(type_) if isinstance(type_, str) else ()
    rest = {name: value for name, value in raw.items() if name not in SETTINGS}
    known = isinstance(type_, str) and type_ in EVENTS
    has = "; it has " + listed(f"'{name}'" for name in own) if own else ""
    for name in [one for one in raw if known and one in SETTINGS and one not in own and one != "code"]:
        log.mistake(place / name, f"'{name}' is no setting of {what} '{type_}'{has}")
    event = event_of(type_, main, raw.get(main, raw.get("code", "")), place, key, log)
    if event is None:
        return rest, None
    further = [
        made
        for name in own
        if name != main and name in raw
        if (made := _setting(name, raw[name], place / name, log)) is not None
    ]
    return rest, event._replace(settings=(*event.settings, *further))


def event_of(type_: Any, setting: str, code: Any, place: Place, key: str, log: Log) -> Event | None:
    """The event of a type and the value of its main setting, or None: then the log says why."""
    if not isinstance(type_, str):
        return None  # the reader has said so
    if type_ not in EVENTS:
        other = f"; events are {listed(EVENTS)}; for one of your own write '{key}: {APP}' and a 'code'"
        log.mistake(place / key, f"unknown event '{type_}'{nearest(type_, EVENTS) or other}")
        return None
    if type_ == APP and not code:
        log.mistake(place, f"a trigger on '{APP}' needs 'code', the name of your event")
        return None
    if code == "":
        return Event(type_, "")
    if isinstance(code, str) and setting not in HOW:
        return Event(type_, code)
    made = _setting(setting or "code", code, place / (setting or "code"), log)
    if made is None:
        return None
    return Event(type_, code if isinstance(code, str) else "", (Setting(made.name, made.values, True),))


def _setting(name: str, value: Any, place: Place, log: Log) -> Setting | None:
    """A setting with its values."""
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(one, str) and one for one in values):
        log.mistake(place, f"expected text, got {shown(value)}")
        return None
    if len(values) > SETTING_VALUES_MAX:
        log.mistake(place, f"at most {SETTING_VALUES_MAX} values")
        return None
    if name == "message":
        wrong = [one for one in values if one not in MESSAGES]
        if wrong:
            log.mistake(place, f"expected one of {', '.join(MESSAGES)}, got {shown(wrong[0])}")
            return None
    return Setting(name, tuple(values))
