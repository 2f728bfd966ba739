"""How often a rule may act in the life of an item: `repeat: once`, `repeat: {every: 7d}` (semantics 1.9).

Laws: it is counted by the rule's id within its ruleset, so over versions, stages and pipelines, from the
moment of the decision. What failed does not count: a delivery that is given up later takes its count back,
and what was counted before counts again. The count before the last is enough for that, since two that count
are never closer than the rule's own pause.
"""

from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.plan import RulePlan

NEVER = (0, 0, 0)


def key_of(d: Deciding, rule: str, version: int = 0) -> str:
    """By what a rule is counted. `version` 0: the entry's."""
    return f"{d.facts.versions[version or d.item.version].ruleset}/{rule}"


def held_back(d: Deciding, rule: RulePlan) -> bool:
    """Did the rule act already, or not long enough ago?"""
    times, last_ms, _ = d.more.repeat.get(key_of(d, rule.id), NEVER)
    return times > 0 and (rule.repeat_once or d.now_ms - last_ms < rule.repeat_every_ms)


def repeats(d: Deciding, rule: str, version: int) -> bool:
    """Has the rule a policy that counts?"""
    pipelines = d.facts.versions[version].pipelines.values()
    return any(
        plan.id == rule and (plan.repeat_once or plan.repeat_every_ms > 0)
        for pipeline in pipelines
        for stage in pipeline.stages.values()
        for plan in stage.rules
    )


def count(d: Deciding, rule: str, version: int = 0) -> None:
    """The rule has decided to act."""
    key = key_of(d, rule, version)
    times, last_ms, _ = d.more.repeat.get(key, NEVER)
    d.set_more(repeat={**d.more.repeat, key: (times + 1, d.now_ms, last_ms)})


def take_back(d: Deciding, rule: str, version: int, at_ms: int) -> None:
    """What the rule decided at `at_ms` has failed."""
    key = key_of(d, rule, version)
    times, last_ms, before_ms = d.more.repeat.get(key, NEVER)
    if at_ms not in (last_ms, before_ms):
        return
    left = {name: kept for name, kept in d.more.repeat.items() if name != key}
    if times > 1:
        left[key] = (times - 1, before_ms if at_ms == last_ms else last_ms, 0)
    d.set_more(repeat=left)
