"""Recipients among employees: words, ids and templates, as a function that gives employee ids.

Laws: unknown and removed employees are left out (7.9), order is kept, each comes once; an empty answer
means nobody is left, and whoever asks decides about the fallback user. The supervisor of the responsible
is looked for upwards: one that is the responsible, unknown or removed is passed over.
"""

from collections.abc import Callable
from typing import Any, Final

from stagewheel.server.core.plan_actions import People, Value
from stagewheel.server.core.scope import Scope
from stagewheel.server.limits import RECIPIENTS_MAX
from stagewheel.server.rules.mistakes import Log, Place, nearest
from stagewheel.server.rules.names import Names
from stagewheel.server.rules.reader import shown
from stagewheel.server.rules.templates import Templates

UPWARDS_MAX: Final = 20
RESPONSIBLE: Final = "responsible"
SUPERVISOR: Final = "supervisor"


def responsible(scope: Scope) -> list[int]:
    """The responsible person."""
    return _known(scope, [scope.item.responsible])


def supervisor(scope: Scope) -> list[int]:
    """The supervisor of the responsible, or the next one up."""
    employee = scope.responsible
    for _ in range(UPWARDS_MAX):
        if employee is None or not employee.supervisor:
            return []
        employee = scope.employees.get(employee.supervisor)
        if employee is not None and employee.active and employee.id != scope.item.responsible:
            return [employee.id]
    return []


def observers(scope: Scope) -> list[int]:
    """The observers of the item."""
    return _known(scope, scope.item.more.observers if scope.item.more is not None else [])


def nobody(scope: Scope) -> list[int]:
    """Nobody: where a list has a mistake, or is not made of people."""
    return []


WORDS: Final[dict[str, People]] = {
    RESPONSIBLE: responsible,
    SUPERVISOR: supervisor,
    "observers": observers,
}


def compile_people(raw: Any, place: Place, names: Names, templates: Templates, log: Log) -> People:
    """`to:` as one value or a list of: an id, `responsible`, `supervisor`, `observers`, or a template that
    gives ids.
    """
    parts = [
        one
        for number, each in enumerate(raw if isinstance(raw, list) else [raw])
        if (one := _one(each, place / number if isinstance(raw, list) else place, names, templates, log))
    ]
    if isinstance(raw, list) and not raw:
        log.mistake(place, "the list of recipients is empty")
    if len(parts) == 1:
        return parts[0]

    def people(scope: Scope) -> list[int]:
        return list(dict.fromkeys(number for part in parts for number in part(scope)))[:RECIPIENTS_MAX]

    return people


def _one(raw: Any, place: Place, names: Names, templates: Templates, log: Log) -> People | None:
    if isinstance(raw, int) and not isinstance(raw, bool):
        if raw < 1:
            log.mistake(place, "an employee's id is a number from 1")
        return _given([raw])
    if isinstance(raw, str) and "{{" in raw:
        return _computed(templates.value(raw, place, names))
    if raw in WORDS:
        return WORDS[raw]
    if isinstance(raw, str) and raw.isdigit():
        return _given([int(raw)])
    hint = nearest(raw, WORDS) if isinstance(raw, str) else ""
    log.mistake(place, f"expected an employee's id, {', '.join(WORDS)} or a template, got {shown(raw)}{hint}")
    return None


def _given(ids: list[int]) -> People:
    return lambda scope: _known(scope, ids)


def _computed(value: Value) -> Callable[[Scope], list[int]]:
    return lambda scope: _known(scope, _ids(value(scope)))


def _ids(value: Any) -> list[int]:
    """Ids from what a template gave: a number, text of numbers, or a list of these."""
    if isinstance(value, list):
        return [number for one in value[:RECIPIENTS_MAX] for number in _ids(one)]
    if isinstance(value, int) and not isinstance(value, bool):
        return [value]
    if isinstance(value, str):
        words = value.replace(",", " ").split()[:RECIPIENTS_MAX]
        return [int(word) for word in words if word.isdecimal() and len(word) < 16]
    return []


def _known(scope: Scope, ids: list[int]) -> list[int]:
    employees = scope.employees
    found = [i for i in ids if (employee := employees.get(i)) is not None and employee.active]
    return found if len(found) < 2 else list(dict.fromkeys(found))
