"""`sources:` and `caps:` of a ruleset: what they become, and each mistake at its line."""

from typing import Any

import pytest

from stagewheel.server.core.events import Setting
from stagewheel.server.core.plan import SourcePlan, Version
from stagewheel.server.core.plan_actions import CapPlan, ChannelPlan
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.mistakes import RulesetInvalid

DAY_MS = 86_400_000
MAIL = "{do: send_email, from: office@example.com, subject: S, body: B}"
STAFF = "{do: send_email, from: office@example.com, to: responsible, subject: S, body: B}"


def made(head: str = "", pipeline: str = "", rule: str = "", action: str = MAIL) -> Version:
    text = (
        "ruleset: sales\ntimezone: Europe/Rome\n"
        + head
        + "pipelines:\n  deals:\n    entity: deal\n"
        + (f"    {pipeline}\n" if pipeline else "")
        + "    stages: [{id: new, rules: [{id: m, "
        + (f"{rule}, " if rule else "")
        + f"action: {action}}}]}}, {{id: won}}]\n"
    )
    return compile_ruleset({"r.yaml": text}, 1)[0]


def cap(**parts: str) -> CapPlan | None:
    [action] = made(**parts).actions
    assert isinstance(action, ChannelPlan)
    return action.cap


def refused(**parts: str) -> list[tuple[int, str]]:
    with pytest.raises(RulesetInvalid) as invalid:
        made(**parts)
    return [(one.line, one.message) for one in invalid.value.mistakes]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"head": "caps: {email: 2 per 1d}\n"}, CapPlan("email", 2, DAY_MS)),
        (
            {"head": "caps: {email: {limit: 1 per 1w 12h, over: wait}}\n"},
            CapPlan("email", 1, 7 * DAY_MS + DAY_MS // 2, True),
        ),
        ({"head": "caps: {sms: 2 per 1d}\n"}, None),
        (
            {"head": "caps: {email: 2 per 1d}\n", "pipeline": "caps: {email: 3 per 1d}"},
            CapPlan("email", 3, DAY_MS),
        ),
        (
            {"head": "caps: {email: 2 per 1d}\n", "pipeline": "caps: {sms: 3 per 1d}"},
            CapPlan("email", 2, DAY_MS),
        ),
        ({"head": "caps: {email: 2 per 1d}\n", "pipeline": "caps: none"}, None),
        ({"head": "caps: {email: 2 per 1d}\n", "rule": "caps: none"}, None),
        ({"pipeline": "caps: {email: 2 per 1d}", "rule": "caps: {email: none}"}, None),
        ({"rule": "caps: {email: 5 per 1h}"}, CapPlan("email", 5, DAY_MS // 24)),
        ({"head": "caps: {email: 2 per 1d}\n", "action": STAFF}, None),
    ],
)
def test_s8_5_the_inner_cap_wins_and_only_what_goes_to_the_client_has_one(
    parts: dict[str, str], expected: CapPlan | None
) -> None:
    assert cap(**parts) == expected


@pytest.mark.parametrize(
    ("caps", "said"),
    [
        ("{email: often}", "2 per 1d"),
        ("{email: 0 per 1d}", "1 to 100"),
        ("{email: 101 per 1d}", "1 to 100"),
        ("{email: 2 per 1x}", "1x"),
        ("{email: 2 per 0s}", "longer than nothing"),
        ("{emial: 2 per 1d}", "email"),
        ("{webhook: 2 per 1d}", "unknown channel"),
        ("{email: {limit: 2 per 1d, over: queue}}", "queue"),
        ("lots", "caps by channel"),
    ],
)
def test_a_bad_cap_is_refused_at_its_line(caps: str, said: str) -> None:
    [(line, message)] = refused(head=f"caps: {caps}\n")
    assert line == 3
    assert said in message


def sources(text: str) -> dict[str, Any]:
    return {"head": f"sources:\n  inbox: {text}\n"}


def test_s5_6_a_source_says_what_its_events_reach_and_what_is_made() -> None:
    text = (
        "{on: incoming_email, mailbox: info, fan_out: one, on_unmatched: create, pipeline: deals, stage: new,"
        ' title: "From {{ trigger.subject }}", source: email, responsible: 7}'
    )
    [source] = made(**sources(text)).sources
    assert source.title is not None
    expected = SourcePlan(
        "inbox", "incoming_email", "info", False, True, "deals", "new", source.title, "email", 7,
        (Setting("mailbox", ("info",), True),),
    )  # fmt: skip
    assert source == expected
    [source] = made(**sources("{on: app, code: ping, fan_out: all}")).sources
    assert source == SourcePlan("inbox", "app", "ping", to_all=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{on: incoming_mail}", "incoming_email"),
        ("{on: incoming_email, form: brief}", "form"),
        ("{on: app}", "code"),
        ("{on: field_changed}", "changed field"),
        ("{on: call_missed, on_unmatched: create}", "pipeline"),
        ("{on: call_missed, on_unmatched: create, pipeline: leads}", "no pipeline 'leads'"),
        ("{on: call_missed, on_unmatched: create, pipeline: deals, stage: old}", "no stage 'old'"),
        (
            '{on: call_missed, on_unmatched: create, pipeline: deals, title: "{{ nobody.x }}"}',
            "nobody",
        ),
        ("{on: call_missed, title: Hello}", "on_unmatched: create"),
        ("{on: call_missed, fan_out: some}", "some"),
        ("{fan_out: all}", "on"),
        ("inbox", "mapping"),
    ],
)
def test_a_bad_source_is_refused_at_its_line(text: str, said: str) -> None:
    found = refused(**sources(text))
    assert found[0][0] == 4
    assert said in found[0][1]


def test_two_sources_of_the_same_events_are_refused() -> None:
    head = "sources:\n  a: {on: call_missed}\n  b: {on: call_missed, fan_out: all}\n"
    assert refused(head=head) == [(5, "the source 'a' takes the same events")]
