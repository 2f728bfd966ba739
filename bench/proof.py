"""The proof that a figure stands on: what the server says afterwards is compared with what was sent to it.

Two looks: its own counts must be those of everything that was sent, and some deals, drawn before the start,
are read back whole: state, waiting steps, and every record of their timelines. What differs is named, and
then there is no figure. The expectations come from what was drawn and from the text of the ruleset, never
from the server.
"""

from __future__ import annotations

from typing import Any

from bench import deals, report
from bench.deals import AT_ONCE, DELAY_MS, LATER, NEVER, STAGES, Change, Changes
from stagewheel.client.blocking import Client
from stagewheel.protocol.journal import (
    Dispatched,
    Entered,
    FieldsChanged,
    ItemCreated,
    Record,
    StepEnded,
    StepWaits,
)
from stagewheel.protocol.messages import ItemView


def differ(what: str, found: object, expected: object) -> None:
    """Raises `Failed` unless they are equal."""
    if found != expected:
        raise report.Failed(f"{what} is {found}; it should be {expected}")


def counts(client: Client, items: int, events: int, versions: int, delivering: bool) -> None:
    """What the server counts: an item each, a record and a mail a decision, nothing lost and nothing odd.

    `versions`: so many commands published the ruleset.
    """
    told = client.statistics()
    tally = told["tally"]
    differ("the number of stored items", told["items_stored"], items)
    differ("the number of commands", tally["commands"], versions + items + events)
    for name in ("poison", "dead_letters", "turns_failed", "retries"):
        differ(f"the tally of {name}", tally[name], 0)
    if delivering:
        differ("the number of actions that wait for senders", told["outbox_stored"], 0)
        differ("the number of reports", tally["reports"], events)
        differ("the number of journal records", told["journal_stored"], items + 2 * events)
    else:
        differ("the number of actions that wait for senders", told["outbox_stored"], items + events)
        differ("the number of journal records", told["journal_stored"], items + events)


def watched(client: Client, changes: Changes, frames_sent: int, delivering: bool) -> int:
    """Read every watched deal back and compare it; how many there were.

    Where mails are delivered, the deals were created without rules, and only their changes are decided by
    them.
    """
    with_rules = not delivering
    for number, drawn in changes.watched.items():
        sent = [change for change in drawn if change.frame < frames_sent]
        key = deals.key(number)
        view = client.item(key)
        if view is None:
            raise report.Failed(f"{key} does not exist any more")
        timeline = [record for _, record in reversed(client.timeline(key, limit=1_000_000))]
        _state(view, sent)
        _waiting(view, sent, with_rules, delivering)
        decided = [record for record in timeline if record.cause != "DeliveryReported"]
        differ(f"the number of decisions of {key}", len(decided), 1 + len(sent))
        _timeline(key, decided, sent, with_rules)
        if delivering:
            _reports(key, timeline)
    return len(changes.watched)


def _state(view: ItemView, sent: list[Change]) -> None:
    stage = sent[-1].stage if sent else STAGES[0]
    amount = sent[-1].amount if sent else deals.FIRST_AMOUNT
    differ(f"the stage of {view.key}", view.stage, stage)
    differ(f"the amount of {view.key}", view.fields.get("amount"), amount)
    differ(f"the entry of {view.key}", view.entry, 1 + len(sent))


def _waiting(view: ItemView, sent: list[Change], with_rules: bool, delivering: bool) -> None:
    """One step waits for a day after the entry; the mail is on its way, unless it was delivered."""
    expected: list[tuple[str, str, int]] = []
    if sent or with_rules:
        if not delivering:
            expected.append((f"{view.stage}-{AT_ONCE}", "sending", 0))
        expected.append((f"{view.stage}-{LATER}", "waiting", view.entered_ms + DELAY_MS))
    found = [(step.rule, step.state, step.due_ms) for step in view.waiting]
    differ(f"what waits for {view.key}", found, expected)


def _timeline(key: str, records: list[Record], sent: list[Change], with_rules: bool) -> None:
    """Each decision did what its command and the three rules demand, in order, and nothing else."""
    stage, amount = STAGES[0], deals.FIRST_AMOUNT
    for number, record in enumerate(records):
        expected: list[Any] = []
        before = stage
        if number == 0:
            expected = [("created",), ("entered", "", stage, 1)]
        else:
            change = sent[number - 1]
            stage, amount = change.stage, change.amount
            expected = [("changed", {"amount": amount})]
            if number > 1 or with_rules:
                expected.append((f"{before}-{LATER}", "cancelled", "left stage"))
            expected.append(("entered", before, stage, number + 1))
        if number or with_rules:
            expected += [
                (f"{stage}-{AT_ONCE}", "dispatched", "email"),
                (f"{stage}-{LATER}", "waits", record.at_ms + DELAY_MS),
                (f"{stage}-{NEVER}", "skipped", "condition"),
            ]
        differ(f"record {number} of {key}", [_short(fact) for fact in record.did], expected)


def _short(fact: object) -> Any:
    """A fact as it is compared; one that is not expected at all stays itself."""
    match fact:
        case ItemCreated():
            return ("created",)
        case FieldsChanged(fields=fields):
            return ("changed", fields)
        case Entered(from_stage=from_stage, to_stage=to_stage, entry=entry):
            return ("entered", from_stage, to_stage, entry)
        case Dispatched(rule=rule, channel=channel):
            return (rule, "dispatched", channel)
        case StepWaits(rule=rule, due_ms=due_ms):
            return (rule, "waits", due_ms)
        case StepEnded(rule=rule, outcome=outcome, reason=reason):
            return (rule, outcome, reason)
    return fact


def _reports(key: str, timeline: list[Record]) -> None:
    """Every mail that went out was reported delivered, once."""
    facts = [(record.cause, fact) for record in timeline for fact in record.did]
    went = [(fact.rule, fact.step) for _, fact in facts if isinstance(fact, Dispatched)]
    done = [
        (fact.rule, fact.step)
        for cause, fact in facts
        if cause == "DeliveryReported" and isinstance(fact, StepEnded) and fact.outcome == "done"
    ]
    differ(f"the mails delivered for {key}", sorted(done), sorted(went))
