"""One employee of several, as a rule names them: `to: 7`, `to: {round_robin: [7, 12], skip_absent: true}`."""

from typing import Final

from stagewheel.server.core.plan_actions import ChoicePlan
from stagewheel.server.rules.document_actions import ChoiceDoc
from stagewheel.server.rules.people import nobody
from stagewheel.server.rules.where import Where

WAYS: Final = ("first", "round_robin", "random")

Choice = ChoiceDoc | int | str | list[int | str]


def compile_choice(raw: Choice, where: Where, key: str) -> ChoicePlan:
    """A person, the first of a list who is there, or one of a list by turns or by chance."""
    if not isinstance(raw, ChoiceDoc):
        return ChoicePlan("first", where.people(raw, key))
    place = where.place / key
    given = [way for way in WAYS if getattr(raw, way) is not None]
    if len(given) != 1:
        where.work.log.mistake(place, f"expected one of {', '.join(WAYS)}, with a list of employees")
        return ChoicePlan("first", nobody)
    [way] = given
    named = getattr(raw, way)
    if way == "first":
        people = where.people(named, key, way)
        return ChoicePlan(way, people, skip_absent=raw.skip_absent)
    if not named:
        where.work.log.mistake(place / way, "the list of employees is empty")
    where.work.check_employees(named, place / way)
    return ChoicePlan(way, nobody, tuple(named), raw.skip_absent)
