"""The actions send_chat and invite: their mistakes at their places, and their plans (H4, H5)."""

import pytest

from stagewheel.server.core.plan_actions import ActionPlan, ChannelPlan, HiddenChatPlan, InvitePlan
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.mistakes import RulesetInvalid

HEAD = """
ruleset: shop
timezone: Europe/Rome
providers: {sms: [twilio], chat: [shop, site]}
entities: {deal: {fields: {plan: file, size: number}}}
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
        rules:
          - id: rule
            action: """
HTML = {"templates/hi.html.j2": "<b>{{ item.title }}</b>"}


def made(action: str) -> ActionPlan:
    version, _ = compile_ruleset({"rules.yaml": HEAD + action, **HTML}, 1)
    (plan,) = version.actions
    return plan


def test_every_version_has_what_employees_write_with_behind_its_actions() -> None:
    version, _ = compile_ruleset({"rules.yaml": HEAD + "{do: send_chat, text: Hi}"}, 1)
    assert version.reply is not None
    assert version.action(0) is version.actions[0]
    assert version.action(1) is version.reply
    with pytest.raises(IndexError):
        version.action(2)


def test_a_message_that_says_nothing_else_may_go_out_twice_and_waits_a_day() -> None:
    """H4, 8.2, 8.7."""
    plan = made("{do: send_chat, text: Hi}")
    assert isinstance(plan, ChannelPlan)
    assert (plan.channel, plan.lane, plan.unknown_retries, plan.expires_ms) == (
        "chat",
        "chat",
        True,
        86_400_000,
    )


def test_an_invitation_leaves_at_most_once_through_the_channel_of_text_messages() -> None:
    """H5, 8.2."""
    plan = made("{do: invite, text: Hi, provider: twilio, chat: site}")
    assert isinstance(plan, InvitePlan)
    assert (plan.channel, plan.lane, plan.unknown_retries) == ("sms", "sms/twilio", False)


def test_an_html_template_is_sent_as_html() -> None:
    """H4."""
    plan = made("{do: send_chat, text: templates/hi.html.j2}")
    assert isinstance(plan, ChannelPlan)
    assert plan.document.html


def test_a_hidden_message_knows_its_files() -> None:
    """H4: attachments."""
    plan = made("{do: send_chat, hidden: true, text: Hi, attachments: [{field: plan}, {file: a.pdf}]}")
    assert isinstance(plan, HiddenChatPlan)
    assert (plan.files, plan.stored) == (("plan",), ("a.pdf",))


@pytest.mark.parametrize(
    ("action", "says"),
    [
        ("{do: send_chat}", "action.text: a message has a text, or attachments"),
        ("{do: send_chat, text: ' '}", "action.text: a message has a text"),
        ("{do: send_chat, text: '{{ item.nothing }}'}", "action.text: unknown field 'nothing'"),
        (
            "{do: send_chat, text: Hi, provider: sho}",
            "action.provider: unknown provider 'sho' of chan",
        ),
        ("{do: send_chat, text: Hi, expires: soon}", "action.expires"),
        ("{do: send_chat, text: Hi, on_unknown: ask}", "action.on_unknown"),
        ("{do: send_chat, text: Hi, attachments: [{field: size}]}", "'size' is number, not a file"),
        (
            "{do: send_chat, text: Hi, hidden: true, provider: shop}",
            "action.provider: a hidden message leaves",
        ),
        ("{do: send_chat, text: Hi, hidden: true, expires: 1h}", "action.expires: a hidden message leaves"),
        ("{do: invite, text: Hi, provider: shop}", "action.provider: unknown provider 'shop' of channel sms"),
        ("{do: invite, text: Hi, chat: twilio}", "action.chat: unknown provider 'twilio' of channel chat"),
        ("{do: invite, text: Hi, to: {use: last}}", "action.to.use: a text message goes to the first number"),
        ("{do: invite, text: '{{ lnk }}'}", "action.text: unknown name 'lnk'"),
    ],
)
def test_a_mistake_is_told_at_its_place(action: str, says: str) -> None:
    with pytest.raises(RulesetInvalid) as raised:
        made(action)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("action", "says"),
    [
        ("{do: send_chat, text: Hi, provider: site}", "the server's channel chat has no provider 'site'"),
        (
            "{do: invite, text: Hi, chat: site}",
            "action.chat: the server's channel chat has no prov",
        ),
    ],
)
def test_a_provider_that_the_server_does_not_have_is_refused(action: str, says: str) -> None:
    """H4, H5: `check --server`."""
    with pytest.raises(RulesetInvalid) as raised:
        compile_ruleset({"rules.yaml": HEAD + action}, 1, served={"sms": ["twilio"], "chat": ["shop"]})
    assert says in str(raised.value)
