"""The server of examples/story, its providers, and everybody who has to do with them, on real sockets.

Laws: settings and ruleset are those of the example; only the addresses of providers are put in their place.
Each provider holds a request against its published format before it takes it. Nothing sleeps: what is waited
for is a mail, a request to a provider or a record of the journal.
"""

import email
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import httpx
import trio

from stagewheel.cli.local_server import local_server
from stagewheel.cli.sink import Options, Sink, start_sink
from stagewheel.client import TrioClient, open_trio_client
from stagewheel.protocol import journal as j
from stagewheel.server.channels.statuses import twilio_signature
from tests.channels import test_telegram, test_twilio
from tests.channels.peers import certificate
from tests.channels.test_http import Answer, Seen, server
from tests.conftest import REPOSITORY

STORY: Final = REPOSITORY / "examples" / "story"
PUBLIC: Final = "https://edge.shop.example"
SHOP: Final = "https://shop.example"
LIMIT_S: Final = 20.0
SECRETS: Final = {
    "SMTP_PASSWORD": "a password of the mail server",
    "TWILIO_TOKEN": test_twilio.TOKEN,
    "SHOP_BOT_TOKEN": test_telegram.TOKEN,
    "SHOP_BOT_SECRET": "webhook-secret_of-the-story",
    "BANK_TOKEN": "a-token-of-the-bank",
    "EDGE_SIGNING_KEY": "a signing key of more than thirty-two bytes",
}


class Requests:
    """What a provider was asked, one request after another, as it comes."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._put, self._get = trio.open_memory_channel[Seen](100)

    def __call__(self, seen: Seen) -> bytes | None:
        answered = self._answer(seen)  # first: it refuses what is not of its format
        self._put.send_nowait(seen)
        return answered

    async def next(self) -> Seen:
        """The next request, once it is there."""
        with trio.fail_after(LIMIT_S):
            return await self._get.receive()

    def rest(self) -> list[Seen]:
        """Requests that nobody has looked at yet."""
        left = []
        while True:
            try:
                left.append(self._get.receive_nowait())
            except trio.WouldBlock:
                return left


class Journal:
    """Everything the server decided, as a program sees it that follows."""

    def __init__(self, client: TrioClient) -> None:
        self.records: list[j.Record] = []
        self._following = client.subscribe()

    async def until(self, holds: Callable[[Any], bool]) -> j.Record:
        """The first record with a fact of which this holds, whether it has come already or not."""
        for record in self.records:
            if any(map(holds, record.did)):
                return record
        with trio.fail_after(LIMIT_S):
            while True:
                _, record = await anext(self._following)
                self.records.append(record)
                if any(map(holds, record.did)):
                    return record

    async def done(self, rule: str) -> j.Record:
        """Wait until the rule has its outcome, and that is `done`."""
        record = await self.until(lambda fact: isinstance(fact, j.StepEnded) and fact.rule == rule)
        [end] = [fact for fact in record.did if isinstance(fact, j.StepEnded) and fact.rule == rule]
        assert (end.outcome, end.reason) == ("done", ""), end
        return record

    def facts(self, kind: type) -> list[Any]:
        """All facts of a kind that were read so far."""
        return [fact for record in self.records for fact in record.did if isinstance(fact, kind)]


class World:
    """What the story's people, browsers and providers do."""

    def __init__(
        self, address: str, client: TrioClient, web: httpx.AsyncClient, sink: Sink, providers: list[Requests]
    ) -> None:
        self.address, self.client, self.web = address, client, web
        self.journal = Journal(client)
        self.twilio, self.bot = providers
        self._sink = sink

    async def mail(self, number: int) -> EmailMessage:
        """The mail with this number, once it is there."""
        mails = await trio.to_thread.run_sync(self._sink.wait_for, number, LIMIT_S)
        message = email.message_from_bytes(mails[number - 1].content, policy=default)
        assert isinstance(message, EmailMessage)
        return message

    async def click(self, url: str) -> str:
        """A browser follows a link of ours; where it leads."""
        assert url.startswith(f"{PUBLIC}/"), url
        answered = await self.web.get(url.removeprefix(PUBLIC))
        return answered.headers["location"]

    async def write_to_bot(self, number: int, text: str) -> None:
        """An update of the bot, as Telegram posts it."""
        person = {"id": 4242, "is_bot": False, "first_name": "Ada", "language_code": "it"}
        chat = {"id": 4242, "first_name": "Ada", "type": "private"}
        message = {"message_id": number, "from": person, "chat": chat, "date": 1_772_438_400, "text": text}
        update = {"update_id": 900_000 + number, "message": message}
        secret = {"X-Telegram-Bot-Api-Secret-Token": SECRETS["SHOP_BOT_SECRET"]}
        answered = await self.web.post("/telegram/shop", json=update, headers=secret)
        assert (answered.status_code, answered.json()) == (200, {"ok": True})

    async def tell_status(self, request: Seen, **fields: str) -> None:
        """A status call-back to the address that a request named, signed as Twilio does."""
        url = fields_of(request)["StatusCallback"]
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Twilio-Signature": twilio_signature(SECRETS["TWILIO_TOKEN"], url, list(fields.items())),
        }
        answered = await self.web.post(url.removeprefix(PUBLIC), content=urlencode(fields), headers=headers)
        assert answered.status_code == 204


def fields_of(request: Seen) -> dict[str, str]:
    """The form that a request posts."""
    return dict(parse_qsl(request.body.decode(), strict_parsing=True))


def settings(mail: tuple[int, Path], twilio_url: str, bot_url: str) -> str:
    """server.toml of the example with the addresses of our providers."""
    port, authority = mail
    text = (STORY / "server.toml").read_text(encoding="utf-8")
    for line, ours in (
        ('host = "smtp.example.com"', f'host = "localhost"\nport = {port}\nca_file = "{authority}"'),
        ('kind = "twilio"', f'kind = "twilio"\nbase_url = "{twilio_url}"'),
        ('kind = "telegram"', f'kind = "telegram"\nbase_url = "{bot_url}"'),
        ('listen = "127.0.0.1:7480"', 'listen = "127.0.0.1:0"'),
    ):
        assert line in text, f"server.toml has no {line}"
        text = text.replace(line, ours)
    return text


@asynccontextmanager
async def open_world(folder: Path) -> AsyncIterator[World]:
    """`stagewheel serve` on this folder, and all its peers; SECRETS stand in the environment."""
    _, authority = certificate(folder)
    mail = Options(
        tls="starttls",
        certificate=str(authority),
        key=str(folder / "key.pem"),
        login="story",
        password=SECRETS["SMTP_PASSWORD"],
        keep_content=True,
    )
    twilio, bot = Requests(test_twilio.twilio), Requests(test_telegram.Api())
    no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # reading all certificates takes longer than the story
    async with AsyncExitStack() as stack:
        twilio_url, _, _ = await stack.enter_async_context(server(twilio))
        bot_url, _, _ = await stack.enter_async_context(server(bot))
        sink = stack.enter_context(start_sink(mail))
        text = settings((sink.port, authority), *(url.partition("/hook")[0] for url in (twilio_url, bot_url)))
        served = stack.enter_context(local_server(folder, text))
        client = await stack.enter_async_context(open_trio_client(served.address))
        web = await stack.enter_async_context(
            httpx.AsyncClient(base_url=served.edge, timeout=LIMIT_S, verify=no_tls)
        )
        yield World(served.address, client, web, sink, [twilio, bot])
