"""Features that meet: a rule's `steps:`, caps, `again_on_change`, holds, dead letters (semantics 1–3, 9)."""

from stagewheel.protocol.journal import CapAwaited, DeadLettered, StepEnded, WorkflowEnded
from stagewheel.protocol.messages import EnrolItem, Hold, HoldItem, RetryDeadLetter
from stagewheel.server.core.between import CapAnswered
from tests.core.play import DAY_MS, HOUR_MS, Play, deals
from tests.core.test_caps import deliver

MAIL = "{do: send_email, from: office@example.com, subject: %s, body: B}"


def note(text: str) -> str:
    return f"{{do: add_history, text: {text}}}"


def text_of(*rules: str, head: str = "") -> str:
    lines = "".join(f"    - {{{rule}}}\n" for rule in rules)
    return deals(f"- id: new\n  rules:\n{lines}- {{id: work}}\n", head)


def play_of(*rules: str, head: str = "") -> Play:
    return Play(text_of(*rules, head=head))


PAUSED_STEPS = f"id: r, steps: [{note('begin')}, {{do: pause, for: 1h}}, {note('late')}]"
NEXT = f"id: n, after_previous: true, action: {note('next')}"


def hold(play: Play, mode: str, stage: str = "new") -> None:
    play.submit(HoldItem("deal:1", mode=mode, stage=stage))


# ---------------------------------------------------------------- steps of a rule and holds


def test_s9_3_a_pause_within_a_rule_s_steps_that_ended_while_its_stage_was_paused_goes_on_at_resume() -> None:
    """T10, W11."""
    play = play_of(PAUSED_STEPS, NEXT)
    play.create()
    hold(play, "pause")
    play.wait(2 * HOUR_MS)
    assert play.effects() == ["history begin"]
    hold(play, "resume")
    assert play.effects() == ["history late", "history next"]
    assert play.outcomes() == [("r", "done", ""), ("n", "done", "")]


def test_s9_3_a_stopped_stage_ends_the_steps_of_its_rules() -> None:
    play = play_of(PAUSED_STEPS)
    play.create()
    hold(play, "stop")
    assert [(fact.outcome, fact.reason) for fact in play.did(WorkflowEnded)] == [
        ("cancelled", "stopped by command (stage new)")
    ]
    play.wait(DAY_MS)
    assert play.effects() == ["history begin"]


def test_s9_3_what_a_paused_rule_s_steps_waited_for_comes_and_they_stay() -> None:
    """A delivery is reported while the stage, or the rule, is paused."""
    for pause, resume in (
        [HoldItem("deal:1", mode=mode, stage="new") for mode in ("pause", "resume")],
        [Hold("", kind="rule", target="r", mode=mode) for mode in ("pause", "resume")],
    ):
        play = play_of(f"id: r, steps: [{MAIL % 'S'}, {note('behind')}]")
        play.channel("email", unknown="timed out", after="1h", times=1)
        play.create()
        play.submit(pause)
        play.wait(DAY_MS)
        assert play.effects() == ["email S", "email S"]
        play.submit(resume)
        play.wait(1)
        assert play.effects() == ["history behind"]
        assert play.outcomes() == [("r", "done", "")]


def test_s2_5_a_chain_that_did_not_wait_for_a_rule_s_steps_does_not_end_with_them() -> None:
    """Each rule of it has one outcome, also when the item leaves while the steps run."""
    play = play_of(f"wait: false, {PAUSED_STEPS}", NEXT)
    play.create()
    play.move("work")
    assert play.outcomes() == [("n", "done", ""), ("r", "cancelled", "left stage")]


# ---------------------------------------------------------------- acting again


AGAIN = "run: {before: 1h, of: meeting}, again_on_change: true"
TEN, LATER = "2026-03-02T10:30", "2026-03-05T10:30"


def test_s3_7_steps_behind_a_rule_that_acts_again_end() -> None:
    play = play_of(
        f"id: m, {AGAIN}, action: {note('remind')}",
        f"id: s, after_previous: true, steps: [{{do: pause, for: 3h}}, {note('call')}]",
    )
    play.create(fields={"meeting": TEN})
    play.wait(HOUR_MS)
    play.update(meeting=LATER)
    assert play.effects() == ["history remind"]
    play.wait(DAY_MS)
    assert play.effects() == []
    play.wait(5 * DAY_MS)
    assert play.effects() == ["history remind", "history call"]
    assert play.outcomes()[1] == ("s", "cancelled", "date changed")


def test_s3_7_a_rule_whose_steps_run_begins_again_with_the_new_date() -> None:
    play = play_of(f"id: m, {AGAIN}, steps: [{note('one')}, {{do: pause, for: 3h}}, {note('two')}]")
    play.create(fields={"meeting": TEN})
    play.wait(HOUR_MS)
    play.update(meeting=LATER)
    assert play.effects() == ["history one"]
    play.wait(5 * DAY_MS)
    assert play.effects() == ["history one", "history two"]
    assert play.outcomes() == [("m", "cancelled", "date changed"), ("m", "done", "")]


def test_s3_7_steps_that_change_their_own_date_come_to_their_end_and_again() -> None:
    """A reminder every week."""
    weekly = '{do: set_fields, fields: {meeting: "2026-03-09T10:30"}}'
    play = play_of(f"id: m, {AGAIN}, steps: [{{do: pause, for: 1h}}, {weekly}, {note('done')}]")
    play.create(fields={"meeting": TEN})
    play.wait(3 * HOUR_MS)
    assert play.effects() == ["history done"]
    assert [state for _, state, _ in play.waiting()] == ["waiting"]
    play.wait(8 * DAY_MS)
    assert play.effects() == ["history done"]
    assert play.outcomes() == [("m", "done", ""), ("m", "done", "")]


def test_s3_7_a_rule_that_waits_for_room_under_a_cap_follows_its_date() -> None:
    """N7, T9: the reminder of a meeting that was put off does not go out for the old one."""
    play = play_of(
        f"id: a, action: {MAIL % 'A'}",
        f"id: m, run: {{before: 1h, of: meeting}}, action: {MAIL % 'M'}",
        head="caps: {email: {limit: 1 per 1d, over: wait}}\n",
    )
    play.create(fields={"meeting": TEN})
    play.wait(HOUR_MS)
    assert [state for _, state, _ in play.waiting()] == ["asking"]
    play.update(meeting=LATER)
    assert [state for _, state, _ in play.waiting()] == ["waiting"]
    play.wait(2 * DAY_MS)
    assert play.effects() == ["email A"]
    play.wait(DAY_MS + HOUR_MS)
    assert play.effects() == ["email M"]


# ---------------------------------------------------------------- asking, held


def test_s9_3_a_step_whose_client_grants_it_while_its_stage_is_paused_stays() -> None:
    """The answer was on its way when the stage was paused."""
    one_a_day = "caps: {email: {limit: 1 per 1d, over: wait}}\n"
    play = play_of(f"id: a, action: {MAIL % 'A'}", f"id: m, action: {MAIL % 'M'}", head=one_a_day)
    play.create()
    [(_, state, asked_ms)] = play.waiting()
    assert state == "asking"
    hold(play, "pause")
    [step] = [one.step for one in play.did(CapAwaited)]
    deliver(play.drive.engine, "deal:1", CapAnswered("", step, asked_ms, True))
    play.drive.settle()
    assert play.effects() == ["email A"]
    play.wait(2 * DAY_MS)
    assert play.effects() == []
    hold(play, "resume")
    assert play.effects() == ["email M"]


# ---------------------------------------------------------------- dead letters


def test_s8_3_a_retried_dead_letter_does_not_begin_a_chain_again_that_went_on_without_it() -> None:
    for says in ("on_failure: continue", "wait: false"):
        play = play_of(f"id: m, {says}, action: {MAIL % 'M'}", NEXT)
        play.channel("email", refuse="no such user")
        play.create()
        play.recorder.channels.clear()
        play.submit(RetryDeadLetter("", number=play.did(DeadLettered)[0].number))
        assert [fact.outcome for fact in play.did(StepEnded) if fact.rule == "n"] == ["done"]
        assert ("m", "done", "") in play.outcomes()


# ---------------------------------------------------------------- taking another version


ONE_A_DAY = "caps: {email: {limit: 1 per 1d, over: wait}}\n"
A = f"id: a, action: {MAIL % 'A'}"


def enrolled(play: Play, *rules: str, head: str = "") -> None:
    play.publish(text_of(*rules, head=head))
    play.submit(EnrolItem("deal:1", mode="new"))


def test_s1_6_a_step_that_waits_for_room_takes_the_new_rule() -> None:
    """N6, N7: also where the new one would skip a moment that has passed, has no cap, or is disabled."""
    run = "run: {after: 1h, if_past: skip, max_late: 1h}"
    for new, head, effects, outcome in (
        (f"action: {MAIL % 'M'}", ONE_A_DAY, [], None),
        (f"action: {MAIL % 'M'}", "", ["email M"], "done"),
        (f"action: {note('x')}", "", ["history x"], "done"),
        (f"disabled: true, action: {note('x')}", "", [], "done"),
        (f"when: {{size: {{gt: 1}}}}, action: {note('x')}", "", [], "skipped"),
    ):
        play = play_of(A, f"id: m, {run}, action: {MAIL % 'M'}", head=ONE_A_DAY)
        play.create()
        play.wait(5 * HOUR_MS)
        assert play.effects() == ["email A"]
        enrolled(play, A, f"id: m, {run}, {new}", head=head)
        assert play.effects() == effects
        assert [one for rule, one, _ in play.outcomes() if rule == "m"] == ([outcome] if outcome else [])
        assert [state for _, state, _ in play.waiting()] == ([] if outcome else ["asking"])
        play.wait(2 * DAY_MS)
        assert play.effects() == ([] if outcome else ["email M"])


def test_s1_6_a_rule_that_has_begun_again_while_its_steps_run_loses_none_of_both() -> None:
    weekly = '{do: set_fields, fields: {meeting: "2026-03-09T10:30"}}'
    rule = f"id: m, {AGAIN}, steps: [{weekly}, {{do: pause, for: 1d}}, {note('end')}]"
    play = play_of(rule)
    play.create(fields={"meeting": TEN})
    play.wait(HOUR_MS)
    enrolled(play, f"id: new, action: {note('new')}", rule)
    assert [(rule, state) for rule, state, _ in play.waiting() if rule == "m"] == [
        ("m", "waiting"),
        ("m", "running"),
    ]
    play.wait(10 * DAY_MS)
    assert play.effects() == ["history new", "history end", "history end"]
    assert [one for rule, one, _ in play.outcomes() if rule == "m"] == ["done", "done"]


def test_s1_6_all_steps_of_a_rule_end_that_a_version_does_not_have() -> None:
    weekly = '{do: set_fields, fields: {meeting: "2026-03-09T10:30"}}'
    play = play_of(f"id: m, {AGAIN}, steps: [{weekly}, {{do: pause, for: 1d}}, {note('end')}]")
    play.create(fields={"meeting": TEN})
    play.wait(HOUR_MS)
    enrolled(play, f"id: new, action: {note('new')}")
    assert play.waiting() == []
    assert [end for end in play.outcomes() if end[0] == "m"] == [("m", "cancelled", "rule removed")] * 2
    play.wait(10 * DAY_MS)
    assert play.effects() == ["history new"]
