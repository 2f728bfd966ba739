"""Why something did or did not happen to an item, read from its journal and its ruleset versions. Pure.

Laws: an explanation is told per *passage*, the item's stay in a stage, in the words of the version which that
entry keeps (1.6); every sentence comes from a record or from a plan, nothing is decided again. What a rule
came to has exactly one reason: its last outcome, else what it waits for, else why it never began.
"""

from collections.abc import Iterable

from msgspec import Struct

from stagewheel.cli.abouts import About, Abouts, Versions, rule_of, stages, trigger_of
from stagewheel.cli.describe import line_of
from stagewheel.cli.output import moment
from stagewheel.protocol import journal as j
from stagewheel.protocol.messages import Test
from stagewheel.server.core.acting import LEFT
from stagewheel.server.core.plan import RulePlan, StagePlan, Version
from stagewheel.server.core.triggers import CONDITION, SETTING

OF_STEP = (
    j.StepWaits,
    j.StepEnded,
    j.Dispatched,
    j.DeliveryTried,
    j.DeadLettered,
    j.CapAwaited,
    j.StepPaused,
)
NOT_LOOKED = {CONDITION: "its condition did not hold", SETTING: "a setting of it did not fit"}


class Told(Struct, frozen=True):
    """One fact about what is explained: when, in words, and the tests that its decision made."""

    at_ms: int
    outcome: str
    text: str
    tests: list[Test] = []


class Passage(Struct):
    """One stay of the item in a stage. `verdict` is the answer for this stay in a sentence."""

    entry: int
    pipeline: str
    stage: str
    version: int
    at_ms: int
    how: str
    told: list[Told] = []
    verdict: str = ""


class Explanation(Struct):
    """The answer. `kind` is rule, trigger or workflow."""

    item: str
    about: str
    kind: str
    verdict: str
    passages: list[Passage]


class Journal:
    """The records of an item, oldest first, and the compiled versions that they name."""

    def __init__(self, item: str, records: Iterable[j.Record], versions: Versions) -> None:
        self.item = item
        self.records = list(records)
        self.versions = versions
        abouts = Abouts(versions)
        self.abouts = [abouts.of(record) for record in self.records]

    def newest(self) -> Version | None:
        """The newest version that the records name."""
        for number in self.numbers():
            return self.versions(number)
        return None

    def numbers(self) -> list[int]:
        """The versions that the records name, the latest first."""
        told = (about.number for abouts in reversed(self.abouts) for about in reversed(abouts))
        return list(dict.fromkeys(told))

    def passages(self) -> list[tuple[Passage, list[About]]]:
        """Each stay with the facts that were journalled during it, those of the move that ended it, and what
        is told later of an action that left in it.
        """
        found: list[tuple[Passage, list[About]]] = []
        homes: dict[int, list[About]] = {}  # step -> facts of the stay in which it began
        for about in (one for abouts in self.abouts for one in abouts):
            record, did = about.record, about.did
            if isinstance(did, j.Entered):
                pipeline = did.pipeline or (found[-1][0].pipeline if found else record.pipeline)
                how = line_of(about).text
                found.append(
                    (Passage(did.entry, pipeline, did.to_stage, about.number, record.at_ms, how), [])
                )
            elif found:
                passage, facts = found[-1]
                if isinstance(did, OF_STEP) and did.step:
                    facts = homes.setdefault(did.step, facts)
                facts.append(about)
                if isinstance(did, j.Enrolled):
                    passage.version = did.version
        return found

    def plan_of(self, passage: Passage) -> StagePlan | None:
        """The plan of the stage as its entry keeps it."""
        version = self.versions(passage.version)
        pipeline = version.pipelines.get(passage.pipeline) if version is not None else None
        return pipeline.stages.get(passage.stage) if pipeline is not None else None


def _told(about: About) -> Told:
    """A fact in words."""
    line = line_of(about)
    return Told(about.record.at_ms, line.outcome, line.text, about.tests())


# ---------------------------------------------------------------- rules


def explain_rule(journal: Journal, rule: str, *, only_last: bool = False) -> Explanation:
    """What a rule came to in each stay in its stage, or why it was never asked."""
    stays = []
    for passage, facts in journal.passages():
        stage = journal.plan_of(passage)
        plan = rule_of(stage, rule)
        mine = _of_rule(facts, rule)
        if plan is None and not mine:
            continue
        told = {id(about) for about in mine}
        passage.told = [_told(one) for one in facts if id(one) in told or isinstance(one.did, j.Enrolled)]
        passage.verdict = _verdict(passage, stage, plan, facts, rule)
        stays.append(passage)
    if only_last:
        stays = stays[-1:]
    verdict = stays[-1].verdict if stays else _never(journal, rule)
    return Explanation(journal.item, rule, "rule", verdict, stays)


def _of_rule(facts: Iterable[About], rule: str) -> list[About]:
    """Facts of a rule, of the steps that it holds (6.8), and the workflow that it started."""
    return [
        about
        for about in facts
        if getattr(about.did, "rule", "") == rule
        or getattr(about.did, "workflow", "") == f"{rule}/steps"
        or (isinstance(about.did, j.WorkflowStarted | j.WorkflowNotStarted) and about.did.why == f"by {rule}")
    ]


def _verdict(
    passage: Passage, stage: StagePlan | None, plan: RulePlan | None, facts: list[About], rule: str
) -> str:
    for about in reversed(_of_rule(facts, rule)):
        if said := _stands(about):
            ended = isinstance(about.did, j.StepEnded)
            return said if ended or not _is_paused(facts) else f"{said}; the item is paused"
    if plan is not None and stage is not None and plan.after_previous and plan.index:
        before = stage.rules[plan.index - 1]
        why = _verdict(passage, stage, before, facts, before.id)
        return f"it has not begun: it comes after {before.id}, of which holds: {why}"
    if what := _stopped(facts):
        return f"it did not start: the automation of {what}"
    return "it left no trace in this stay"


def _stands(about: About) -> str:
    """What a fact says of the rule now; "" if nothing."""
    record, did = about.record, about.did
    if isinstance(did, j.StepEnded):
        return _ended(record, did)
    if isinstance(did, j.WorkflowStepped | j.WorkflowWaits):
        return f"its steps run: {line_of(about).text}"
    if isinstance(did, j.WorkflowStarted):
        return f"it waits for workflow {did.workflow}, which it started at {moment(record.at_ms)}"
    if isinstance(did, j.Dispatched):
        return f"its {did.channel} is on its way since {moment(record.at_ms)}"
    if isinstance(did, j.StepWaits):
        until = f"until {moment(did.due_ms)}" if did.due_ms else "until its date field is filled"
        if did.outside:
            return f"it was due and is held {until}: that was outside the hours of {', '.join(did.outside)}"
        return f"it waits {until}"
    if isinstance(did, j.CapAwaited):
        if did.until_ms:
            until = moment(did.until_ms)
            return f"the cap on {did.channel} is reached: it asks again at {until}"
        return f"it asks {did.client} whether the cap on {did.channel} leaves room"
    if isinstance(did, j.StepPaused):
        return f"it was due at {moment(did.due_ms)} and stays until {did.what} is resumed"
    if isinstance(did, j.DeliveryTried):
        if not did.next_ms:
            return f"its action is on its way: {did.reason}"
        return f"its delivery failed ({did.reason}) and is tried again at {moment(did.next_ms)}"
    return ""


def _ended(record: j.Record, did: j.StepEnded) -> str:
    at = moment(record.at_ms)
    if did.outcome == "done":
        return f"it ran at {at}" + (f": {did.reason}" if did.reason else "")
    if did.reason == "condition":
        return f"it did not run at {at}: its condition did not hold"
    reason = did.reason or "no reason was given"
    if did.outcome == "cancelled":
        return f"it was cancelled at {at}: {reason}{_what_cancelled(record, did)}"
    verb = "failed" if did.outcome == "failed" else "did not run"
    return f"it {verb} at {at}: {reason}"


def _what_cancelled(record: j.Record, did: j.StepEnded) -> str:
    """The move in the same decision that left the stage, or the guard that stopped the item."""
    left = did.reason == LEFT
    for fact in record.did[record.did.index(did) + 1 :] if left else record.did:
        if left and isinstance(fact, j.Entered):
            return f", for the item {_plain(record, fact)}"
        if not left and isinstance(fact, j.LoopDetected):
            return f" ({_plain(record, fact)})"
    return ""


def _plain(record: j.Record, fact: j.Did) -> str:
    return line_of(About(record, fact, record.version, None)).text


def _stopped(facts: Iterable[About]) -> str:
    """What was stopped in this stay; "" if nothing was."""
    loop = ""
    for about in facts:
        did = about.did
        if isinstance(did, j.LoopDetected):
            loop = f": {line_of(about).text}"
        elif isinstance(did, j.AutomationHeld):
            return f"{'the item' if did.what == 'item' else did.what} was stopped"
        elif isinstance(did, j.Held) and did.mode == "stopped":
            return f"stage {did.stage} was stopped" if did.stage else f"the item was stopped{loop}"
    return ""


def _is_paused(facts: Iterable[About]) -> bool:
    """Is the item paused, so that what is due stays in its mailbox?"""
    held = [one.did for one in facts if isinstance(one.did, j.Held) and not one.did.stage]
    return bool(held) and held[-1].mode == "paused"


def _never(journal: Journal, rule: str) -> str:
    """The item never was where the rule could have been asked."""
    path = [passage.stage for passage, _ in journal.passages()]
    version = journal.newest()
    for pipeline, stage in stages(version):
        if rule_of(stage, rule) is None:
            continue
        if stage.id in path:
            kept = ", ".join(sorted({str(p.version) for p, _ in journal.passages() if p.stage == stage.id}))
            return (
                f"when the item entered stage {stage.id}, ruleset version {kept} was published, which has no "
                f"rule {rule}; an entry keeps the version it began with"
            )
        went = " → ".join(path) or "nowhere yet"
        return (
            f"it belongs to stage {stage.id} of pipeline {pipeline.id}, which the item has not entered "
            f"(it went: {went}); rules of stages that were jumped over do not run"
        )
    return f"the item's ruleset has no rule {rule}"


# ---------------------------------------------------------------- triggers and workflows


def explain_trigger(journal: Journal, trigger: str) -> Explanation:
    """Each event at which the trigger was looked at: it moved the item, or which test said no."""
    stays, verdict = [], ""
    for passage, facts in journal.passages():
        passage.told = [told for about in facts if (told := _looked(about, trigger)) is not None]
        if passage.told:
            last = passage.told[-1]
            verdict = passage.verdict = f"at {moment(last.at_ms)}: {last.text}"
            stays.append(passage)
    return Explanation(journal.item, trigger, "trigger", verdict or _unheard(journal, trigger), stays)


def _looked(about: About, trigger: str) -> Told | None:
    did, at_ms = about.did, about.record.at_ms
    if not isinstance(did, j.EventSeen):
        return None
    event = f"event {did.type} {did.code}".strip()
    if did.moved_by == trigger:
        return Told(at_ms, "done", f"{event} moved the item", about.tests_of_trigger(trigger, "", did.seen))
    for id_, reason, seen in did.looked:
        if id_ == trigger:
            said = NOT_LOOKED.get(reason, reason)
            tests = about.tests_of_trigger(trigger, reason, seen)
            return Told(at_ms, "skipped", f"{event} did not move the item: {said}", tests)
    plan = trigger_of(about.version, trigger)
    if plan is None or plan.type != did.type:
        return None
    if did.reason:
        return Told(at_ms, "skipped", f"{event} did not move the item: {did.reason}")
    if did.moved_by and plan.code in ("", did.code):
        return Told(at_ms, "skipped", f"{event} moved the item by trigger {did.moved_by}, which is first")
    return None


def _unheard(journal: Journal, trigger: str) -> str:
    plan = trigger_of(journal.newest(), trigger)
    if plan is None:
        return f"the item's ruleset has no trigger {trigger}"
    event = f"{plan.type} {plan.code}".strip()
    return f"no event {event} has reached the item, which is what trigger {trigger} listens to"


def explain_workflow(journal: Journal, workflow: str) -> Explanation:
    """Each instance of a workflow, step by step."""
    stays, verdict = [], ""
    version = journal.newest()
    plan = version.workflows.get(workflow) if version is not None else None
    for passage, facts in journal.passages():
        passage.told = [_told(about) for about in facts if getattr(about.did, "workflow", "") == workflow]
        if passage.told:
            last = passage.told[-1]
            verdict = passage.verdict = f"at {moment(last.at_ms)}: {last.text}"
            stays.append(passage)
    if not verdict:
        verdict = "it was never started for this item"
        if plan is None:
            verdict = f"the item's ruleset has no workflow {workflow}"
    return Explanation(journal.item, workflow, "workflow", verdict, stays)


def explain(journal: Journal, about: str) -> Explanation | None:
    """What an id names, and what became of it; None if no version that the item met knows it."""
    for number in journal.numbers():
        version = journal.versions(number)
        if any(rule_of(stage, about) is not None for _, stage in stages(version)):
            return explain_rule(journal, about)
        if trigger_of(version, about) is not None:
            return explain_trigger(journal, about)
        if version is not None and about in version.workflows:
            return explain_workflow(journal, about)
    return None


def names_of(journal: Journal) -> list[str]:
    """Every id that could be asked for, in the order of the newest version."""
    version = journal.newest()
    names = [rule.id for _, stage in stages(version) for rule in stage.rules]
    for pipeline in version.pipelines.values() if version is not None else ():
        names += [plan.id for group in pipeline.triggers.values() for plan in group]
    return [*names, *(version.workflows if version is not None else ())]


def explain_stay(journal: Journal) -> tuple[Passage, list[tuple[str, str]]] | None:
    """The present stay, and what each rule of its stage came to so far."""
    stays = journal.passages()
    if not stays:
        return None
    passage, facts = stays[-1]
    stage = journal.plan_of(passage)
    rules = stage.rules if stage is not None else ()
    return passage, [(rule.id, _verdict(passage, stage, rule, facts, rule.id)) for rule in rules]
