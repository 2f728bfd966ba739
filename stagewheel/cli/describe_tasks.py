"""Sentences about tasks."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from stagewheel.cli.abouts import About
from stagewheel.cli.output import moment
from stagewheel.cli.telling import Line, by_rule, shown_value
from stagewheel.protocol import journal as j


def _who(rule: str, by: int) -> str:
    return by_rule(rule) or (f" by employee {by}" if by else "")


def _put(about: About, fact: j.TaskPut) -> Line:
    task = fact.task
    until = f", until {moment(task['deadline_ms'])}" if task.get("deadline_ms") else ""
    status = f", {task['status']}" if task["status"] != "new" else ""
    what = "replaced" if fact.replaced else "created"
    text = f"task {fact.number} {what}{_who(fact.rule, fact.by)} for employee {task.get('responsible', 0)}"
    return Line("done", f"{text}: {task['name']}{until}{status}")


def _changed(about: About, fact: j.TaskChanged) -> Line:
    told = dict(fact.changes)
    parts = []
    if "status" in told:
        parts.append(f"{told.pop('status').replace('_', ' ')} (was {fact.before.replace('_', ' ')})")
    if "deadline_ms" in told:
        at_ms = told.pop("deadline_ms")
        parts.append(f"its deadline is {moment(at_ms)}" if at_ms else "it has no deadline")
    parts += [f"{name} = {shown_value(value)}" for name, value in told.items()]
    why = ", its deadline has passed" if fact.why == "deadline" else ""
    return Line(
        "changed", f"task {fact.number} ({fact.name}){_who(fact.rule, fact.by)}: {', '.join(parts)}{why}"
    )


def _closed(about: About, fact: j.TasksClosed) -> Line:
    return Line("done", f"{fact.rule}: completed task {', '.join(map(str, fact.numbers))}")


SENTENCES: Final[Mapping[type, Callable[[About, Any], Line]]] = MappingProxyType(
    {j.TaskPut: _put, j.TaskChanged: _changed, j.TasksClosed: _closed}
)
