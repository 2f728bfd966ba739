"""Logs are read event by event, sorted by time with ties in file order, and refused at the wrong line."""

import gzip
from datetime import UTC
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from _pytest.mark.structures import ParameterSet
from hypothesis import given, strategies as st

from stagewheel.cli.logs import Columns, LogEvent, LogInvalid, moment_ms, read_log, sorted_events

NOON_MS = 1_772_452_800_000  # 2026-03-02T12:00Z

XES = """<?xml version="1.0" encoding="utf-8"?>
<log xmlns="http://www.xes-standard.org/">
  <extension name="Concept" prefix="concept" uri="http://www.xes-standard.org/concept.xesext"/>
  <global scope="event"><string key="concept:name" value="none"/></global>
  <trace>
    <string key="concept:name" value="case 1"/>
    <int key="amount" value="5000"/>
    <event>
      <string key="concept:name" value="opened"/>
      <date key="time:timestamp" value="2026-03-02T13:00:00.250+01:00"/>
      <string key="lifecycle:transition" value="complete"/>
    </event>
    <event>
      <date key="time:timestamp" value="2026-03-02T12:00:01Z"/>
      <string key="concept:name" value="closed"/>
      <string key="org:resource" value="anna"><string key="nested" value="not read"/></string>
      <boolean key="late" value="true"/><float key="score" value="0.5"/>
    </event>
  </trace>
  <trace><string key="concept:name" value="case 2"/></trace>
</log>
"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["log.xes", "log.xes.gz"])
def test_xes_gives_case_activity_time_lifecycle_and_typed_attributes(tmp_path: Path, name: str) -> None:
    opened, closed = read_log(written(tmp_path, name, XES))
    assert opened == LogEvent("case 1", "opened", NOON_MS + 250, "complete", {"amount": 5000})
    assert closed == LogEvent(
        "case 1", "closed", NOON_MS + 1000, "",
        {"amount": 5000, "org:resource": "anna", "late": True, "score": 0.5},
    )  # fmt: skip


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz"])
def test_csv_columns_are_named_by_the_caller_and_all_others_are_attributes(tmp_path: Path, name: str) -> None:
    text = 'Order;Step;When;Note\n7;"packed; sealed";2026-03-02T12:00:00Z;\n7;sent;2026-03-02 13:00:01;fast\n'
    columns = Columns(case="Order", activity="Step", time="When", delimiter=";")
    events = list(read_log(written(tmp_path, name, text), columns, ZoneInfo("Europe/Rome")))
    assert events == [
        LogEvent("7", "packed; sealed", NOON_MS, "", {}),
        LogEvent("7", "sent", NOON_MS + 1000, "", {"Note": "fast"}),
    ]


def test_a_byte_order_mark_and_empty_lines_of_csv_are_no_events(tmp_path: Path) -> None:
    path = written(
        tmp_path, "log.csv", "\ufeffcase,activity,time,lifecycle\n\n1,a,2026-03-02T12:00Z,start\n\n"
    )
    assert list(read_log(path)) == [LogEvent("1", "a", NOON_MS, "start", {})]


def test_events_of_the_same_moment_keep_the_order_of_the_file(tmp_path: Path) -> None:
    rows = [
        "b,1,2026-03-02T12:00Z",
        "a,2,2026-03-02T12:00Z",
        "a,3,2026-03-02T11:59Z",
        "b,4,2026-03-02T13:00+01:00",
    ]
    path = written(tmp_path, "log.csv", "case,activity,time\n" + "\n".join(rows))
    assert [event.activity for event in sorted_events(path)] == ["3", "1", "2", "4"]


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_moment_of_any_year_is_its_milliseconds_in_utc(moment: object) -> None:
    text = str(moment)
    assert moment_ms(text, ZoneInfo("Asia/Tokyo")) == moment_ms(text.replace("+00:00", "Z"), UTC)


NAMED = 'concept:name" value="closed'


def broken_logs() -> list[ParameterSet]:
    good = "case,activity,time\n1,a,2026-03-02T12:00Z\n"
    cases = [
        ("no such kind", "log.txt", "", 0, "must end in one of"),
        ("csv without its time", "log.csv", "case,activity\n1,a\n", 1, "no column 'time' for the time"),
        ("csv with a column twice", "log.csv", "case,case,activity,time\n", 1, "'case' stands twice"),
        ("an empty file", "log.csv", "", 1, "the columns are: none"),
        ("csv with a short row", "log.csv", good + "2,b\n", 3, "2 values, but there are 3"),
        ("csv with no case", "log.csv", good + ",b,2026-03-02T12:00Z\n", 3, "the case is empty"),
        ("csv with no time", "log.csv", good + "2,b,yesterday\n", 3, "'yesterday' is no date and time"),
        ("csv with an open quote", "log.csv", good + '2,"b', 3, "not valid CSV"),
        ("xml that ends early", "log.xes", XES[:900], 20, "not valid XML"),
        ("another xml", "log.xes", "<html><body/></html>", 1, "expected <log>, got <html>"),
        ("an event of no trace", "log.xes", "<log><event/></log>", 1, "outside of any <trace>"),
        ("a trace of no name", "log.xes", "<log>\n<trace>\n</trace></log>", 3, "has no concept:name"),
        ("xes with a bad time", "log.xes", XES.replace("12:00:01Z", "noon"), 18, "case 1: time:timestamp"),
        ("xes with a bad number", "log.xes", XES.replace("5000", "many"), 7, "amount: 'many' is no int"),
        ("an event of no activity", "log.xes", XES.replace(NAMED, 'x" value="y'), 18, "the event that ends"),
    ]  # fmt: skip
    return [pytest.param(file, text, line, words, id=name) for name, file, text, line, words in cases]


@pytest.mark.parametrize(("file", "text", "line", "words"), broken_logs())
def test_a_broken_log_is_refused_at_its_line(
    tmp_path: Path, file: str, text: str, line: int, words: str
) -> None:
    path = written(tmp_path, file, text)
    with pytest.raises(LogInvalid) as refused:
        list(read_log(path))
    assert refused.value.line == line
    assert words in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_log_that_is_missing_or_cut_short_says_so(tmp_path: Path) -> None:
    with pytest.raises(LogInvalid, match="No such file"):
        list(read_log(tmp_path / "missing.csv"))
    path = written(tmp_path, "log.xes.gz", XES)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(LogInvalid, match="can't be read"):
        list(read_log(path))
    path.write_bytes(b"not gzip at all")
    with pytest.raises(LogInvalid, match="Not a gzipped file"):
        list(read_log(path))


def test_what_stands_before_a_mistake_is_read_as_a_stream(tmp_path: Path) -> None:
    events = read_log(written(tmp_path, "log.csv", "case,activity,time\n1,a,2026-03-02T12:00Z\n1,b,never\n"))
    assert next(events).activity == "a"
    with pytest.raises(LogInvalid):
        next(events)


def test_a_latin_1_file_is_refused_as_no_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes("case,activity,time\n1,caffè,2026-03-02T12:00Z\n".encode("latin-1"))
    with pytest.raises(LogInvalid, match="not UTF-8"):
        list(read_log(path))


def test_the_real_log_has_all_its_cases_and_events_in_order(loan_events: list[LogEvent]) -> None:
    events = loan_events
    assert len(events) == 182_467
    assert len({event.case for event in events}) == 4_366
    assert all(one.at_ms <= next_.at_ms for one, next_ in pairwise(events))
