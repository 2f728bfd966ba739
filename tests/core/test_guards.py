"""Guards and holds (semantics 9), deliveries that fail (8), and messages between items (7.4, 7.5)."""

from stagewheel.protocol.journal import DeadLettered, DeliveryTried, Dispatched
from stagewheel.protocol.messages import Accepted, Applied, HoldItem, Moved, NotMoved, RetryDeadLetter
from tests.core.play import DAY_MS, Play, deals

MAIL = "{do: send_email, from: office@example.com, subject: S, body: B}"


WAITING = deals(
    """
    - {id: new, rules: [{id: a, run: {after: 1d}, action: {do: add_history, text: x}}]}
    - id: work
      triggers: [{id: t, on: app, code: go}]
      rules: [{id: b, action: {do: add_history, text: y}}]
    """
)


def test_s9_3_a_stopped_item_takes_commands_but_starts_nothing() -> None:
    play = Play(WAITING)
    play.create()
    assert play.submit(HoldItem("deal:1", mode="stop", by=9)) == Applied(1)
    assert [(rule, outcome) for rule, outcome, _ in play.outcomes()] == [("a", "cancelled")]
    assert play.event("go") == NotMoved("automation stopped", [])
    assert play.move("work") == Applied(2)
    assert play.effects() == []
    assert play.submit(HoldItem("deal:1", mode="resume", restart=True)) == Applied(3)
    assert play.effects() == ["history y"]


def test_s9_3_a_paused_item_keeps_its_messages_and_decides_them_in_order_on_resume() -> None:
    play = Play(WAITING)
    play.create()
    play.submit(HoldItem("deal:1", mode="pause"))
    assert play.update(size=1) == Accepted()
    assert play.event("go") == Accepted()
    assert play.update(size=2) == Accepted()
    play.wait(2 * DAY_MS)  # the timer falls due meanwhile
    assert play.effects() == []
    assert play.drive.item("deal:1").mailbox == 4  # type: ignore[union-attr]
    play.submit(HoldItem("deal:1", mode="resume"))
    assert play.stage() == "work"
    assert play.effects() == ["history y"]
    assert play.drive.item("deal:1").fields["size"] == 2  # type: ignore[union-attr]
    assert play.outcomes()[0] == ("a", "cancelled", "left stage")


def test_s8_2_a_retry_is_parked_and_carries_the_same_key() -> None:
    play = Play(deals(f"- {{id: new, rules: [{{id: m, action: {MAIL}}}]}}"))
    play.channel("email", retry="451 later", times=2, after="5m")
    play.create()
    play.wait(DAY_MS)
    assert [tried.attempt for tried in play.did(DeliveryTried)] == [1, 2]
    assert play.outcomes() == [("m", "done", "")]


def test_s8_3_what_is_given_up_becomes_a_dead_letter_and_can_be_retried() -> None:
    play = Play(
        deals(
            f"""
            - id: new
              rules:
                - {{id: m, action: {MAIL}}}
                - {{id: after, after_previous: true, action: {{do: add_history, text: after}}}}
            """
        )
    )
    play.channel("email", refuse="550 unknown")
    play.create()
    (letter,) = play.did(DeadLettered)
    assert letter.reason == "550 unknown"
    assert play.effects() == ["email S"]
    play.channel("email")
    assert play.submit(RetryDeadLetter("", number=letter.number)) == Applied(1)
    assert play.effects() == ["email S", "history after"]
    keys = {record.did[0].step for record in play.records if isinstance(record.did[0], Dispatched)}
    assert len(keys) <= 1


def test_s8_2_a_delivery_that_never_succeeds_is_given_up_after_its_attempts() -> None:
    play = Play(deals(f"- {{id: new, rules: [{{id: m, action: {MAIL}}}]}}"))
    play.channel("email", retry="451 later", after="1m")
    play.create()
    play.wait(DAY_MS)
    ((_, outcome, reason),) = play.outcomes()
    assert outcome == "failed"
    assert reason == "gave up after 10 attempts: 451 later"


def test_s1_7_a_report_of_an_earlier_entry_closes_its_step_and_starts_nothing() -> None:
    play = Play(
        deals(
            f"""
            - id: new
              rules:
                - {{id: m, action: {MAIL}}}
                - {{id: after, after_previous: true, action: {{do: add_history, text: after}}}}
            - id: work
            """
        )
    )
    play.channel("email", hold=True)
    play.create()
    play.move("work")
    play.channel("email")
    play.drive.settle()
    assert play.outcomes() == [("after", "cancelled", "left stage"), ("m", "done", "")]
    assert play.effects() == ["email S"]


def test_s7_5_an_item_created_from_another_is_a_message_to_it() -> None:
    play = Play(
        deals(
            """
            - id: new
            - id: won
              final: success
              rules:
                - id: again
                  action:
                    do: create_from
                    pipeline: deals
                    stage: new
                    title: "Again {{ item.title }}"
                    fields: {size: "{{ item.size }}"}
                    then: {fields: {note: copied}}
            """
        )
    )
    play.create(fields={"size": 3})
    play.move("won")
    created = [record.item for record in play.records if record.cause == "CreateItem"]
    assert len(created) == 2
    copy = play.drive.item(created[1])
    assert copy is not None
    assert (copy.title, copy.stage, copy.fields["size"], copy.source) == ("Again Roof", "new", 3, "deal:1")
    assert play.drive.item("deal:1").fields["note"] == "copied"  # type: ignore[union-attr]
    assert play.drive.engine.tally.mailbox_rows == 1


def test_g17_any_code_that_an_integration_defines_is_a_trigger() -> None:
    play = Play(WAITING)
    play.create()
    assert play.event("go") == Moved("new", "work", "t", 2)
