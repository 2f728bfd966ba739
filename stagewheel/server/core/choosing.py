"""Which one of several employees: by turns, by chance, or the first who is there (A3).

Laws: nothing here draws a random number. Chance is a keyed hash of item, entry, rule and step, so the same
decision made again chooses the same person. The turns of a round robin are counted by shard: a counter a rule
(by its id within the ruleset, over versions), which a decision reads among its facts and changes by an effect
that is stored with the decision; the journal names the counter it saw. Whoever is unknown or has left is
passed over (7.9), and with `skip_absent` who is away: an absence covers this moment. Hours of work are not
looked at: somebody who comes back at nine can be given a deal at eight.
"""

import hashlib

from stagewheel.protocol.journal import EmployeeChosen, FellBack
from stagewheel.protocol.messages import Employee
from stagewheel.server.core.acting import Asked
from stagewheel.server.core.calendar import parse_zone
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.effects import TakeTurn
from stagewheel.server.core.hours import absence_ms
from stagewheel.server.core.plan_actions import ChoicePlan

NOBODY = "nobody left"


def choose(d: Deciding, plan: ChoicePlan, asked: Asked) -> int:
    """The employee, 0 if nobody is left. A turn that was taken is journalled, and counted by an effect."""
    if plan.way == "first":
        found = (one for one in plan.people(d.scope) if _is_there(d, one, plan.skip_absent))
        return next(found, 0)
    there = [one for one in plan.ids if _is_there(d, one, plan.skip_absent)]
    if not there:
        return 0
    if plan.way == "random":
        chosen = there[_number(d, asked) % len(there)]
        d.did.append(EmployeeChosen(asked.rule, asked.step, chosen, "random"))
        return chosen
    name = counter_name(d, plan, asked)
    taken = _taken(d, name)
    at = taken
    while (chosen := plan.ids[at % len(plan.ids)]) not in there:
        at += 1
    d.effects.append(TakeTurn(name, at + 1))
    d.did.append(EmployeeChosen(asked.rule, asked.step, chosen, "round_robin", taken))
    return chosen


def stand_in(d: Deciding, missing: int, who: str) -> int:
    """The fallback user, journalled with whom they stand in for, and in what; 0 if there is none (7.9)."""
    version = d.facts.versions.get(d.item.version)
    found = d.facts.employees.get(version.fallback_user) if version is not None else None
    if found is None or not found.active:
        return 0
    d.did.append(FellBack(who, missing, found.id))
    return found.id


def asker(asked: Asked) -> str:
    """`rule send-invoice`, `workflow auto-reply`."""
    return f"{'workflow' if asked.workflow else 'rule'} {asked.rule}"


def counter_name(d: Deciding, plan: ChoicePlan, asked: Asked) -> str:
    """A rule has one counter. The steps of a workflow share one where their lists are the same."""
    version = d.facts.versions.get(d.item.version)
    name = f"{version.ruleset if version is not None else ''}/{asked.rule}"
    if asked.workflow:
        name += f"/{hashlib.blake2b(repr(plan.ids).encode(), digest_size=8).hexdigest()}"
    return name


def _taken(d: Deciding, name: str) -> int:
    """How many turns were taken, those of this very decision included."""
    for effect in reversed(d.effects):
        if isinstance(effect, TakeTurn) and effect.counter == name:
            return effect.taken
    return d.facts.turns.get(name, 0)


def _is_there(d: Deciding, number: int, skip_absent: bool) -> bool:
    employee = d.facts.employees.get(number)
    if employee is None or not employee.active:
        return False
    return not (skip_absent and employee.absences and is_absent(d, employee))


def is_absent(d: Deciding, employee: Employee) -> bool:
    """Does an absence cover this moment, in the employee's zone, else in that of the pipeline?"""
    zone = parse_zone(employee.timezone) if employee.timezone else None
    if zone is None:
        zone = d.plan.zone if d.plan is not None else parse_zone("UTC")
    spans = (absence_ms(one.start, one.end, zone) for one in employee.absences)
    return any(start_ms <= d.now_ms < end_ms for start_ms, end_ms in spans)


def _number(d: Deciding, asked: Asked) -> int:
    """As good as drawn, and the same whenever it is asked again."""
    named = f"{d.item.key}\0{d.item.entry}\0{asked.rule}\0{asked.step}"
    return int.from_bytes(hashlib.blake2b(named.encode(), digest_size=8).digest(), "big")
