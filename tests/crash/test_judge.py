"""The judge of the crash test complains of what is wrong: one change to a clean observation at a time."""

from collections.abc import Callable

import pytest

from stagewheel.protocol.journal import (
    Did,
    Dispatched,
    Entered,
    EventSeen,
    FieldsChanged,
    Held,
    HistoryAdded,
    ItemCreated,
    Record,
    StepEnded,
    StepWaits,
)
from tests.crash.judge import LATE_MS_MAX, Mail, Observed, Waiting, judge
from tests.crash.log import (
    ACCEPTED,
    CREATE,
    EVENT,
    FAILED,
    PAUSE,
    RESUME,
    STAGE,
    UPDATE,
    Answered,
    Broken,
    Completed,
    Meant,
    Sent,
)

KINDS = [CREATE, UPDATE, PAUSE, EVENT, STAGE, RESUME]
NOW_MS = 1_000_000


def clean() -> Observed:
    """An item that was created, changed, paused and moved; two mails; a timer that fired, and one to come."""
    did: list[tuple[int, list[Did]]] = [
        (
            100,
            [
                ItemCreated("jobs", ""),
                Entered("", "a", 1),
                Dispatched("mail", 1, "email", 1),
                StepWaits("soon", 2, 500),
            ],
        ),
        (110, [FieldsChanged({"n": 2})]),
        (120, [StepEnded("mail", 1, "done")]),
        (130, [Held("paused", "", 3)]),
        (140, [Held("resumed", "", 6)]),
        (150, [EventSeen("app", "4")]),
        (500, [HistoryAdded("soon", "soon"), StepEnded("soon", 2, "done")]),
        (
            600,
            [
                FieldsChanged({"n": 5}),
                Entered("a", "b", 2),
                Dispatched("late", 3, "email", 2),
                StepWaits("far", 4, NOW_MS),
            ],
        ),
        (700, [StepEnded("late", 3, "done")]),
    ]
    journal = [
        (at, Record("job:1", at - 1, at_ms, "jobs", 1, "", facts))
        for at, (at_ms, facts) in enumerate(did, start=1)
    ]
    return Observed(
        lines=[
            Sent(1, [Meant("job:1", number, kind) for number, kind in enumerate(KINDS, start=1)]),
            Answered(1, ["applied", "applied", "applied", ACCEPTED, ACCEPTED, "applied"]),
            Completed(1, ["applied", "applied", "applied", "notmoved", "applied", "applied"]),
        ],
        journal=journal,
        mails=[Mail("job:1 1 1", "<1@x>", "mail"), Mail("job:1 2 5", "<2@x>", "late")],
        waiting=[Waiting("job:1", 4, NOW_MS)],
        now_ms=NOW_MS,
    )


def test_a_clean_observation_gives_no_complaint() -> None:
    assert judge(clean(), duplicates=False) == []


def lose_event(seen: Observed) -> None:
    seen.journal[5][1].did.clear()


def repeat_event(seen: Observed) -> None:
    seen.journal[6][1].did.append(EventSeen("app", "4"))


def swap_order(seen: Observed) -> None:
    seen.journal[5][1].did[:], seen.journal[7][1].did[0] = [FieldsChanged({"n": 5})], EventSeen("app", "4")


def invent_command(seen: Observed) -> None:
    seen.journal[8][1].did.append(EventSeen("app", "9"))


def apply_refused(seen: Observed) -> None:
    seen.lines[1] = Answered(
        1, ["applied", f"{FAILED} mailbox_full", "applied", ACCEPTED, ACCEPTED, "applied"]
    )
    seen.lines[2] = Completed(
        1, ["applied", f"{FAILED} mailbox_full", "applied", "moved", "applied", "applied"]
    )


def pause_twice(seen: Observed) -> None:
    seen.journal[4][1].did.append(Held("paused", "", 3))


def lose_record(seen: Observed) -> None:
    del seen.journal[2]


def break_chain(seen: Observed) -> None:
    seen.journal[4][1].prev = 2


def run_backwards(seen: Observed) -> None:
    seen.journal[4][1].at_ms = 100


def fire_early(seen: Observed) -> None:
    seen.journal[6][1].at_ms = 499


def fire_twice(seen: Observed) -> None:
    seen.journal[8][1].did.append(StepEnded("soon", 2, "done"))


def act_without_outcome(seen: Observed) -> None:
    seen.journal[8][1].did.append(HistoryAdded("soon", "soon"))


def lose_timer(seen: Observed) -> None:
    seen.now_ms = NOW_MS + LATE_MS_MAX + 1


def lose_step(seen: Observed) -> None:
    seen.waiting.clear()


def forget_due(seen: Observed) -> None:
    seen.waiting = [Waiting("job:1", 4, NOW_MS + 1)]


def lose_report(seen: Observed) -> None:
    seen.journal[8][1].did.clear()


def lose_mail(seen: Observed) -> None:
    del seen.mails[0]


def invent_mail(seen: Observed) -> None:
    seen.mails.append(Mail("job:1 3 5", "<3@x>", "mail"))


def repeat_mail(seen: Observed) -> None:
    seen.mails.append(seen.mails[0])


def rename_mail(seen: Observed) -> None:
    seen.mails.append(Mail("job:1 1 1", "<4@x>", "mail"))


def share_name(seen: Observed) -> None:
    seen.mails[1] = Mail("job:1 2 5", "<1@x>", "late")


def give_up_mail(seen: Observed) -> None:
    seen.dead_letters = 1


def meet_poison(seen: Observed) -> None:
    seen.poison = 1


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lose_event, "R1: job:1 #4 (event) was acknowledged and is not in the journal"),
        (repeat_event, "R2: job:1 #4 was applied 2 times"),
        (swap_order, "R2: job:1 #4 was applied after #5"),
        (invent_command, "R2: job:1 #9 is in the journal and was never sent"),
        (apply_refused, "R2: job:1 #2 was refused and is in the journal"),
        (pause_twice, "R2: job:1 #3 was applied 2 times"),
        (lose_record, "R1: after position 2 of the journal comes 4"),
        (break_chain, "R1: record 5 of job:1 follows 2, not 4"),
        (run_backwards, "R3: record 5 of job:1 runs 30 ms backwards"),
        (fire_early, "R3: step ('job:1', 2) acted 1 ms before its moment"),
        (fire_twice, "R3: step ('job:1', 2) has 2 outcomes"),
        (act_without_outcome, "R3: ('job:1', 'soon'): +1 effects beside its outcomes"),
        (lose_timer, "R3: step ('job:1', 4) is lost: its moment passed 60001 ms ago"),
        (lose_step, "R3: step ('job:1', 4) has no outcome and does not wait"),
        (forget_due, "R3: step ('job:1', 4) waits for 1000001, its record says 1000000"),
        (lose_report, "R4: step ('job:1', 3) was dispatched and has no outcome"),
        (lose_mail, "R4: the mail 'job:1 1 1' of rule mail never came"),
        (invent_mail, "R4: the mail 'job:1 3 5' of rule mail came and nobody decided it"),
        (repeat_mail, "R4: the mail ('job:1 1 1', 'mail') came 2 times, and nothing crashed"),
        (rename_mail, "R4: the mail ('job:1 1 1', 'mail') came under 2 names"),
        (share_name, "R4: the mails ('job:1 2 5', 'late') and ('job:1 1 1', 'mail') have one name"),
        (give_up_mail, "R4: 1 dead letters"),
        (meet_poison, "R5: 1 poison messages"),
    ],
)
def test_it_complains_when_somebody(change: Callable[[Observed], None], complaint: str) -> None:
    seen = clean()
    change(seen)
    assert complaint in judge(seen, duplicates=False)


def test_after_a_crash_a_mail_may_come_twice_under_one_name() -> None:
    seen = clean()
    repeat_mail(seen)
    assert judge(seen, duplicates=True) == []


@pytest.mark.parametrize("applied", [True, False])
def test_what_the_client_gave_up_may_be_applied_or_not(applied: bool) -> None:
    seen = clean()
    seen.lines += [Sent(2, [Meant("job:1", 7, EVENT)]), Broken(2, "the server broke the protocol")]
    if applied:
        seen.journal[8][1].did.append(EventSeen("app", "7"))
    assert judge(seen, duplicates=False) == []
