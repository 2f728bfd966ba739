"""Several servers for e-mail: the section itself, and others that rules name (H1, M5)."""

from typing import Any

import msgspec
import pytest

from stagewheel.errors import OperatorError
from stagewheel.server.channels.base import Delivered, Delivery
from stagewheel.server.channels.email import EmailSettings
from stagewheel.server.rules.channels_doc import EmailContent
from stagewheel.server.senders.config import ChannelsConfig, check, served
from tests.channels.peers import Inbox, mail_server
from tests.core.play import Play, deals

MAIL = EmailContent("", ("ada@example.com",), "Hello", "Hello", "")
BULK: dict[str, Any] = {"host": "127.0.0.1", "rate_per_s": 2.0, "breaker_failures": 1}


def test_each_has_a_pool_of_its_own_and_the_section_is_the_usual_one() -> None:
    section = EmailSettings(pool_size=4, providers={"bulk": EmailSettings(**BULK)})
    assert {name: (one.pool_size, one.rate_per_s) for name, one in section.members.items()} == {
        "": (4, 0.0),
        "bulk": (16, 2.0),
    }
    assert served(ChannelsConfig(section))["email"] == ["", "bulk"]


async def test_a_mail_leaves_by_the_server_that_is_named_with_the_sections_sender() -> None:
    inbox, other = Inbox(), Inbox()
    with mail_server(inbox) as port, mail_server(other) as bulk_port:
        bulk = EmailSettings(**{**BULK, "port": bulk_port})
        section = EmailSettings(
            host="127.0.0.1", port=port, default_from="shop@example.net", providers={"bulk": bulk}
        )
        for name in ("bulk", ""):
            channel = section.open_member(name, "store")
            outcome = await channel.deliver(MAIL, Delivery("0" * 32, 1, "deal:1", "r", 1_772_438_400_000))
            assert isinstance(outcome, Delivered)
            await channel.close_sender(0)
            await channel.aclose()
    assert len(inbox.mails) == len(other.mails) == 1
    assert other.mails[0].mail_from == "shop@example.net"


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ('[email.providers.bulk]\nspool = "x"', "providers.bulk: it needs a host"),
        ('[email.providers."a b"]\nhost = "mx.example"', "a name has letters"),
        ('[email.providers.bulk]\nhost = "mx.example"\nusername = "u"', "cross the network in clear"),
    ],
)
def test_a_section_that_can_not_work_is_refused(section: str, said: str) -> None:
    with pytest.raises(OperatorError, match=said):
        check(msgspec.toml.decode(section, type=ChannelsConfig))


def test_a_rule_names_the_server() -> None:
    mail = "{do: send_email, from: a@example.com, subject: S, body: B, provider: bulk}"
    play = Play(deals(f"- {{id: new, rules: [{{id: m, action: {mail}}}]}}"))
    play.create()
    assert play.effects() == ["email S"]
    assert play.outcomes() == [("m", "done", "")]
