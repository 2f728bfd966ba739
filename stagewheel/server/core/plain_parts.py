"""What the texts of plain entries (`plain_text.py`) name: functions made for a pipeline or a stage, and
what is the same in all of them.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

from msgspec.msgpack import Encoder

from stagewheel.protocol.journal import Dispatched, Entered, FieldsChanged, StepEnded, StepWaits
from stagewheel.protocol.messages import Applied, ChangeStage
from stagewheel.server.core import calendar
from stagewheel.server.core.acting import CANCELLED, DONE, FAILED, LEFT, SKIPPED
from stagewheel.server.core.calendar import Duration
from stagewheel.server.core.facts import Facts
from stagewheel.server.core.item import HAS_EMAIL, HAS_KEY, RUNNING, SENDING, WAITING, Glance, whole
from stagewheel.server.core.plan import FieldPlan, PipelinePlan, RulePlan, StagePlan
from stagewheel.server.core.scope import EMPTY, Scope, roots_of
from stagewheel.server.core.sending import lacking
from stagewheel.server.core.suppressing import is_any_stopped

MOMENTS_MAX: Final = 16  # all entries of a turn have one moment

RESULTS: Final = tuple(Applied(entry) for entry in range(256))

# Words and numbers of our own, that stand in a text themselves.
LITERALS: Final[Mapping[str, int | str | None]] = MappingProxyType(
    {
        "FIELDS_CHANGED": FieldsChanged.__struct_config__.tag,
        "STEP_ENDED": StepEnded.__struct_config__.tag,
        "STEP_WAITS": StepWaits.__struct_config__.tag,
        "ENTERED": Entered.__struct_config__.tag,
        "DISPATCHED": Dispatched.__struct_config__.tag,
        "CAUSE": ChangeStage.__name__,
        "WAITING": WAITING,
        "SENDING": SENDING,
        "RUNNING": RUNNING,
        "HAS_KEY": HAS_KEY,
        "HAS_EMAIL": HAS_EMAIL,
        "DONE": DONE,
        "SKIPPED": SKIPPED,
        "FAILED": FAILED,
        "CANCELLED": CANCELLED,
        "LEFT": LEFT,
        "RESULTS_KEPT": len(RESULTS),
    }
)
# What else the text of every stage names.
SHARED: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "NO_ROOTS": {},
        "RESULTS": RESULTS,
        "Applied": Applied,
        "encode": Encoder().encode,
        "is_any_stopped": is_any_stopped,
        "lacking": lacking,
        "roots_of": roots_of,
    }
)


def rest_of(stage: StagePlan, rule: RulePlan, reason: str) -> tuple[Any, ...]:
    """What is chained behind a rule and will not begin, as facts."""
    rest = []
    for behind in stage.rules[rule.index + 1 :]:
        if not behind.after_previous:
            break
        rest.append(_fact(StepEnded(behind.id, 0, CANCELLED, reason)))
    return tuple(rest)


def _fact(fact: Any) -> tuple[Any, ...]:
    """A fact as it is encoded."""
    tag = type(fact).__struct_config__.tag
    return (tag, *(getattr(fact, name) for name in fact.__struct_fields__))


def refuses_of(fields: Mapping[str, FieldPlan]) -> Callable[[str, Any], bool]:
    def refuses(name: str, value: Any) -> bool:
        """May only the walk set this? It says what is wrong, and knows built-in values and empty ones."""
        field = fields.get(name)
        return field is None or value is None or bool(field.accepts(value))

    return refuses


def moments_of(
    moments: dict[int, tuple[int, ...]], durations: list[Duration], lengths: list[int], zone: ZoneInfo
) -> Callable[[int], tuple[int, ...] | None]:
    def until(now_ms: int) -> tuple[int, ...] | None:
        """When waits end that begin now, and then what expires; None: a wait is over at once, or ends in no
        year that there is.
        """
        try:
            dues = [calendar.add(now_ms, duration, zone) for duration in durations]
        except ValueError:
            return None
        if dues and min(dues) <= now_ms:
            return None
        if len(moments) == MOMENTS_MAX:
            moments.clear()
        found = moments[now_ms] = (*dues, *(now_ms + length_ms for length_ms in lengths))
        return found

    return until


def scope_of(pipeline: PipelinePlan, stage: StagePlan) -> Callable[..., Scope]:
    def scope(
        item: Glance,
        entry: int,
        fields: dict[str, Any],
        changed: Iterable[str],
        facts: Facts,
        now_ms: int,
        position: int,
    ) -> Scope:
        """What a condition sees that looks further than the fields: the item as it is after the move."""
        now = whole(item)
        now.stage, now.entry, now.entered_ms, now.entered_at = stage.id, entry, now_ms, position
        now.fields = fields
        was = {name: item.fields.get(name) for name in changed}
        entity, zone = pipeline.entity, pipeline.zone
        return Scope(now, fields, entity, facts.employees, zone, now_ms, EMPTY, EMPTY, EMPTY, was)

    return scope
