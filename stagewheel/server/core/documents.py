"""Documents and QR codes of an item: the number within the turn, the file when its channel reports
(A10, A11).

Laws: a number is taken only by an action that went to the outbox, in the very commit, and an action keeps its
number over every attempt and retry; so no two documents have the same, and a gap is a document that was given
up. A series is counted by its text: what differs in year or month is another one, which begins at 1. The id
of the file follows from item, entry and step, so that making it twice replaces it.

Why a field is set by the report and not before: until then there is no such file. It is a change by the rule,
as `set_fields` makes one: triggers see it, workflows that wait for it go on (G11).
"""

from datetime import datetime
from typing import Any, Final

from stagewheel.protocol.journal import FileMade, NumberGiven
from stagewheel.server.core.acting import ACTED_SENDING, FAILED, Acted, Asked
from stagewheel.server.core.deciding import Changed, Deciding
from stagewheel.server.core.effects import OutboxRow, TakeTurn
from stagewheel.server.core.instances import find
from stagewheel.server.core.item import SENDING
from stagewheel.server.core.item_actions import set_values
from stagewheel.server.core.plan_documents import DOCUMENT, QR, FilePlan, NumberPlan
from stagewheel.server.core.sending import send

MADE: Final = "document"  # among the roots of an outbox row: file, number
CHANNELS: Final = (DOCUMENT, QR)
N, YEAR, MONTH = "{n}", "{year}", "{month}"  # marks in the text of a number
SERIES: Final = "#number/"  # before its name among the counters; no ruleset's name begins so
PARTS: Final = ("file", "name", "type", "size")  # what a field of type file holds


def create_file(d: Deciding, action: FilePlan, asked: Asked) -> Acted:
    """Have a document or QR code made."""
    acted = send(d, action, asked)
    if acted is ACTED_SENDING:
        row = d.open_rows[-1]
        told = {"file": f"{folder(row.key)}{row.entry}-{row.step}{action.ending}", "number": ""}
        if action.number is not None:
            told["number"] = _number(d, action.number, asked)
        row.roots = {**row.roots, MADE: told}
    return acted


def folder(key: str) -> str:
    """What the ids of the files begin with that are made for an item."""
    return f"documents/{key}/"


def file_made(d: Deciding, row: OutboxRow, channel: str, detail: dict[str, Any]) -> Acted | None:
    """The file is stored: journal it, and set the field. What is wrong with that, if anything is."""
    version = d.facts.versions.get(row.version)
    plan = version.action(row.action) if version is not None else None
    field = plan.field if isinstance(plan, FilePlan) else ""
    text = {name: str(detail.get(name) or "") for name in ("file", "name", "number", "link")}
    d.did.append(FileMade(row.rule, row.step, channel, field=field, **text))
    if not field:
        return None
    found = find(d, row.step, SENDING)
    value: Any = {name: detail[name] for name in PARTS if name in detail}
    causes = len(d.causes)
    acted = set_values(d, {field: _beside(d, field, value)}, Asked(row.rule, row.step, []))
    if found is not None:
        for cause in d.causes[causes:]:
            if isinstance(cause, Changed):
                cause.lineage = found[0].lineage
    return acted if acted.outcome == FAILED else None


def _beside(d: Deciding, field: str, value: Any) -> Any:
    """A field for several files keeps those that it holds."""
    version = d.facts.versions.get(d.item.version)
    entity = version.entities.get(d.plan.entity) if version is not None and d.plan is not None else None
    declared = entity.fields.get(field) if entity is not None else None
    if declared is None or not declared.multiple:
        return value
    held = d.item.fields.get(field) or []
    return [one for one in held if not _is(one, value)] + [value]


def _is(held: Any, value: dict[str, Any]) -> bool:
    return isinstance(held, dict) and held.get("file") == value.get("file")


def _number(d: Deciding, plan: NumberPlan, asked: Asked) -> str:
    """The next number of the series, counted by an effect."""
    moment = datetime.fromtimestamp(d.now_ms / 1000, d.scope.zone)
    text = plan.text.replace(YEAR, f"{moment.year:04}").replace(MONTH, f"{moment.month:02}")
    series = f"{SERIES}{text}"
    count = _counted(d, series) + 1
    number = text.replace(N, f"{count:0{plan.digits}}")
    d.effects.append(TakeTurn(series, count))
    d.did.append(NumberGiven(asked.rule, asked.step, number, text, count))
    return number


def _counted(d: Deciding, series: str) -> int:
    """How many were given, those of this very decision included."""
    for effect in reversed(d.effects):
        if isinstance(effect, TakeTurn) and effect.counter == series:
            return effect.taken
    return d.facts.turns.get(series, 0)
