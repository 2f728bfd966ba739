"""A text message from its outbox row to a provider's interface and back, over real sockets (H2, M5)."""

from pathlib import Path

import trio

from stagewheel.protocol.messages import Address, Client
from stagewheel.server.channels.email import EmailSettings
from stagewheel.server.channels.gateway import GatewaySettings
from stagewheel.server.channels.phone import SmsSettings
from stagewheel.server.core.effects import decode_outbox_row, encode_outbox_row
from stagewheel.server.core.item import decode_item, encode_item
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.senders.config import ChannelsConfig
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
    stages: [{id: new, rules: [{id: text, action: {do: send_sms, text: "Hello {{ client.name }}"}}]}]
"""


def message(phone: str) -> bytes:
    """A row of the rule, for a client with this number."""
    row = decode_outbox_row(outbox_row(action=0, once=True))
    item = decode_item(bytes(row.item))
    item.client = Client("Ada", phones=[Address(phone)])
    row.item = type(row.item)(encode_item(item))
    return encode_outbox_row(row)


async def test_a_text_message_goes_from_its_row_to_its_provider_and_is_reported(tmp_path: Path) -> None:
    async with server(status("200 OK", body=b'{"id": "m-1"}')) as (url, seen, _):
        provider = GatewaySettings(url=url, form={"to": "{{ to }}", "text": "{{ text }}"}, id="id")
        config = ChannelsConfig(
            EmailSettings(spool=str(tmp_path / "spool")),
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
            shard.hand(job(1, message("06 555 00101"), "sms"), job(2, message("12"), "sms"))
            await shard.answer_sources()
            reports = await shard.take_reports(2)
            nursery.cancel_scope.cancel()
    assert [request.body for request in seen] == [b"to=%2B390655500101&text=Hello+Ada"]
    assert reports[1].outcome == "delivered"
    assert reports[1].detail["message_id"] == "m-1"
    assert (reports[2].outcome, reports[2].reason) == ("refused", "'12' is no phone number")
