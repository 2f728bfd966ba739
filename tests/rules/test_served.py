"""A ruleset held against what a server is configured for."""

import pytest

from stagewheel.server.channels.email import EmailSettings
from stagewheel.server.channels.gateway import GatewaySettings
from stagewheel.server.channels.phone import SmsSettings
from stagewheel.server.channels.webhook import SecretSettings, WebhookSettings
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.rules.mistakes import RulesetInvalid
from stagewheel.server.senders.config import ChannelsConfig, served
from tests.core.play import deals

GATEWAY = GatewaySettings(url="https://sms.example", secret_env="NOT_READ_HERE")
WEBHOOKS = WebhookSettings(secrets={"books": SecretSettings(key_env="NOT_READ_HERE")})
CONFIG = ChannelsConfig(
    EmailSettings(), WEBHOOKS, sms=SmsSettings(providers={"main": GATEWAY, "spare": GATEWAY})
)


def rules(action: str) -> dict[str, str]:
    return {"sales.yaml": deals(f"- {{id: new, rules: [{{id: r, action: {action}}}]}}")}


def test_what_a_server_is_configured_for_is_names_and_no_secret() -> None:
    known = served(CONFIG)
    assert (known["email"], known["webhook"], known["sms"], known["call"]) == (
        [""],
        [""],
        ["main", "spare"],
        [],
    )
    assert "NOT_READ_HERE" not in repr(known)


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("{do: send_sms, text: hi, provider: mian}", "the server's channel sms has no provider 'mian'"),
        ("{do: call, say: {text: hi}}", "the server has no provider for channel call"),
        (
            "{do: send_email, subject: s, body: b, provider: bulk}",
            "the server's channel email has no provider",
        ),
        (
            "{do: webhook, url: 'https://x.example', sign: bokks}",
            "no secret 'bokks' for webhooks; did you mean",
        ),
        ("{do: webhook, url: 'https://x.example', auth: crm}", "configure [channels.webhook.secrets.crm]"),
    ],
)
def test_a_rule_that_the_server_could_not_carry_out_is_refused_at_its_line(action: str, said: str) -> None:
    compile_ruleset(rules(action), 0)
    with pytest.raises(RulesetInvalid) as invalid:
        compile_ruleset(rules(action), 0, served(CONFIG))
    [mistake] = invalid.value.mistakes
    assert said in mistake.message
    assert (mistake.file, mistake.line > 1) == ("sales.yaml", True)


def test_a_rule_that_names_what_the_server_has_is_taken() -> None:
    for action in (
        "{do: send_sms, text: hi, provider: spare}",
        "{do: send_sms, text: hi}",
        "{do: webhook, url: 'https://x.example', sign: books}",
        "{do: delete_item}",
    ):
        compile_ruleset(rules(action), 0, served(CONFIG))
