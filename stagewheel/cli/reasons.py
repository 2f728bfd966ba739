"""Why something did or did not happen to an item, read from its journal and its ruleset versions. Pure.

Laws: an explanation is told per *passage*, the item's stay in a stage, in the words of the version which that
entry keeps (1.6); every sentence comes from a record or from a plan, nothing is decided again. What a rule
came to has exactly one reason: its last outcome, else what it waits for, else why it never began.
"""

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from stagewheel.cli.describe import Describer
from stagewheel.cli.output import moment
from stagewheel.protocol import journal as j
from stagewheel.protocol.messages import Test
from stagewheel.server.core.plan import PipelinePlan, RulePlan, StagePlan, TriggerPlan, Version
from stagewheel.server.core.plan_actions import Condition
from stagewheel.server.core.triggers import tests_seen

Versions = Callable[[int], Version | None]


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
        self.describer = Describer(versions)
        self.kept = {
            did.instance: did.version
            for record in self.records
            for did in record.did
            if isinstance(did, j.WorkflowStarted)
        }

    def newest(self) -> Version | None:
        """The version of the last record."""
        return self.versions(self.records[-1].version) if self.records else None

    def passages(self) -> Iterator[tuple[Passage, list[tuple[j.Record, j.Did]]]]:
        """Each stay with the facts that were journalled during it, and those of the move that ended it."""
        passage: Passage | None = None
        facts: list[tuple[j.Record, j.Did]] = []
        for record in self.records:
            for did in record.did:
                if isinstance(did, j.Entered):
                    if passage is not None:
                        yield passage, facts
                    facts = []
                    how = self.describer.line(record, did).text
                    pipeline = did.pipeline or record.pipeline
                    passage = Passage(did.entry, pipeline, did.to_stage, record.version, record.at_ms, how)
                elif passage is not None:
                    facts.append((record, did))
        if passage is not None:
            yield passage, facts

    def plan_of(self, passage: Passage) -> StagePlan | None:
        """The plan of the stage as its entry keeps it."""
        version = self.versions(passage.version)
        pipeline = version.pipelines.get(passage.pipeline) if version is not None else None
        return pipeline.stages.get(passage.stage) if pipeline is not None else None

    def zoned(self, record: j.Record) -> PipelinePlan | None:
        """Whose zone its tests compared dates in, unless the item has one of its own."""
        version = self.versions(record.version)
        return version.pipelines.get(record.pipeline) if version is not None else None

    def condition_of(self, record: j.Record, did: j.Did) -> Condition | None:
        """The condition that a fact of a workflow is about, in the version that its instance keeps (6.5)."""
        number = self.kept.get(getattr(did, "instance", 0), record.version)
        version = self.versions(number)
        name = getattr(did, "workflow", "")
        plan = version.workflows.get(name) or version.steps.get(name) if version is not None else None
        if plan is None:
            return None
        if isinstance(did, j.WorkflowStepped) and did.step < len(plan.program):
            return getattr(plan.program[did.step], "condition", None)
        return plan.condition if isinstance(did, j.WorkflowStarted | j.WorkflowNotStarted) else None

    def told(self, record: j.Record, did: j.Did, condition: Condition | None) -> Told:
        """A fact in words."""
        line = self.describer.line(record, did)
        return Told(
            record.at_ms,
            line.outcome,
            line.text,
            tests_seen(condition, getattr(did, "seen", []), self.zoned(record)),
        )


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
        condition = plan.condition if plan is not None else None
        passage.told = [
            journal.told(record, did, journal.condition_of(record, did) if _of_steps(did) else condition)
            for record, did in mine
        ]
        passage.verdict = _verdict(journal, passage, stage, plan, facts, rule)
        stays.append(passage)
    if only_last:
        stays = stays[-1:]
    verdict = stays[-1].verdict if stays else _never(journal, rule)
    return Explanation(journal.item, rule, "rule", verdict, stays)


def _of_rule(facts: Iterable[tuple[j.Record, j.Did]], rule: str) -> list[tuple[j.Record, j.Did]]:
    """Facts of a rule, of the steps that it holds (6.8), and the workflow that it started."""
    return [
        (record, did)
        for record, did in facts
        if getattr(did, "rule", "") == rule
        or getattr(did, "workflow", "") == f"{rule}/steps"
        or (isinstance(did, j.WorkflowStarted | j.WorkflowNotStarted) and did.why == f"by {rule}")
    ]


def _of_steps(did: j.Did) -> bool:
    return isinstance(did, j.WorkflowStepped | j.WorkflowWaits)


def rule_of(stage: StagePlan | None, rule: str) -> RulePlan | None:
    """The plan of a rule in a stage."""
    return next((plan for plan in stage.rules if plan.id == rule), None) if stage is not None else None


def _verdict(
    journal: Journal,
    passage: Passage,
    stage: StagePlan | None,
    plan: RulePlan | None,
    facts: list[tuple[j.Record, j.Did]],
    rule: str,
) -> str:
    for record, did in reversed(_of_rule(facts, rule)):
        if isinstance(did, j.StepEnded):
            return _ended(journal, record, did)
        if _of_steps(did):
            return f"its steps run: {journal.told(record, did, None).text}"
        if isinstance(did, j.WorkflowStarted):
            return f"it waits for workflow {did.workflow}, which it started at {moment(record.at_ms)}"
        if isinstance(did, j.Dispatched):
            return f"its {did.channel} is on its way since {moment(record.at_ms)}"
        if isinstance(did, j.StepWaits):
            until = f"until {moment(did.due_ms)}" if did.due_ms else "until its date field is filled"
            return f"it waits {until}"
        if isinstance(did, j.StepPaused):
            return f"it was due at {moment(did.due_ms)} and stays until {did.what} is resumed"
        if isinstance(did, j.DeliveryTried):
            return f"its delivery failed ({did.reason}) and is tried again at {moment(did.next_ms)}"
    if plan is not None and stage is not None and plan.after_previous and plan.index:
        before = stage.rules[plan.index - 1]
        why = _verdict(journal, passage, stage, before, facts, before.id)
        return f"it has not begun: it comes after {before.id}, of which holds: {why}"
    if what := _stopped(facts):
        return f"it did not start: the automation of {what} was stopped"
    return "it left no trace in this stay"


def _ended(journal: Journal, record: j.Record, did: j.StepEnded) -> str:
    at = moment(record.at_ms)
    if did.outcome == "done":
        return f"it ran at {at}" + (f": {did.reason}" if did.reason else "")
    if did.reason == "condition":
        return f"it did not run at {at}: its condition did not hold"
    reason = did.reason or "no reason was given"
    if did.outcome == "cancelled":
        return f"it was cancelled at {at}: {reason}{_what_moved(journal, record)}"
    verb = "failed" if did.outcome == "failed" else "did not run"
    return f"it {verb} at {at}: {reason}"


def _what_moved(journal: Journal, record: j.Record) -> str:
    """The move in the same decision, which is what cancelled the step."""
    for did in record.did:
        if isinstance(did, j.Entered):
            return f", for the item {journal.describer.line(record, did).text}"
    return ""


def _stopped(facts: Iterable[tuple[j.Record, j.Did]]) -> str:
    """What was stopped in this stay; "" if nothing was."""
    for _, did in facts:
        if isinstance(did, j.AutomationHeld):
            return "the item" if did.what == "item" else did.what
        if isinstance(did, j.Held) and did.mode == "stopped":
            return f"stage {did.stage}" if did.stage else "the item"
    return ""


def _never(journal: Journal, rule: str) -> str:
    """The item never was where the rule could have been asked."""
    path = [passage.stage for passage, _ in journal.passages()]
    version = journal.newest()
    for pipeline, stage in _stages(version):
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


def _stages(version: Version | None) -> Iterator[tuple[PipelinePlan, StagePlan]]:
    for pipeline in version.pipelines.values() if version is not None else ():
        for stage in pipeline.stages.values():
            yield pipeline, stage


# ---------------------------------------------------------------- triggers and workflows


def explain_trigger(journal: Journal, trigger: str) -> Explanation:
    """Each event at which the trigger was looked at: it moved the item, or which test said no."""
    stays, verdict = [], ""
    for passage, facts in journal.passages():
        for record, did in facts:
            if not isinstance(did, j.EventSeen):
                continue
            found = _looked(journal, record, did, trigger)
            if found is not None:
                passage.told = [*passage.told, found]
                verdict = passage.verdict = f"at {moment(record.at_ms)}: {found.text}"
        if passage.told:
            stays.append(passage)
    return Explanation(journal.item, trigger, "trigger", verdict or _unheard(journal, trigger), stays)


def _looked(journal: Journal, record: j.Record, did: j.EventSeen, trigger: str) -> Told | None:
    event = f"event {did.type} {did.code}".strip()
    if did.moved_by == trigger:
        plan = _trigger_of(journal.versions(record.version), trigger)
        tests = tests_seen(plan.condition if plan is not None else None, did.seen, journal.zoned(record))
        return Told(record.at_ms, "done", f"{event} moved the item", tests)
    for id_, reason, seen in did.looked:
        if id_ == trigger:
            plan = _trigger_of(journal.versions(record.version), trigger)
            said = "its condition did not hold" if reason == "condition" else reason
            tests = tests_seen(plan.condition if plan is not None else None, seen, journal.zoned(record))
            return Told(record.at_ms, "skipped", f"{event} did not move the item: {said}", tests)
    plan = _trigger_of(journal.versions(record.version), trigger)
    if plan is not None and did.moved_by and plan.type == did.type and plan.code in ("", did.code):
        return Told(
            record.at_ms, "skipped", f"{event} moved the item by trigger {did.moved_by}, which is first"
        )
    return None


def _trigger_of(version: Version | None, trigger: str) -> TriggerPlan | None:
    for pipeline in version.pipelines.values() if version is not None else ():
        for group in pipeline.triggers.values():
            for plan in group:
                if plan.id == trigger:
                    return plan
    return None


def _unheard(journal: Journal, trigger: str) -> str:
    plan = _trigger_of(journal.newest(), trigger)
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
        mine = [(r, d) for r, d in facts if getattr(d, "workflow", "") == workflow]
        for record, did in mine:
            told = journal.told(record, did, journal.condition_of(record, did))
            passage.told = [*passage.told, told]
            verdict = passage.verdict = f"at {moment(record.at_ms)}: {told.text}"
        if mine:
            stays.append(passage)
    if not verdict:
        verdict = "it was never started for this item"
        if plan is None:
            verdict = f"the item's ruleset has no workflow {workflow}"
    return Explanation(journal.item, workflow, "workflow", verdict, stays)


def explain(journal: Journal, about: str) -> Explanation | None:
    """What an id names, and what became of it; None if no version that the item met knows it."""
    for number in dict.fromkeys(record.version for record in reversed(journal.records)):
        version = journal.versions(number)
        if any(rule_of(stage, about) is not None for _, stage in _stages(version)):
            return explain_rule(journal, about)
        if _trigger_of(version, about) is not None:
            return explain_trigger(journal, about)
        if version is not None and about in version.workflows:
            return explain_workflow(journal, about)
    return None


def names_of(journal: Journal) -> list[str]:
    """Every id that could be asked for, in the order of the newest version."""
    version = journal.newest()
    names = [rule.id for _, stage in _stages(version) for rule in stage.rules]
    for pipeline in version.pipelines.values() if version is not None else ():
        names += [plan.id for group in pipeline.triggers.values() for plan in group]
    return [*names, *(version.workflows if version is not None else ())]


def explain_stay(journal: Journal) -> tuple[Passage, list[tuple[str, str]]] | None:
    """The present stay, and what each rule of its stage came to so far."""
    last = None
    for last in journal.passages():  # noqa: B007  the last one is what is wanted
        pass
    if last is None:
        return None
    passage, facts = last
    stage = journal.plan_of(passage)
    rules = stage.rules if stage is not None else ()
    return passage, [(rule.id, _verdict(journal, passage, stage, rule, facts, rule.id)) for rule in rules]
