"""`calendar:`, `quiet_hours:` and `hours:` as they are written, their mistakes, dates of holidays (T5)."""

import json
from zoneinfo import ZoneInfo

import pytest

from stagewheel.server.core.calendar import parse_date
from stagewheel.server.core.plan import TimePlan, Version
from stagewheel.server.core.working import WorkingTime, parse_week
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.merge import GENERATED
from stagewheel.server.rules.mistakes import RulesetInvalid
from stagewheel.server.rules.zones import zone_of_country, zone_of_phone

ROME = ZoneInfo("Europe/Rome")
WEEK = 'week: {mon-fri: ["09:00-18:00"]}'
RULES = """\
ruleset: sales
timezone: Europe/Rome
{head}
pipelines:
  deals:
    entity: deal
    {own}
    stages:
      - id: new
        rules:
          - id: a
            action: {{do: add_history, text: x}}
            {rule}
"""


def files(head: str = "", own: str = "", rule: str = "") -> dict[str, str]:
    return {"rules.yaml": RULES.format(head=head, own=own, rule=rule)}


def times(version: Version) -> TimePlan:
    return version.pipelines["deals"].time


def company(text: dict[str, str]) -> WorkingTime:
    version, _ = compile_ruleset(text, 1)
    found = times(version).company
    assert found is not None
    return found


def is_open(time: WorkingTime, day: str) -> bool:
    return bool(time.stretches((parse_date(day, ROME) + 12 * 3_600_000) // 86_400_000))


def mistakes(text: dict[str, str]) -> list[str]:
    with pytest.raises(RulesetInvalid) as error:
        compile_ruleset(text, 1)
    return [f"{one.file}:{one.line}: {one.message}" for one in error.value.mistakes]


# ---------------------------------------------------------------- what is read


def test_s3_8_a_calendar_has_a_week_holidays_closed_days_and_extra_ones() -> None:
    holidays = "holidays: {country: IT, dates: [2026-06-24]}"
    text = f"calendar: {{{WEEK}, {holidays}, closed: [2026-08-14], open: [2026-12-05, 2026-12-08]}}"
    time = company(files(text))
    assert time.zone == ROME
    assert time.week == parse_week({"mon-fri": ["09:00-18:00"]})
    closed = ("2026-01-01", "2026-04-06", "2026-06-02", "2026-06-24", "2026-08-14", "2026-12-25")
    assert [day for day in closed if is_open(time, day)] == []
    # Saturday 5 December is an extra day; the 8th is a holiday on which this company works.
    assert all(is_open(time, day) for day in ("2026-12-05", "2026-12-08", "2026-04-07", "2060-12-23"))


def test_s3_8_an_extra_day_may_have_hours_of_its_own() -> None:
    time = company(files(f'calendar: {{{WEEK}, open: {{2026-12-05: ["10:00-12:00"]}}}}'))
    ((start_ms, end_ms),) = time.stretches((parse_date("2026-12-05", ROME) + 12 * 3_600_000) // 86_400_000)
    assert end_ms - start_ms == 2 * 3_600_000


def test_s3_8_holidays_of_a_part_of_a_country_are_its_own() -> None:
    bavaria = company(files(f"calendar: {{{WEEK}, holidays: {{country: DE, subdivision: BY}}}}"))
    germany = company(files(f"calendar: {{{WEEK}, holidays: {{country: DE}}}}"))
    assert not is_open(bavaria, "2026-01-06")
    assert is_open(germany, "2026-01-06")


def test_a_pipeline_s_own_calendar_replaces_the_ruleset_s_and_keeps_its_zone() -> None:
    head = f"calendar: {{{WEEK}, closed: [2026-08-14]}}\nquiet_hours: {{from: 21:00, to: 08:00}}"
    own = 'timezone: Asia/Tokyo\n    calendar: {week: {sat: ["10:00-12:00"]}}'
    version, _ = compile_ruleset(files(head, own), 1)
    time = times(version).company
    assert time == WorkingTime(parse_week({"sat": ["10:00-12:00"]}), ZoneInfo("Asia/Tokyo"))
    assert times(version).quiet == (((8 * 3_600_000, 21 * 3_600_000),),) * 7


def test_a_ruleset_without_any_of_this_has_nothing_to_ask() -> None:
    version, _ = compile_ruleset(files(), 1)
    assert times(version) == TimePlan()
    assert version.generated == {}
    assert version.pipelines["deals"].watched == frozenset()
    assert version.pipelines["deals"].stages["new"].rules[0].wait is None


def test_s3_2_a_calendar_without_a_zone_is_warned_of() -> None:
    text = files(f"calendar: {{{WEEK}}}")
    assert compile_ruleset(text, 1)[1] == []
    text["rules.yaml"] = text["rules.yaml"].replace("timezone: Europe/Rome\n", "")
    (warning,) = compile_ruleset(text, 1)[1]
    assert "no timezone is set" in warning.message


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("calendar: {}", ["rules.yaml:3: a calendar needs 'week'"]),
        ("calendar: {week: {}}", ["rules.yaml:3: the week has no opening hours"]),
        ('calendar: {week: {mon-fry: ["09:00-18:00"]}}', ["rules.yaml:3: 'mon-fry' are no weekdays"]),
        ('calendar: {week: {mon: ["9-18"]}}', ["rules.yaml:3: '9' is no time of day"]),
        ("calendar: {week: {mon: 09:00-18:00}}", ["rules.yaml:3: expected a list"]),
        (
            'calendar:\n  week:\n    mon-fri: ["09:00-18:00"]\n    fri: ["10:00-12:00"]',
            ["rules.yaml:6: 'mon-fri' above has hours for one of these days already"],
        ),
        (
            f"calendar:\n  {WEEK}\n  closed: [2026-02-30, soon]",
            ["rules.yaml:5: '2026-02-30' is no day of the calendar", "rules.yaml:5: 'soon' is no date"],
        ),
        (
            f"calendar: {{{WEEK}, closed: [2026-08-14], open: [2026-08-14]}}",
            ["rules.yaml:3: 2026-08-14 stands"],
        ),
        (
            f'calendar: {{{WEEK}, open: {{2026-08-14: ["22:00-03:00"]}}}}',
            ["rules.yaml:3: these hours go over"],
        ),
        (
            f"calendar:\n  {WEEK}\n  holidays:\n    country: ITA1",
            ["rules.yaml:6: no holidays are known of the country 'ITA1'; did you mean 'ITA'?"],
        ),
        (
            f"calendar:\n  {WEEK}\n  holidays: {{country: DE, subdivision: BX}}",
            ["rules.yaml:5: 'BX' is no subdivision of DE; it has BB, BE"],
        ),
        (f"calendar: {{{WEEK}, holidays: {{subdivision: BY}}}}", ["rules.yaml:3: a subdivision needs its"]),
        (f"calendar: {{{WEEK}, holidays: {{county: IT}}}}", ["rules.yaml:3: unknown key 'county'"]),
        ("quiet_hours: {from: 21:00}", ["rules.yaml:3: 'quiet_hours' needs 'to'"]),
        ("quiet_hours: {from: 21:00, to: 21:00}", ["rules.yaml:3: quiet hours that begin when they end"]),
        ("quiet_hours: {from: 21:00, to: 8}", ["rules.yaml:3: expected text"]),
        ("quiet_hours: {from: 25:00, to: 08:00}", ["rules.yaml:3: '25:00' is no time of day"]),
    ],
)
def test_s3_8_a_calendar_s_mistakes_are_named_at_their_lines(head: str, expected: list[str]) -> None:
    found = mistakes(files(head))
    assert len(found) == len(expected), found
    for seen, wanted in zip(found, expected, strict=True):
        assert wanted in seen


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("run: {after: 3wd}", "rules.yaml:13: '3wd' needs the company's working time"),
        ("run: {after: 4wh}\n            hours: responsible", "rules.yaml:13: '4wh' needs the company's"),
        ("run: {after: 1d 3wd}", "rules.yaml:13: '1d 3wd': working days and hours stand alone"),
        ("run: {after: 1d, max_late: 3wd}", "rules.yaml:13: '3wd': working time is counted from a moment"),
        ("repeat: {every: 3wd}", "rules.yaml:13: '3wd': working time is counted from a moment"),
        ("hours: company", "rules.yaml:13: company hours need 'calendar:'"),
        ("hours: [client]", "rules.yaml:13: hours of the client need 'quiet_hours:'"),
        ("hours: []", "rules.yaml:13: 'hours' is empty"),
        ("hours: [responsible, responsible]", "rules.yaml:13: one of these hours stands twice"),
        ("hours: clients", "rules.yaml:13: expected one of company, responsible, client"),
    ],
)
def test_s3_9_what_hours_and_working_time_need_is_asked_for_at_its_line(rule: str, expected: str) -> None:
    (found,) = mistakes(files(rule=rule))
    assert found.startswith(expected)


@pytest.mark.parametrize(
    ("rule", "head", "expected"),
    [
        ("run: {after: 11y}", "", "longer than 10 years"),
        ("run: {after: 3661wd}", f"calendar: {{{WEEK}}}", "longer than 10 years"),
        ("run: {after: 1d, max_late: 11y}", "", "longer than 10 years"),
    ],
)
def test_s3_3_a_delay_over_ten_years_is_refused_and_none_is_too_short(
    rule: str, head: str, expected: str
) -> None:
    assert expected in mistakes(files(head, rule=rule))[0]
    version, _ = compile_ruleset(files(head, rule="run: {after: 0s}"), 1)
    assert version.pipelines["deals"].stages["new"].rules[0].wait is not None


def test_a_calendar_stands_once_whichever_file_it_is_in() -> None:
    text = {**files(f"calendar: {{{WEEK}}}"), "zwei.yaml": f"calendar: {{{WEEK}}}\n"}
    assert mistakes(text) == ["zwei.yaml:1: 'calendar' stands twice; it is first in rules.yaml:3"]


# ---------------------------------------------------------------- holidays stay with their version


def test_the_dates_of_holidays_are_kept_with_their_version() -> None:
    text = files(f"calendar: {{{WEEK}, holidays: {{country: IT}}}}")
    version, _ = compile_ruleset(text, 1)
    kept = json.loads(version.generated[GENERATED])
    assert list(kept) == ["IT"]
    assert (kept["IT"][0], kept["IT"][-1]) == ("2000-01-01", "2060-12-26")
    # A later library may say otherwise; what the version was published with stays.
    kept["IT"] = ["2026-03-03"]
    again, _ = compile_ruleset({**text, GENERATED: json.dumps(kept)}, 1)
    time = times(again).company
    assert time is not None
    assert not is_open(time, "2026-03-03")
    assert is_open(time, "2026-12-25")
    assert again.generated == {GENERATED: json.dumps(kept)}


@pytest.mark.parametrize("text", ["no json", "[]", '{"IT": 7}', '{"IT": ["soon"]}'])
def test_a_kept_file_that_is_none_is_made_anew(text: str) -> None:
    head = f"calendar: {{{WEEK}, holidays: {{country: IT}}}}"
    assert not is_open(company({**files(head), GENERATED: text}), "2026-12-25")


@pytest.mark.parametrize(
    ("number", "zone"),
    [
        ("+39 06 1234567", "Europe/Rome"),
        ("+49 30 1234567", "Europe/Berlin"),  # two zones, one clock
        ("+44 20 7946 0000", "Europe/London"),
        ("+1 212 555 0100", ""),
        ("+34 91 123 4567", ""),
        ("06 1234567", ""),
        ("no number", ""),
        ("+800 1234 5678", ""),
        ("", ""),
    ],
)
def test_s3_2_a_phone_has_a_zone_where_its_country_has_one_clock(number: str, zone: str) -> None:
    assert zone_of_phone(number) == zone


def test_s3_2_countries_with_several_clocks_have_none() -> None:
    assert [zone_of_country(code) for code in ("US", "BR", "AU", "CN", "XX")] == [""] * 5
