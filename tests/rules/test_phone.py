"""The actions send_sms and call: their mistakes at their places, and their plans (H2, H3)."""

import pytest

from stagewheel.server.core.plan_actions import ChannelPlan
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.mistakes import RulesetInvalid

HOUR_MS = 3_600_000
RULES = """
ruleset: practice
timezone: Europe/Rome
providers: {sms: [main], call: [main]}
entities: {visit: {}}
pipelines:
  visits:
    entity: visit
    caps: {sms: 1 per 1d}
    stages:
      - id: new
        rules:
          - id: one
            action: ACTION
"""


def said(action: str) -> list[str]:
    """The mistakes of an action."""
    try:
        compile_ruleset({"r.yaml": RULES.replace("ACTION", action)}, 1)
    except RulesetInvalid as invalid:
        return [mistake.message for mistake in invalid.mistakes]
    return []


def plan(action: str) -> ChannelPlan:
    version, _ = compile_ruleset({"r.yaml": RULES.replace("ACTION", action)}, 1)
    [made] = version.actions
    assert isinstance(made, ChannelPlan)
    return made


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("{do: send_sms, text: hi, provider: mian}", "unknown provider 'mian' of channel sms"),
        ("{do: send_sms, text: hi, to: {use: last}}", "goes to the first number"),
        ("{do: send_sms, text: hi, to: {who: responsible}}", "who"),
        ("{do: send_sms, text: '{{ item.titel }}'}", "titel"),
        ("{do: send_sms}", "text"),
        ("{do: send_sms, text: hi, expires: soon}", "soon"),
        ("{do: send_sms, text: hi, on_unknown: repeat}", "repeat"),
        ("{do: call}", "it says neither"),
        ("{do: call, say: {text: hi}, play: 'https://a.example/b.mp3'}", "exclude each other"),
        ("{do: call, play: b.mp3}", "https://"),
        ("{do: call, say: {text: hi, speed: 3}}", "speed is from 0.2 to 2"),
        ("{do: call, say: {text: hi, volume: 0}}", "volume is from 0.1 to 2"),
        ("{do: call, say: {text: hi}, from_number: '{{ item.lin }}'}", "lin"),
        ("{do: call, say: {text: hi}, provider: backup}", "unknown provider 'backup' of channel call"),
    ],
)
def test_a_mistake_in_a_message_or_call_is_told(action: str, words: str) -> None:
    [message] = said(action)
    assert words in message


@pytest.mark.parametrize("action", ["{do: send_sms, text: hi}", "{do: call, say: {text: hi}}"])
def test_s8_2_messages_and_calls_leave_at_most_once_and_expire_after_a_day_by_default(action: str) -> None:
    """H2, H3, 8.7."""
    made = plan(action)
    assert (made.unknown_retries, made.expires_ms, made.to_client) == (False, 24 * HOUR_MS, True)
    other = plan(action[:-1] + ", on_unknown: retry, expires: 2h}")
    assert (other.unknown_retries, other.expires_ms) == (True, 2 * HOUR_MS)


def test_a_cap_on_messages_is_not_one_on_calls() -> None:
    """N7."""
    assert plan("{do: send_sms, text: hi}").cap is not None
    assert plan("{do: call, say: {text: hi}}").cap is None
