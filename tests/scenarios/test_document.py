"""Mistakes in a scenario file are all told, each with its line and path."""

from pathlib import Path

import pytest

from stagewheel.server.scenarios.document import ScenarioInvalid, read_scenario
from tests.scenarios.play import CREATE, HEAD, write


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("wiat: 1d", ":6:3: steps[0]: unknown step 'wiat'; did you mean 'wait'?"),
        ("wait: 1 day", "steps[0].wait: '1' is no duration"),
        ("wait: {untl: 2026-03-02}", "unknown key 'untl' of 'wait'; did you mean 'until'?"),
        ("move: {item: a, stge: b}", "steps[0].move.stge: unknown key 'stge' of move; did you mean 'stage'?"),
        ("move: {stage: b}", "steps[0].move: move needs 'item'"),
        (
            "event: {item: a, on: form_sbmitted}",
            "unknown event 'form_sbmitted'; did you mean 'form_submitted'?",
        ),
        (
            "event: {item: a, on: webhook, form: x}",
            "'form' is no setting of the event 'webhook'; it has 'code'",
        ),
        ("expect: soon", "expected 'nothing', a list of effects, or contains:"),
        ("expect: [{emial: {}}]", "an effect is a kind and its values; did you mean 'email'?"),
        ("expect_journal: {contains: [{a: 1}]}", "it needs 'item:'"),
        ("channels: {pigeon: {}}", "unknown channel 'pigeon'"),
        ("channels: {email: {after: soon}}", "channels.email.after"),
        ("publish: elsewhere.yaml", "elsewhere.yaml is no file and no folder"),
        ("create: {item: a, pipeline: p, entered_at: soon}", "'soon' is no date"),
        ("{}", "a step is one word and what it needs"),
        ("just text", "a step is one word and what it needs, such as 'wait: 6d', not 'just text'"),
    ],
)
def test_a_wrong_step_is_told(tmp_path: Path, step: str, said: str) -> None:
    path = write(tmp_path, f"- {step}")
    with pytest.raises(ScenarioInvalid) as caught:
        read_scenario(path)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{path}:6:"), "the line of the step"


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, f"- wiat: 1d\n{CREATE}\n- wait: nope", HEAD.replace("2026-03-02T09", "someday"))
    with pytest.raises(ScenarioInvalid) as caught:
        read_scenario(path)
    assert [mistake.line for mistake in caught.value.mistakes] == [3, 6, 8]


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("scenario: x", "a scenario needs 'at'"),
        (HEAD.replace("rules.yaml", "nope.yaml"), "ruleset: "),
        (f"{HEAD}timezone: Europe/Rom", "unknown time zone 'Europe/Rom'"),
        (f"{HEAD}employees: []", "the key 'employees' stands twice"),
    ],
)
def test_a_wrong_head_is_told(tmp_path: Path, head: str, said: str) -> None:
    with pytest.raises(ScenarioInvalid) as caught:
        read_scenario(write(tmp_path, CREATE, head))
    assert said in str(caught.value)


def test_mistakes_of_the_ruleset_are_told_where_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioInvalid) as caught:
        read_scenario(write(tmp_path, CREATE, rules="ruleset: x\npipelines: {p: {entity: nope, stages: []}}"))
    assert "story.yaml:2:1: ruleset: the ruleset has" in str(caught.value)
    assert "unknown entity 'nope'" in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ScenarioInvalid, match="can't be read"):
        read_scenario(tmp_path / "nope.yaml")


def test_times_without_an_offset_are_those_of_the_rulesets_zone(tmp_path: Path) -> None:
    path = write(tmp_path, CREATE, HEAD.replace("2026-03-02T09:00:00+01:00", "2026-07-01T09:00"))
    scenario = read_scenario(path)
    assert scenario.zone.key == "Europe/Rome"
    assert scenario.at_ms == 1_782_889_200_000, "07:00 in UTC, since it is summer in Rome"
