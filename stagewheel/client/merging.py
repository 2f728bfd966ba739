"""How the rows of a question come together from several shards: pure, a table by kind of question.

Laws: what is about a key, or bears a number, is asked of one shard. A list is asked of all; its rows are
merged in the order that the question promises, row by row, each shard's page by page. Rows that every shard
has one of (versions, holds, actions) are one row, with what each counted added up.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from stagewheel.client.shards import ShardMap
from stagewheel.protocol import messages as m
from stagewheel.protocol.partitions import DIRECTORY

PEAK: Final = "_peak"
ONE_OF_ALL: Final[Mapping[str, Callable[..., Any]]] = {
    "now_ms": max,
    "started_ms": min,
    "free_bytes": min,
    "journal_position": max,
    "end_ms": max,
}
"""Numbers of statistics that are not added up."""


class Way(Struct, frozen=True):
    """How one question is asked.

    `at`: the shards. `first`: one after the other, until one has a row. `order`: of rows, merged by it; none:
    all rows of one shard, then of the next. `fold` makes one row of two that are equal in order.
    """

    at: Sequence[int]
    first: bool = False
    order: Callable[[Any], Any] | None = None
    fold: Callable[[Any, Any], Any] | None = None


def way_of(query: m.AnyQuery, shards: ShardMap) -> Way:
    """Where to ask, and how the rows come together."""
    everywhere = tuple(range(shards.count))
    match query:
        case m.ItemQuery(item=key) | m.TimelineQuery(item=key) | m.ClientQuery(client=key):
            return Way((shards.of_key(key),))
        case m.LinksQuery(client=key) | m.ActivitiesQuery(item=key) if key:
            return Way((shards.of_key(key),))
        case m.TasksQuery(where=where) | m.RecordsQuery(where=where) | m.RecordCountsQuery(where=where):
            if where.item:
                return Way((shards.of_key(where.item),))
        case m.TaskQuery(number=number, item=key):
            return Way(shards.of_number(number) if number else (shards.of_key(key),), first=True)
        case m.SourceQuery() | m.EmployeesQuery() | m.SuppressedQuery():
            return Way((DIRECTORY,))
        case m.FileQuery():
            return Way(everywhere, first=True)
        case m.StatisticsQuery(shard=shard) if 0 <= shard < shards.count:
            return Way((shard,))
        case _:
            pass
    order, fold = _TOGETHER.get(type(query), (None, None))
    return Way(everywhere, order=order, fold=fold)


def _versions(one: m.VersionView, other: m.VersionView) -> m.VersionView:
    return replace(one, items=_counts(one.items, other.items), others=_counts(one.others, other.others))


def _counts(one: int, other: int) -> int:
    return -1 if -1 in (one, other) else one + other


def _enrolments(one: m.EnrolmentView, other: m.EnrolmentView) -> m.EnrolmentView:
    """It runs until the last shard is through."""
    going_on = one if one.state == "running" or other.state != "running" else other
    return replace(
        one,
        state=going_on.state,
        stage=going_on.stage,
        looked=one.looked + other.looked,
        concerned=one.concerned + other.concerned,
    )


def _holds(one: m.HoldView, other: m.HoldView) -> m.HoldView:
    return replace(one, kept=one.kept + other.kept, telling=one.telling or other.telling)


def _actions(one: m.ActionView, other: m.ActionView) -> m.ActionView:
    """A worker registers with every shard."""
    return replace(one, workers=max(one.workers, other.workers), under_way=one.under_way + other.under_way)


def _first(one: Any, _: Any) -> Any:
    return one


def _stages(one: m.StageView, other: m.StageView) -> m.StageView:
    return replace(one, known=one.known or other.known)


def _statistics(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    each = [*one.get("shards", [one]), other]
    return {**added(_alone(one), _alone(other)), "shards": each}


def statistics_of(each: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
    """The server's numbers, of those shards (at least one) that are there: `shards` has each one's, None for
    one that did not answer, and `silent` says which those are. With one shard they are simply its own.
    """
    told = [one for one in each if one is not None]
    if len(each) == 1:
        return told[0]
    together = functools.reduce(added, told)
    return {**together, "shards": list(each), "silent": [n for n, one in enumerate(each) if one is None]}


def _alone(one: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if name != "shards"}


def added(one: Any, other: Any, name: str = "") -> Any:
    """Two values of statistics as one: counts added up, peaks and moments as `ONE_OF_ALL` says."""
    if isinstance(one, dict) and isinstance(other, dict):
        shared = {key: added(value, other[key], key) for key, value in one.items() if key in other}
        return {**other, **one, **shared}
    if isinstance(one, list) and isinstance(other, list):
        return _lists(one, other)
    if isinstance(one, bool) or not isinstance(one, int | float) or not isinstance(other, int | float):
        return one if one is not None else other
    if name in ONE_OF_ALL:
        return ONE_OF_ALL[name](one, other)
    return max(one, other) if name.endswith(PEAK) else one + other


def _lists(one: list[Any], other: list[Any]) -> list[Any]:
    """Buckets are added up; names are taken together."""
    if len(one) == len(other) and all(type(value) is int for value in (*one, *other)):
        return [mine + others for mine, others in zip(one, other, strict=True)]
    return [*one, *(value for value in other if value not in one)]


_FOR_EVER = 2**63
_Together = tuple[Callable[[Any], Any] | None, Callable[[Any, Any], Any] | None]
_TOGETHER: Final[Mapping[type[Any], _Together]] = {
    m.DeadLettersQuery: (lambda row: (row.at_ms, row.number), None),
    m.PoisonQuery: (lambda row: (row.at_ms, row.number), None),
    m.ErasuresQuery: (lambda row: (row.at_ms, row.number), None),
    m.RecordsQuery: (lambda row: (-row.at_ms, -row.number), None),
    m.TasksQuery: (lambda row: (-row.created_ms, -row.number), None),
    m.ActivitiesQuery: (
        lambda row: (row.ended_ms > 0, row.ended_ms or row.deadline_ms or _FOR_EVER, row.item),
        None,
    ),
    m.CalendarQuery: (lambda row: (row.start_ms, row.item, row.number), None),
    m.FilesQuery: (lambda row: row.file.encode(), _first),
    m.VersionsQuery: (lambda row: -row.version, _versions),
    m.EnrolmentsQuery: (lambda row: -row.number, _enrolments),
    m.HoldsQuery: (lambda row: (row.kind, row.ruleset, row.target), _holds),
    m.ActionsQuery: (lambda row: row.action.name, _actions),
    m.StagesQuery: (lambda row: (row.pipeline.encode(), row.stage.encode()), _stages),
    m.StatisticsQuery: (lambda row: 0, _statistics),
}
