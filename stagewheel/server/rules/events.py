"""Event types that triggers and workflows listen to, and the setting of each that becomes its code.

Laws: an event is a type and a code (`RaiseEvent(type="form_submitted", code="project-brief")`), so a
trigger that says `form: project-brief` matches by comparing two texts; a trigger without the setting takes
every code.
"""

from typing import Any, Final, NamedTuple

from stagewheel.server.rules.document import TriggerDoc
from stagewheel.server.rules.mistakes import Log, Place, listed, nearest
from stagewheel.server.rules.reader import read, shown

APP: Final = "app"
FIELD_CHANGED: Final = "field_changed"
# Event type -> the key of a trigger that becomes the code; "" where there is none but `code` itself.
EVENTS: Final[dict[str, str]] = {
    APP: "code",
    "incoming_email": "mailbox",
    "incoming_call": "line",
    "outgoing_call": "line",
    "call_missed": "line",
    "callback_form": "form",
    "form_submitted": "form",
    "webhook": "code",
    "site_visit": "page",
    "returning_visitor": "page",
    "chat_message": "channel",
    "task_status": "status",
    "email_opened": "rule",
    "email_bounced": "rule",
    "link_clicked": "url",
    "sms_failed": "rule",
    FIELD_CHANGED: "",
    "invoice_paid": "",
    "payment_received": "",
    "responsible_changed": "",
    "document_viewed": "template",
    "qr_scanned": "rule",
}
SETTINGS: Final = frozenset({*EVENTS.values()} - {""})


class Event(NamedTuple):
    """What a trigger or workflow listens to."""

    type: str
    code: str


def read_trigger(raw: Any, place: Place, log: Log) -> tuple[TriggerDoc, Event] | None:
    """A trigger and its event; the setting of its type is taken out of it first."""
    if not isinstance(raw, dict):
        read(TriggerDoc, raw, place, log)  # says that it is no mapping
        return None
    type_ = raw.get("on")
    setting = EVENTS.get(type_, "") if isinstance(type_, str) else ""
    rest = {key: value for key, value in raw.items() if key != setting or key == "code"}
    foreign = [key for key in rest if key in SETTINGS and key != "code"]
    for key in foreign if type_ in EVENTS else ():
        own = f"; it has '{setting}'" if setting else ""
        log.mistake(place / key, f"'{key}' is no setting of a trigger on '{type_}'{own}")
    doc = read(TriggerDoc, {key: value for key, value in rest.items() if key not in foreign}, place, log)
    event = event_of(type_, setting, raw.get(setting, raw.get("code", "")), place, "on", log)
    if doc is None or event is None:
        return None
    if doc.fields and event.type != FIELD_CHANGED:
        log.mistake(place / "fields", f"'fields' is a setting of '{FIELD_CHANGED}' only")
    return doc, event


def event_of(type_: Any, setting: str, code: Any, place: Place, key: str, log: Log) -> Event | None:
    """The event of a type and the value of its setting, or None: then the log says why."""
    if not isinstance(type_, str):
        return None  # the reader has said so
    if type_ not in EVENTS:
        other = f"; events are {listed(EVENTS)}; for one of your own write '{key}: {APP}' and a 'code'"
        log.mistake(place / key, f"unknown event '{type_}'{nearest(type_, EVENTS) or other}")
        return None
    if not isinstance(code, str):
        log.mistake(place / (setting or "code"), f"expected text, got {shown(code)}")
        return None
    if type_ == APP and not code:
        log.mistake(place, f"a trigger on '{APP}' needs 'code', the name of your event")
        return None
    return Event(type_, code)
