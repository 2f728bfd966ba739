"""A record of the journal without personal data: what stays of each fact (semantics 7.6).

Laws: what a fact is, its numbers and moments, and the words that come from rulesets or from us stay; every
other text is emptied, also in facts that are written one day: a field stays only if it is named here. So a
timeline still says what ran and when, and nothing of whom or with which words. An emptied record is emptied
again to itself.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from stagewheel.protocol import journal as j
from stagewheel.server.core.events import EVENTS

# Fields that hold names of rulesets, or one of a few words of ours, in whichever fact.
ANYWHERE: Final = frozenset(
    {
        *("rule", "pipeline", "from_stage", "to_stage", "stage", "trigger", "moved_by", "workflow", "branch"),
        *("outcome", "mode", "guard", "way", "state", "channel", "kind", "before", "outside"),
    }
)
FURTHER: Final[Mapping[type, frozenset[str]]] = MappingProxyType(
    {
        j.SentToItem: frozenset({"item", "what"}),
        j.ClientLinked: frozenset({"item"}),
        j.EventForwarded: frozenset({"items", "created", "unfit"}),
        j.CapAwaited: frozenset({"client"}),
        j.CapCounted: frozenset({"item"}),
        j.WorkflowStepped: frozenset({"what"}),
        j.WorkflowWaits: frozenset({"name"}),
        j.AutomationHeld: frozenset({"what"}),
        j.StepPaused: frozenset({"what"}),
        j.FellBack: frozenset({"what"}),
        j.ChatBound: frozenset({"how"}),
        j.Enrolled: frozenset({"over"}),
        j.AddressesLeftOut: frozenset({"kinds"}),
    }
)
REASONS_OF_OURS: Final = frozenset({"skipped", "cancelled"})  # a provider's word is no reason for these


def emptied(record: j.Record) -> j.Record:
    """The record without personal data."""
    return replace(record, did=[_fact(one) for one in record.did])


def _fact(fact: Any) -> Any:
    kept = ANYWHERE | FURTHER.get(type(fact), frozenset())
    values = {
        name: value if name in kept else _empty(value)
        for name in fact.__struct_fields__
        if not _stays(value := getattr(fact, name))
    }
    if isinstance(fact, j.StepEnded) and fact.outcome in REASONS_OF_OURS:
        values["reason"] = fact.reason
    if isinstance(fact, j.EventSeen) and fact.type in EVENTS:
        values["type"] = fact.type
    return replace(fact, **values) if values else fact


def _stays(value: Any) -> bool:
    """Numbers, and lists of them: moments, employees, what else is counted."""
    if isinstance(value, list):
        return all(isinstance(one, int) for one in value)
    return value is None or isinstance(value, int | float)


def _empty(value: Any) -> Any:
    if isinstance(value, str):
        return ""
    if isinstance(value, list):
        return []
    if isinstance(value, dict):
        return {}
    assert not isinstance(value, bytes | Struct), "facts hold texts, numbers, lists and mappings"
    return None
