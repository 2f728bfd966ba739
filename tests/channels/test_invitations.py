"""Meetings as iCalendar: the file parses back, and the invitation arrives over real SMTP (E9)."""

import email
import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

from icalendar import Calendar

from stagewheel.cli.calendar import event_of
from stagewheel.protocol.journal import AddressesLeftOut
from stagewheel.protocol.messages import Address, Client, Employee, Job, Suppress
from stagewheel.server.actors.taking import hand_out
from stagewheel.server.channels.base import Delivered
from stagewheel.server.rules.channels_doc import EmailContent
from stagewheel.server.rules.ics import calendar_of
from stagewheel.server.scenarios.recorder import ROUTE, STORE_ID
from stagewheel.server.senders.pool import Task
from stagewheel.server.senders.rendering import read_row, render
from tests.channels.peers import Inbox, mail_server
from tests.channels.test_smtp import opened
from tests.core.play import HOUR_MS, MONDAY_NINE_MS, Play, deals
from tests.core.test_activities import calendar

TEXT = (
    "Besichtigung; Dach, Höhe\nwith a second line that is long enough to be folded by whoever writes it down"
)
MEETING = f"""
    - id: new
      rules:
        - id: meet
          action:
            do: schedule_meeting
            text: {TEXT!r}
            deadline: {{at: meeting}}
            duration: 90m
            room: Blue
            address: "Main street 4, Rome"
            link: "https://meet.example.com/1"
            colour: tomato
            invited: [8, 9, 10]
            clients: all
            invite: true
        - id: told
          after_previous: true
          action: {{do: add_history, text: "sent {{{{ previous.message_id }}}}"}}
""".replace("'Besichtigung", '"Besichtigung').replace("down'", 'down"')
AT = datetime(2026, 3, 7, 13, 0, tzinfo=UTC)


def planned(**item: Any) -> Play:
    play = Play(deals(MEETING))
    play.put_employee(Employee(8, "Karl, the Great", [Address("karl@example.com")]))
    play.put_employee(Employee(10, "No Mail"))
    firm = Client("Firma", [Address("office@firma.example")], kind="company")
    play.create(**{"company": firm, "fields": {"meeting": "2026-03-07T14:00:00+01:00"}, **item})
    return play


def held_job(play: Play) -> tuple[Job, Task]:
    """What a sender process would render of the mail in the outbox."""
    engine = play.drive.engine
    engine.handout.pull(ROUTE, "email", 10)
    [(_, [job])] = hand_out(engine)
    row = read_row(job)
    task = render(row, job.number, engine.reference.facts.versions[row.version], STORE_ID, False)  # type: ignore[arg-type, union-attr]
    assert isinstance(task, Task), task
    return job, task


async def test_the_invitation_arrives_over_smtp_as_a_request_that_calendars_take() -> None:
    """E9: .ics, mailed to the invited when asked; one mail with text/calendar, method REQUEST."""
    play = Play()
    play.channel("email", hold=True)
    play.publish(deals(MEETING))
    play.put_employee(Employee(8, "Karl, the Great", [Address("karl@example.com")]))
    play.put_employee(Employee(10, "No Mail"))
    firm = Client("Firma", [Address("office@firma.example")], kind="company")
    play.create(company=firm, fields={"meeting": "2026-03-07T14:00:00+01:00"})
    _, task = held_job(play)
    inbox = Inbox()
    with mail_server(inbox) as port:
        async with opened(port) as channel:
            outcome = await channel.deliver(task.content, task.delivery)
    assert isinstance(outcome, Delivered)
    [envelope] = inbox.mails
    invited = ["karl@example.com", "boss@example.com", "ada@example.com", "office@firma.example"]
    assert (envelope.mail_from, envelope.rcpt_tos) == ("ines@example.com", invited)
    assert isinstance(envelope.content, bytes)
    mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    assert mail["Subject"] == TEXT.splitlines()[0]
    assert mail.get_content_type() == "multipart/alternative"
    plain, request = mail.iter_parts()
    assert "2026-03-07T14:00:00+01:00 – 2026-03-07T15:30:00+01:00 (Europe/Rome)" in plain.get_content()
    assert request.get_content_type() == "text/calendar"
    assert request.get_param("method") == "REQUEST"
    [entry] = calendar(play, 7)
    parsed = Calendar.from_ical(request.get_content())
    assert (parsed["METHOD"], parsed["VERSION"]) == ("REQUEST", "2.0")
    event: Any
    [event] = parsed.walk("VEVENT")
    assert (event["UID"], event["SEQUENCE"]) == (entry.uid, 0)
    assert event.decoded("DTSTART") == AT
    assert (event.decoded("DTEND") - AT).total_seconds() == 90 * 60
    assert event.decoded("DTSTAMP").timestamp() * 1000 == MONDAY_NINE_MS
    assert (event["SUMMARY"], event["DESCRIPTION"]) == (TEXT.splitlines()[0], TEXT)
    assert (event["LOCATION"], event["COLOR"]) == ("Blue, Main street 4, Rome", "tomato")
    assert event["URL"] == "https://meet.example.com/1"
    assert (event["ORGANIZER"], event["ORGANIZER"].params["CN"]) == ("mailto:ines@example.com", "Ines")
    assert [str(one) for one in event["ATTENDEE"]] == [f"mailto:{address}" for address in invited]
    assert [one.params["CN"] for one in event["ATTENDEE"]] == ["Karl, the Great", "Boss", "Ada", "Firma"]
    assert {one.params["PARTSTAT"] for one in event["ATTENDEE"]} == {"NEEDS-ACTION"}
    assert {one.params["RSVP"] for one in event["ATTENDEE"]} == {"TRUE"}


def test_what_is_chained_behind_a_meeting_waits_for_its_invitation() -> None:
    """E9; 2.6: delivered when the mail was taken."""
    play = planned()
    assert [(rule, outcome) for rule, outcome, _ in play.outcomes()] == [("meet", "done"), ("told", "done")]
    refused = Play()
    refused.channel("email", refuse="no such mailbox")
    refused.publish(deals(MEETING))
    refused.create(fields={"meeting": "2026-03-07T14:00:00+01:00"})
    assert [(rule, outcome) for rule, outcome, _ in refused.outcomes()] == [
        ("meet", "failed"),
        ("told", "cancelled"),
    ]


def test_s7_3_an_invitation_with_nobody_to_write_to_fails_and_plans_nothing() -> None:
    """E9; 7.3."""
    rules = deals(MEETING).replace("invited: [8, 9, 10]", "invited: [10]")
    play = Play(rules)
    play.create(client=None, fields={"meeting": "2026-03-07T14:00:00+01:00"})
    assert play.outcomes()[0] == ("meet", "failed", "nobody who is invited has an e-mail address")
    assert calendar(play, 7) == []


def test_s8_8_a_client_whose_address_bounced_is_not_invited_and_one_that_unsubscribed_is() -> None:
    """E9; 8.8."""
    play = planned()
    play.submit(Suppress("", channel="email", address="ada@example.com", kind="unsubscribed"))
    play.submit(Suppress("", channel="email", address="office@firma.example", kind="bounced"))
    play.recorder.take()
    play.create(
        "deal:2",
        company=Client("Firma", [Address("office@firma.example")], kind="company"),
        fields={"meeting": "2026-03-09T14:00:00+01:00"},
    )
    [mail] = [values for effect in play.recorder.take() for kind, values in effect.items() if kind == "email"]
    assert mail["to"] == ["karl@example.com", "boss@example.com", "ada@example.com"]
    [left_out] = play.did(AddressesLeftOut, "deal:2")
    assert (left_out.addresses, left_out.kinds) == (["office@firma.example"], ["bounced"])
    alone = Play(deals(MEETING).replace("invited: [8, 9, 10]", "invited: [10]"))
    alone.submit(Suppress("", channel="email", address="ada@example.com", kind="complained"))
    alone.create(fields={"meeting": "2026-03-09T14:00:00+01:00"})
    assert alone.outcomes()[0] == ("meet", "skipped", "suppressed")
    assert calendar(alone, 7) == []


def test_the_calendar_of_an_employee_parses_back_as_an_icalendar_file() -> None:
    """E9: .ics of the personal calendar."""
    play = planned()
    play.create("deal:2", fields={"meeting": "2026-03-08T14:00:00+01:00"})
    data = calendar_of(map(event_of, calendar(play, 8)))
    assert all(len(line) <= 75 for line in data.split(b"\r\n"))
    parsed = Calendar.from_ical(data)
    assert "METHOD" not in parsed
    first, second = parsed.walk("VEVENT")
    assert first["UID"] != second["UID"]
    assert (first["SUMMARY"], first["DESCRIPTION"]) == (TEXT.splitlines()[0], TEXT)
    assert (second.decoded("DTSTART") - first.decoded("DTSTART")).total_seconds() * 1000 == 24 * HOUR_MS


def test_a_scenario_sees_the_invitation_as_an_email_with_its_calendar() -> None:
    """E9."""
    play = planned()
    effects = [
        values for effect in play.recorder.take() for kind, values in effect.items() if kind == "email"
    ]
    [mail] = effects
    assert isinstance(mail["calendar"], str)
    assert "METHOD:REQUEST" in mail["calendar"]
    assert EmailContent.__struct_fields__
