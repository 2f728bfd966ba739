"""Hours of rules and pauses (semantics 3.8, 3.9, 3.2): company, responsible, client (T5, T6)."""

import datetime
from zoneinfo import ZoneInfo

import pytest

from stagewheel.protocol.journal import StepWaits, WorkflowWaits
from stagewheel.protocol.messages import (
    Absence,
    Address,
    Applied,
    Client,
    Employee,
    Failed,
    PutEmployee,
    UpdateItem,
)
from stagewheel.server.store.tables import Table
from tests.core.play import DAY_MS, HOUR_MS, MONDAY_NINE_MS, Play, deals

ROME = ZoneInfo("Europe/Rome")
CALENDAR = """\
calendar:
  week: {mon-fri: ["09:00-13:00", "14:00-18:00"]}
  closed: [2026-03-03]
quiet_hours: {from: "21:00", to: "08:00"}
"""
MONDAY, TUESDAY, WEDNESDAY, FRIDAY = (f"2026-03-0{n}" for n in (2, 3, 4, 6))


def moment(text: str, zone: str = "Europe/Rome") -> int:
    return int(datetime.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def rule(hours: str, run: str = "immediately", *, at: str = f"{MONDAY}T09:00", head: str = CALENDAR) -> Play:
    line = f"{{id: a, run: {run}, hours: {hours}, action: {{do: add_history, text: x}}}}"
    return Play(deals(f"- id: new\n  rules:\n    - {line}\n- id: later", head), at_ms=moment(at))


def due(play: Play) -> list[tuple[int, list[str]]]:
    return [(wait.due_ms, wait.outside) for wait in play.did(StepWaits)]


def until(play: Play, text: str) -> list[str]:
    """What happens up to just before a moment, and then at it."""
    before = play.drive.engine.now_ms()
    play.wait(moment(text) - before - 1)
    early = play.effects()
    play.wait(1)
    return [*early, "|", *play.effects()]


# ---------------------------------------------------------------- company


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        (f"{MONDAY}T08:59", f"{MONDAY}T09:00"),
        (f"{MONDAY}T13:00", f"{MONDAY}T14:00"),
        (f"{MONDAY}T18:00", f"{WEDNESDAY}T09:00"),  # Tuesday is closed
        (f"{TUESDAY}T10:00", f"{WEDNESDAY}T09:00"),
        ("2026-03-07T10:00", "2026-03-09T09:00"),
        ("2026-03-28T10:00", "2026-03-30T09:00"),  # summer time begins in between
    ],
)
def test_s3_8_an_immediate_rule_is_held_until_the_company_opens(at: str, opens: str) -> None:
    play = rule("company", at=at)
    play.create()
    assert due(play) == [(moment(opens), ["company"])]
    assert play.waiting() == [("a", "held", moment(opens))]
    assert until(play, opens) == ["|", "history x"]
    assert play.waiting() == []


def test_s3_8_within_its_hours_a_rule_is_not_held() -> None:
    play = rule("company")
    play.create()
    assert play.effects() == ["history x"]
    assert due(play) == []


def test_s3_8_it_is_looked_at_when_it_is_due() -> None:
    play = rule("company", "{after: 5h}", at=f"{MONDAY}T08:30")  # due 13:30, in the break
    play.create()
    assert due(play) == [(moment(f"{MONDAY}T13:30"), [])]
    assert until(play, f"{MONDAY}T14:00") == ["|", "history x"]
    assert due(play)[1:] == [(moment(f"{MONDAY}T14:00"), ["company"])]


def test_s3_8_the_condition_is_of_the_moment_after_the_hold() -> None:
    text = "{id: a, hours: company, when: {size: {gt: 1}}, action: {do: add_history, text: x}}"
    play = Play(deals(f"- id: new\n  rules:\n    - {text}", CALENDAR), at_ms=moment(f"{MONDAY}T07:00"))
    play.create(fields={"size": 0})
    play.update(size=2)
    assert until(play, f"{MONDAY}T09:00") == ["|", "history x"]


def test_s3_8_a_held_rule_ends_when_the_item_leaves_the_stage() -> None:
    play = rule("company", at=f"{MONDAY}T07:00")
    play.create()
    play.move("later")
    play.wait(30 * DAY_MS)
    assert play.outcomes() == [("a", "cancelled", "left stage")]


def test_s3_8_what_is_chained_behind_a_held_rule_waits_with_it() -> None:
    rules = """\
    - id: new
      rules:
        - {id: a, hours: company, action: {do: add_history, text: x}}
        - {id: b, after_previous: true, run: {after: 1d}, action: {do: add_history, text: y}}
    """
    play = Play(deals(rules, CALENDAR), at_ms=moment("2026-03-07T10:00"))
    play.create()
    assert until(play, "2026-03-09T09:00") == ["|", "history x"]
    assert until(play, "2026-03-10T09:00") == ["|", "history y"]


def test_s3_8_no_such_moment_within_a_year_fails() -> None:
    # A client nine or ten hours away is awake only while the company sleeps, in summer and in winter.
    head = """\
    calendar: {week: {mon-fri: ["09:00-17:00"]}}
    quiet_hours: {from: "20:00", to: "08:00"}
    """
    play = rule("[company, client]", head=head)
    play.create(client=Client("Kai", timezone="Pacific/Pitcairn"))
    ((name, outcome, reason),) = play.outcomes()
    assert (name, outcome) == ("a", "failed")
    assert reason == "no moment within a year lies within the hours of company, client"


# ---------------------------------------------------------------- responsible


def test_s3_8_the_responsible_s_own_hours_and_absences_hold_a_rule() -> None:
    play = rule("responsible")
    absences = [Absence(MONDAY, WEDNESDAY), Absence("2026-03-05T10:00", "2026-03-05T11:30")]
    play.put_employee(Employee(7, "Ines", hours={"mon-fri": ["10:00-12:00"]}, absences=absences))
    play.create()
    assert due(play) == [(moment("2026-03-05T11:30"), ["responsible"])]
    assert until(play, "2026-03-05T11:30") == ["|", "history x"]


def test_s3_8_own_hours_are_in_the_employee_s_zone_and_company_holidays_hold_for_everybody() -> None:
    play = rule("responsible", at=f"{MONDAY}T23:00")
    play.put_employee(Employee(7, "Ines", hours={"mon-fri": ["09:00-17:00"]}, timezone="America/New_York"))
    play.create()  # 17:00 in New York; Tuesday is a closed day of the company
    assert due(play) == [(moment(f"{WEDNESDAY}T09:00", "America/New_York"), ["responsible"])]


def test_s3_8_who_has_no_hours_keeps_those_of_the_company() -> None:
    play = rule("responsible", at=f"{MONDAY}T07:00")
    play.create()
    assert due(play) == [(moment(f"{MONDAY}T09:00"), ["responsible"])]


@pytest.mark.parametrize("responsible", [0, 77, 9])
def test_s3_8_no_responsible_an_unknown_or_a_removed_one_means_the_company(responsible: int) -> None:
    play = rule("responsible", at=f"{MONDAY}T07:00")
    play.put_employee(Employee(9, "Gone", active=False, hours={"sun": ["10:00-11:00"]}))
    play.create(responsible=responsible)
    assert due(play) == [(moment(f"{MONDAY}T09:00"), ["responsible"])]


def test_s3_8_another_responsible_makes_a_held_rule_look_again() -> None:
    play = rule("responsible")
    play.put_employee(Employee(7, "Ines", absences=[Absence(MONDAY, FRIDAY)]))
    play.create()
    assert due(play) == [(moment("2026-03-09T09:00"), ["responsible"])]
    play.submit(UpdateItem("deal:1", responsible=9))
    assert play.effects() == ["history x"]
    play.wait(30 * DAY_MS)
    assert play.effects() == []


def test_s3_8_a_new_responsible_may_make_the_hold_longer() -> None:
    play = rule("responsible", at=f"{MONDAY}T07:00")
    play.put_employee(Employee(9, "Boss", absences=[Absence(MONDAY, WEDNESDAY)]))
    play.create()
    play.submit(UpdateItem("deal:1", responsible=9))
    assert due(play) == [
        (moment(f"{MONDAY}T09:00"), ["responsible"]),
        (moment("2026-03-05T09:00"), ["responsible"]),
    ]
    assert until(play, "2026-03-05T09:00") == ["|", "history x"]


def test_s3_8_changed_absences_make_held_rules_look_again() -> None:
    play = rule("responsible")
    ill = Employee(7, "Ines", absences=[Absence(MONDAY, FRIDAY)])
    play.put_employee(ill)
    for number in range(3):
        play.create(f"deal:{number}")
    play.create("deal:of-another", responsible=9)
    assert play.effects() == ["history x"]
    play.wait(5 * HOUR_MS)
    play.put_employee(Employee(7, "Ines", absences=[Absence(MONDAY, WEDNESDAY)]))  # back on Thursday
    assert [play.waiting(f"deal:{n}") for n in range(3)] == [[("a", "held", moment("2026-03-05T09:00"))]] * 3
    assert until(play, "2026-03-05T09:00") == ["|", *["history x"] * 3]
    play.wait(30 * DAY_MS)
    assert play.effects() == []


def test_s3_8_who_comes_back_early_lets_go_at_once() -> None:
    play = rule("responsible")
    play.put_employee(Employee(7, "Ines", absences=[Absence(MONDAY, FRIDAY)]))
    play.create()
    play.put_employee(Employee(7, "Ines"))
    assert play.effects() == ["history x"]


def test_s3_8_an_absence_that_never_ends_fails_a_held_rule_and_no_other_change_of_an_employee_is_seen() -> (
    None
):
    play = rule("responsible", at=f"{MONDAY}T07:00")
    play.put_employee(Employee(7, "Ines", absences=[Absence(TUESDAY, WEDNESDAY)]))
    play.create()
    seen = len(play.records)
    play.put_employee(Employee(7, "Ines Renamed", absences=[Absence(TUESDAY, WEDNESDAY)]))
    assert len(play.records) == seen
    play.put_employee(Employee(7, "Ines", absences=[Absence(MONDAY, "2028-01-01")]))
    assert play.outcomes() == [
        ("a", "failed", "no moment within a year lies within the hours of responsible")
    ]


def test_the_rows_that_tell_of_changes_go_with_the_hold() -> None:
    play = rule("responsible", at=f"{MONDAY}T07:00")
    play.create()
    rows = play.drive.engine.store.snapshot().range(Table.HELD_BY, b"", None, 10)
    assert [key[8:] for key, _ in rows] == [b"deal:1"]
    play.wait(3 * HOUR_MS)
    assert play.effects() == ["history x"]
    assert play.drive.engine.store.snapshot().range(Table.HELD_BY, b"", None, 10) == []


# ---------------------------------------------------------------- client


NEW_YORK_AT_EIGHT = [(moment(f"{MONDAY}T08:00", "America/New_York"), ["client"])]
IRELAND_AT_EIGHT = [(moment(f"{MONDAY}T08:00", "Europe/Dublin"), ["client"])]


@pytest.mark.parametrize(
    ("client", "item_zone", "held"),
    [
        # It is 08:30 in Rome. The client's own zone comes first …
        (Client("Ada", timezone="America/New_York"), "", NEW_YORK_AT_EIGHT),
        (Client("Ada", phones=[Address("+353 1 123 4567")], timezone="Asia/Tokyo"), "", []),
        # … then the country of its phone, if that has one zone …
        (Client("Ada", phones=[Address("+353 1 123 4567")]), "", IRELAND_AT_EIGHT),
        (Client("Ada", phones=[Address("+81 3 1234 5678")]), "America/New_York", []),
        (Client("Ada", phones=[Address("06 12345"), Address("+353 1 123 4567")]), "", IRELAND_AT_EIGHT),
        # … else the item's: many zones, no country, a zone that is none, no client at all.
        (Client("Ada", phones=[Address("+1 212 555 0100")]), "", []),
        (Client("Ada", phones=[Address("+1 212 555 0100")]), "America/New_York", NEW_YORK_AT_EIGHT),
        (Client("Ada", phones=[Address("06 12345")]), "", []),
        (Client("Ada", timezone="Nowhere/At_All"), "", []),
        (None, "America/New_York", NEW_YORK_AT_EIGHT),
    ],
)
def test_s3_8_a_client_s_quiet_hours_are_those_of_its_own_zone(
    client: Client | None, item_zone: str, held: list[tuple[int, list[str]]]
) -> None:
    play = rule("client", at=f"{MONDAY}T08:30")
    play.create(client=client, timezone=item_zone)
    assert due(play) == held
    assert play.effects() == ([] if held else ["history x"])


def test_s3_2_a_zone_of_the_phone_s_country_is_not_asked_where_that_country_has_several() -> None:
    play = rule("client", at=f"{MONDAY}T07:30")
    play.create(client=Client("Ada", phones=[Address("+34 91 123 4567")]))  # Spain has the Canaries
    assert due(play) == [(moment(f"{MONDAY}T08:00"), ["client"])]


def test_s3_8_quiet_hours_go_over_midnight_in_another_zone() -> None:
    play = rule(
        "client", "{after: 12h}", at=f"{MONDAY}T16:00"
    )  # due 04:00: 12:00 in Tokyo, 22:00 in New York
    play.create("deal:tokyo", client=Client("A", timezone="Asia/Tokyo"))
    play.create("deal:york", client=Client("B", timezone="America/New_York"))
    play.create("deal:rome", client=Client("C", timezone="Europe/Rome"))
    play.wait(12 * HOUR_MS)
    assert play.effects() == ["history x"]
    assert play.waiting("deal:york") == [("a", "held", moment(f"{TUESDAY}T08:00", "America/New_York"))]
    assert play.waiting("deal:rome") == [("a", "held", moment(f"{TUESDAY}T08:00"))]


def test_s3_8_quiet_hours_at_noon_do_not_go_over_midnight() -> None:
    play = rule("client", head='quiet_hours: {from: "12:00", to: "14:00"}\n', at=f"{MONDAY}T12:00")
    play.create()
    assert due(play) == [(moment(f"{MONDAY}T14:00"), ["client"])]


def test_s3_8_all_of_several_hours_must_be_open() -> None:
    play = rule("[company, client]", at=f"{FRIDAY}T16:00")
    play.create(client=Client("Ada", timezone="America/Los_Angeles"))  # awake from 17:00 to 06:00 in Rome
    assert due(play) == [(moment(f"{FRIDAY}T17:00"), ["client"])]
    play.move("later")
    play.wait(moment(f"{FRIDAY}T18:00") - moment(f"{FRIDAY}T16:00"))
    play.move("new")
    # Monday the 9th: California has summer time already, so 08:00 there is 16:00 in Rome.
    assert due(play)[1:] == [(moment("2026-03-09T16:00"), ["company"])]


def test_s3_8_a_client_s_new_zone_makes_a_held_rule_look_again() -> None:
    play = rule("client", at=f"{MONDAY}T06:00")
    play.create()
    play.submit(UpdateItem("deal:1", client=Client("Ada", timezone="Asia/Tokyo")))
    assert play.effects() == ["history x"]


# ---------------------------------------------------------------- working durations


@pytest.mark.parametrize(
    ("run", "at", "fields", "expected"),
    [
        ("{after: 1wd}", "2026-03-07T10:00", {}, "2026-03-10T09:00"),  # Saturday 10:00: Tuesday 09:00
        ("{after: 1wd}", f"{MONDAY}T10:00", {}, f"{WEDNESDAY}T10:00"),  # over the closed Tuesday
        ("{after: 4wh}", f"{MONDAY}T16:00", {}, f"{WEDNESDAY}T11:00"),
        ("{before: 2wd, of: due}", f"{MONDAY}T09:00", {"due": "2026-03-12"}, "2026-03-09T18:00"),
        (
            '{before: 2wd, of: due, time: "10:00"}',
            f"{MONDAY}T09:00",
            {"due": "2026-03-12"},
            "2026-03-10T10:00",
        ),
        (
            "{after: 2wh, of: meeting}",
            f"{MONDAY}T09:00",
            {"meeting": "2026-03-06T17:00:00"},
            "2026-03-09T10:00",
        ),
    ],
)
def test_s3_9_working_days_and_hours_are_those_of_the_company_calendar(
    run: str, at: str, fields: dict[str, str], expected: str
) -> None:
    play = Play(
        deals(
            f"- id: new\n  rules:\n    - {{id: a, run: {run}, action: {{do: add_history, text: x}}}}",
            CALENDAR,
        ),
        at_ms=moment(at),
    )
    play.create(fields=fields)
    assert due(play) == [(moment(expected), [])]
    assert until(play, expected) == ["|", "history x"]


def test_s3_9_with_hours_of_the_responsible_they_are_the_responsible_s() -> None:
    play = rule("responsible", "{after: 1wd}")
    play.put_employee(
        Employee(7, "Ines", hours={"mon-sat": ["10:00-12:00"]}, absences=[Absence(WEDNESDAY, FRIDAY)])
    )
    play.create()  # Monday 09:00: from 10:00 on; Tuesday is closed, then absent; so Saturday
    assert due(play) == [(moment("2026-03-07T10:00"), [])]
    assert until(play, "2026-03-07T10:00") == ["|", "history x"]


def test_s3_9_more_working_time_than_ten_years_hold_fails_the_step_alone() -> None:
    head = 'calendar: {week: {mon: ["09:00-09:30"]}}\n'
    text = "{id: a, run: {after: 400wh}, action: {do: add_history, text: x}}"
    play = Play(deals(f"- id: new\n  rules:\n    - {text}", head))
    play.create()
    assert play.outcomes() == [("a", "failed", "10 years do not hold that much working time")]


# ---------------------------------------------------------------- pauses of workflows


def workflow(step: str, more: str = "", at: int = MONDAY_NINE_MS) -> Play:
    text = f"""\
workflows:
  w:
    pipeline: deals
    start: on_create
    {more}
    steps:
      - {step}
      - {{do: add_history, text: x}}
"""
    return Play(deals("- id: new", CALENDAR + text), at_ms=at)


def test_s3_8_a_pause_keeps_to_hours_as_a_rule_does() -> None:
    play = workflow("{do: pause, for: 10h, hours: company}")
    play.create()
    play.wait(10 * HOUR_MS)
    assert [(w.due_ms, w.what) for w in play.did(WorkflowWaits)] == [
        (moment(f"{MONDAY}T19:00"), ""),
        (moment(f"{WEDNESDAY}T09:00"), "hours of company"),
    ]
    assert until(play, f"{WEDNESDAY}T09:00") == ["|", "history x"]


def test_s3_8_hours_of_a_workflow_are_those_of_its_pauses() -> None:
    play = workflow("{do: pause, for: 0s}", "hours: company", at=moment(f"{MONDAY}T13:10"))
    play.create()
    assert until(play, f"{MONDAY}T14:00") == ["|", "history x"]


def test_s3_8_a_pause_looks_again_when_absences_or_the_responsible_change() -> None:
    for change in ("absences", "responsible"):
        play = workflow("{do: pause, for: 1h, hours: responsible}")
        play.put_employee(Employee(7, "Ines", absences=[Absence(MONDAY, FRIDAY)]))
        play.create()
        play.wait(2 * HOUR_MS)
        assert play.waiting() == [("pause", "held", moment("2026-03-09T09:00"))]
        if change == "absences":
            play.put_employee(Employee(7, "Ines"))
        else:
            play.submit(UpdateItem("deal:1", responsible=9))
        assert play.effects() == ["history x"]


def test_s3_9_a_pause_counts_working_time() -> None:
    play = workflow("{do: pause, for: 3wd}")
    play.create()
    assert until(play, "2026-03-06T09:00") == ["|", "history x"]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("{do: pause, until: 2026-03-10}", "2026-03-10T00:00"),
        ('{do: pause, until: 2026-03-10, time: "10:30"}', "2026-03-10T10:30"),
        ("{do: pause, until: 2026-03-10T15:00}", "2026-03-10T15:00"),
        ('{do: pause, until: "2026-03-29T12:00:00+02:00"}', "2026-03-29T12:00"),
        ("{do: pause, until: 2026-03-07, hours: company}", "2026-03-09T09:00"),
    ],
)
def test_s3_1_a_pause_may_last_until_a_date_that_is_written_out(step: str, expected: str) -> None:
    play = workflow(step)
    play.create()
    assert until(play, expected) == ["|", "history x"]


# ---------------------------------------------------------------- employees


MANY = [f"{hour:02}:{ten}0-{hour:02}:{ten}5" for hour in range(24) for ten in range(5)]


@pytest.mark.parametrize(
    ("employee", "complaint"),
    [
        (Employee(5, timezone="Mars/Phobos"), "unknown time zone"),
        (Employee(5, hours={"mon-fry": ["09:00-13:00"]}), "no weekdays"),
        (Employee(5, hours={"mon": []}), "none in the whole week"),
        (Employee(5, absences=[Absence("2026-03-06", "2026-03-02")]), "ends before it begins"),
        (Employee(5, absences=[Absence("2026-03-06", "soon")]), "no date"),
        (Employee(5, absences=[Absence("2026-03-06", "2026-03-06")] * 367), "at most 366"),
        (Employee(5, hours={"mon": MANY}), "at most 100"),
    ],
)
def test_s3_8_hours_and_absences_are_looked_at_with_the_command(employee: Employee, complaint: str) -> None:
    answer = Play().submit(PutEmployee("", employee=employee))
    assert isinstance(answer, Failed)
    assert complaint in answer.message


def test_s3_8_an_absence_of_one_day_and_one_of_moments_are_good() -> None:
    absences = [Absence("2026-03-06", "2026-03-06"), Absence(MONDAY_NINE_MS, MONDAY_NINE_MS + 1)]
    assert Play().submit(PutEmployee("", employee=Employee(5, absences=absences))) == Applied()
