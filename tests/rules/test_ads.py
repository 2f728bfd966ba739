"""The action ad_audience: its mistakes at their places, whom it matches, its plan (H7)."""

import pytest

from stagewheel.protocol.messages import Address, Client
from stagewheel.server.channels.ads import AdsSettings
from stagewheel.server.channels.meta import MetaSettings
from stagewheel.server.core.plan_actions import ChannelPlan
from stagewheel.server.rules.ads_doc import AudienceContent
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.mistakes import RulesetInvalid
from stagewheel.server.senders.config import ChannelsConfig, served
from tests.rules.making import ADA, in_stage, ruleset, scope

NOBODY = Client("Nobody")
ONLY_PHONE = Client("Bo", [], [Address("+391", "work"), Address("+392", "mobile")])


def plan(more: str) -> ChannelPlan:
    version = ruleset(in_stage(f"- {{id: a, action: {{do: ad_audience, {more}}}}}\n"))
    (made,) = version.actions
    assert isinstance(made, ChannelPlan)
    return made


@pytest.mark.parametrize(
    ("more", "client", "content"),
    [
        ("list: 77", ADA, AudienceContent("", "77", "add", "ada@home.example", "+3900")),
        (
            "account: shop, list: '77', operation: remove",
            ADA,
            AudienceContent("shop", "77", "remove", "ada@home.example", "+3900"),
        ),
        ("list: 77, match: email", ADA, AudienceContent("", "77", "add", "ada@home.example", "")),
        ("list: 77, match: phone", ADA, AudienceContent("", "77", "add", "", "+3900")),
        ("list: 77, type: work, use: last", ADA, AudienceContent("", "77", "add", "a2@work.example", "")),
        ("list: 77, use: last", ONLY_PHONE, AudienceContent("", "77", "add", "", "+392")),
        ("list: '{{ item.size }}'", ADA, AudienceContent("", "12", "add", "ada@home.example", "+3900")),
    ],
)
def test_who_is_matched_by_what_on_which_list(more: str, client: Client, content: AudienceContent) -> None:
    """H7: account, list, e-mail or phone or both, add and remove."""
    made, at = plan(more), scope({"size": 12}, client=client)
    assert made.lacks(at) == ""
    assert made.document.render(at) == content
    assert (made.channel, made.lane) == ("ads", "ads/shop" if content.account else "ads")


@pytest.mark.parametrize(
    ("more", "client", "lacks"),
    [
        ("list: 77", None, "the item has no client"),
        ("list: 77", NOBODY, "the client has neither e-mail address nor phone"),
        ("list: 77, match: email", ONLY_PHONE, "the client has no e-mail address"),
        ("list: 77, match: phone, type: home", ONLY_PHONE, "the client has no phone of type home"),
    ],
)
def test_s7_3_it_fails_at_once_where_nobody_can_be_matched(
    more: str, client: Client | None, lacks: str
) -> None:
    assert plan(more).lacks(scope(client=client)) == lacks


def test_it_is_no_message_to_the_client_and_may_be_done_twice() -> None:
    made = plan("list: 77")
    assert not made.to_client
    assert made.cap is None
    assert made.reaches is None
    assert made.unknown_retries
    assert made.expires_ms == 3 * 86_400_000
    assert not plan("list: 77, on_unknown: fail").unknown_retries


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("operation: add", "needs 'list'"),
        ("list: spring buyers", "expected the number of a list"),
        ("list: 77, operation: replace", "expected one of add, remove"),
        ("list: 77, match: name", "expected one of email, phone, both"),
        ("list: 77, token: x", "unknown key 'token'"),
        ("list: '{{ item.siz }}'", "siz"),
    ],
)
def test_a_mistake_is_told_at_its_key(more: str, said: str) -> None:
    with pytest.raises(RulesetInvalid) as invalid:
        plan(more)
    assert said in str(invalid.value)


def test_an_account_that_the_server_does_not_have_is_refused_at_its_line() -> None:
    config = ChannelsConfig(ads=AdsSettings(providers={"shop": MetaSettings(token_env="NOT_READ_HERE")}))
    for known, said in (
        (config, "no provider 'shp'; did you mean 'shop'"),
        (ChannelsConfig(), "channel ads"),
    ):
        rules = in_stage("- {id: a, action: {do: ad_audience, account: shp, list: 77}}\n")
        with pytest.raises(RulesetInvalid, match=said):
            compile_ruleset({"rules.yaml": rules}, 0, served(known))
