"""The benchmark of conditions gives a figure only for what answers as its twin in plain Python does."""

import json

import pytest

from bench import __main__ as command, conditions, report


def test_a_short_run_gives_a_figure_for_every_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["conditions", "--seconds", "0.05", "--rounds", "1", "--json", "-"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["benchmark"], result["deals"], result["rounds"]) == ("conditions", conditions.DEALS, 1)
    assert list(result["cases"]) == [case.name for case in conditions.CASES]
    for told in result["cases"].values():
        assert told["ratio"] == pytest.approx(told["evaluations_per_s"] / told["plain_per_s"], abs=0.01)
        assert told["ns"] == pytest.approx(1e9 / told["evaluations_per_s"], rel=0.05)
    assert result["machine"]["cores"] >= 1


def test_there_is_no_figure_where_the_twin_answers_otherwise() -> None:
    wrong = conditions.Case("wrong", "{size: {gt: 400}}", lambda at: (at.fields.get("size") or 0) > 500)
    with pytest.raises(report.Failed, match=r"wrong: the condition says True of deal:\d+, Python does not"):
        conditions.measure([wrong], 0.01, 1)


def test_there_is_no_figure_for_a_condition_that_always_holds() -> None:
    always = conditions.Case("always", "{title: {filled: true}}", lambda at: True)
    with pytest.raises(report.Failed, match="always: says True of every deal"):
        conditions.measure([always], 0.01, 1)


def test_the_deals_are_the_same_in_every_run() -> None:
    first, again = conditions.deals(20), conditions.deals(20)
    assert [at.item for at in first] == [at.item for at in again]
    assert [(at.now_ms, at.was) for at in first] == [(at.now_ms, at.was) for at in again]
