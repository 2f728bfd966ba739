"""An invitation and the chat that follows it, from their outbox rows to the providers, over real sockets
(H4, H5).
"""

import re
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
import trio

from stagewheel.protocol.messages import Address, Client, Job, Moved, ReceiveChat
from stagewheel.server.actors.outboxes import rows_from
from stagewheel.server.channels.chat import ChatSettings
from stagewheel.server.channels.email import EmailSettings
from stagewheel.server.channels.gateway import GatewaySettings
from stagewheel.server.channels.phone import SmsSettings
from stagewheel.server.channels.telegram import TelegramSettings
from stagewheel.server.invitations import number_of, token
from stagewheel.server.links import Links
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.senders.config import ChannelsConfig
from stagewheel.server.senders.sender import SenderProcess
from tests.channels.test_http import server, status
from tests.channels.test_telegram import TOKEN, Api
from tests.core.play import Play, deals
from tests.senders.shard import job, open_shard

KEY = b"a signing key of more than thirty-two bytes"
LINK = re.compile(r"https://t\.me/shop_bot\?start=([A-Za-z0-9_-]{1,64})")
RULES = deals(
    """
    - id: new
      rules:
        - {id: hello, action: {do: invite, text: "Write to us: {{ link }}."}}
        - {id: nobody, action: {do: invite, text: "Write to us", chat: site}}
    - id: talking
      triggers: [{id: began, on: chat_message, channel: shop, message: first}]
      rules: [{id: greet, action: {do: send_chat, text: "Welcome, {{ client.name }}"}}]
    """
)


def jobs(play: Play, channel: str) -> list[Job]:
    """What the shard would hand to senders."""
    snapshot = play.drive.engine.store.snapshot()
    try:
        return [job(number, row, channel) for number, row in rows_from(snapshot, channel, 0, 10)]
    finally:
        snapshot.close()


async def test_an_invitation_leads_into_a_chat_in_which_the_next_message_goes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H5, H4: the link is signed in the sender process, and names the item when it comes back."""
    monkeypatch.setenv("WHEEL_BOT", TOKEN)
    play, api = Play(RULES), Api()
    for channel in ("sms", "chat"):
        play.channel(channel, hold=True)
    play.create(client=Client("Ada", phones=[Address("+390655500101")]))
    async with (
        server(status("200 OK")) as (sms_url, texts, _),
        server(api) as (bot_url, _, _),
        open_shard(tmp_path) as (shard, address),
        trio.open_nursery() as nursery,
    ):
        bot = TelegramSettings(
            token_env="WHEEL_BOT", username="shop_bot", base_url=bot_url.partition("/hook")[0]
        )
        site = GatewaySettings(url=sms_url)
        sms = GatewaySettings(url=sms_url, form={"text": "{{ text }}"})
        config = ChannelsConfig(
            EmailSettings(spool=str(tmp_path / "spool")),
            sms=SmsSettings(providers={"local": sms}),
            chat=ChatSettings(provider="shop", providers={"shop": bot, "site": site}),
        )
        shard.rules = RULES
        process = SenderProcess(
            address,
            config,
            "store-1",
            b"sender-0",
            lambda files, n: compile_ruleset(files, n)[0],
            links=Links("https://edge.example.com", KEY),
        )
        nursery.start_soon(process.run)
        await shard.welcome("replay")  # the rows are of that clock
        await shard.credit("sms")
        hello, nobody = jobs(play, "sms")
        shard.hand(hello, nobody)
        await shard.answer_sources()
        reports = await shard.take_reports(2)
        assert reports[hello.number].outcome == "delivered", reports
        [(_, text)] = parse_qsl(texts[0].body.decode())
        found = LINK.search(text)
        assert found is not None
        number = number_of(KEY, found[1])
        came = play.submit(ReceiveChat("", channel="shop", chat="4242", text="/start", invitation=number))
        await shard.credit("chat")
        (greeting,) = jobs(play, "chat")
        shard.hand(greeting)
        told = (await shard.take_reports(3))[greeting.number]
        nursery.cancel_scope.cancel()
    assert reports[nobody.number].outcome == "refused"
    assert "'site' of channel chat has no bot" in reports[nobody.number].reason
    assert isinstance(came, Moved)
    assert [request.fields for request in api.taken] == [{"chat_id": 4242, "text": "Welcome, Ada"}]
    assert (told.outcome, told.detail["text"], told.detail["provider"]) == (
        "delivered",
        "Welcome, Ada",
        "shop",
    )


@pytest.mark.parametrize("number", [1, 255, 2**63])
def test_a_token_names_its_invitation_to_whoever_has_the_key(number: int) -> None:
    """H5: at most 64 characters of A–Z, a–z, 0–9, _ and -."""
    made = token(KEY, number)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", made)
    assert number_of(KEY, made) == number
    changed = made[:3] + ("A" if made[3] != "A" else "B") + made[4:]
    for wrong in (changed, made[:-1], made + "A", "", "é" * 43, "*" * 43):
        assert number_of(KEY, wrong) == 0
    assert number_of(b"another key of more than thirty-two bytes", made) == 0
    assert number_of(b"", made) == 0
