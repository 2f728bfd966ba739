"""Rules that are tried, from their row to a provider over real sockets (N11); what is made of each."""

from pathlib import Path

import trio

from stagewheel.protocol.messages import Address, Client
from stagewheel.server.channels.email import EmailSettings
from stagewheel.server.channels.gateway import GatewaySettings
from stagewheel.server.channels.phone import SmsSettings
from stagewheel.server.channels.webhook import WebhookSettings
from stagewheel.server.core.chat import Chat
from stagewheel.server.core.effects import OutboxRow, decode_outbox_row, encode_outbox_row
from stagewheel.server.core.item import More, decode_item, encode_item
from stagewheel.server.core.trying import TRIAL
from stagewheel.server.links import Links
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.senders.config import ChannelsConfig
from stagewheel.server.senders.pool import Task
from stagewheel.server.senders.rendering import render
from stagewheel.server.senders.sender import SenderProcess
from tests.channels.test_http import server, status
from tests.senders.shard import job, open_shard, outbox_row

RULES = """
ruleset: sales
timezone: Europe/Rome
entities: {lead: {}}
pipelines:
  leads:
    entity: lead
    stages:
      - id: new
        rules:
          - {id: text, action: {do: send_sms, text: "Hello {{ client.name }}"}}
          - {id: hook, action: {do: webhook, url: "https://crm.example/", json: {a: "{{ item.key }}"}}}
          - {id: ring, action: {do: call, say: {text: "Hello {{ client.name }}"}}}
          - {id: chat, action: {do: send_chat, text: "Hello {{ client.name }}"}}
          - id: mail
            action:
              do: send_email
              from: desk@shop.example
              subject: Hello
              body: "https://a.example/ {{ 'https://b.example' | tracked }} {{ unsubscribe_url }}"
              track: {clicks: true}
"""
TEXT, HOOK, RING, CHAT, MAIL = range(5)
LINKS = Links("https://edge.shop.example", b"a key of thirty-two bytes or more than that")


def trial(action: int, to: str) -> OutboxRow:
    """The row of a rule that is tried."""
    row = decode_outbox_row(outbox_row(action=action))
    item = decode_item(bytes(row.item))
    item.client = Client("Ada", [Address("ada@example.com")], [Address("+390655500101")])
    item.more = More(chats=[Chat("shop-bot", "17", 1)])
    row.item = type(row.item)(encode_item(item))
    row.roots = {**row.roots, TRIAL: to}
    return row


async def test_what_is_tried_goes_to_who_tries_it_marked_as_a_test(tmp_path: Path) -> None:
    """N11."""
    async with server(status("200 OK", body=b'{"id": "m-1"}')) as (url, seen, _):
        provider = GatewaySettings(url=url, form={"to": "{{ to }}", "text": "{{ text }}"}, id="id")
        config = ChannelsConfig(
            EmailSettings(spool=str(tmp_path / "spool")),
            webhook=WebhookSettings(allow_private=True),
            sms=SmsSettings(region="IT", providers={"local": provider}),
        )
        async with open_shard(tmp_path) as (shard, address), trio.open_nursery() as nursery:
            shard.rules = RULES
            process = SenderProcess(
                address, config, "store-1", b"sender-0", lambda files, n: compile_ruleset(files, n)[0]
            )
            nursery.start_soon(process.run)
            await shard.welcome()
            await shard.credit("sms")
            await shard.credit("webhook")
            shard.hand(
                job(1, encode_outbox_row(trial(TEXT, "06 555 00199")), "sms"),
                job(2, encode_outbox_row(trial(HOOK, url)), "webhook"),
            )
            await shard.answer_sources()
            reports = await shard.take_reports(2)
            nursery.cancel_scope.cancel()
    assert [one.outcome for one in reports.values()] == ["delivered"] * 2
    text, hook = sorted(seen, key=lambda request: request.body)
    if b"text" not in text.body:
        text, hook = hook, text
    assert text.body == b"to=%2B390655500199&text=%5Btest%5D+Hello+Ada"
    assert hook.headers["x-stagewheel-test"] == "true"
    assert hook.body == b'{"a":"lead:1"}'


def rendered(action: int, to: str) -> Task:
    version = compile_ruleset({"rules.yaml": RULES}, 1)[0]
    task = render(trial(action, to), 1, version, "store-1", False, LINKS)
    assert isinstance(task, Task), task
    return task


def test_a_mail_that_is_tried_is_followed_by_nobody_and_unsubscribes_nobody_else() -> None:
    """N11."""
    task = rendered(MAIL, "me@example.org")
    assert (task.content.to, task.content.subject) == (("me@example.org",), "[test] Hello")
    assert (task.content.from_, task.content.unsubscribe) == ("desk@shop.example", "")
    *own, unsubscribe = task.content.text.split()
    assert own == ["https://a.example/", "https://b.example"]
    assert unsubscribe.startswith("https://edge.shop.example/u/")
    assert "ada@example.com" not in str(task.content)
    assert task.delivery.test


def test_calls_and_chats_are_tried_as_well() -> None:
    """N11."""
    call = rendered(RING, "+390655500199").content
    assert (call.to, call.say.text) == ("+390655500199", "Test. Hello Ada")
    for to, provider in (("99", "shop-bot"), ("other-bot:99", "other-bot")):
        chat = rendered(CHAT, to).content
        assert (chat.provider, chat.to, chat.text) == (provider, "99", "[test] Hello Ada")
