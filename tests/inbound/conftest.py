"""A server with mail in that all tests share, and mails of people who write to it."""

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from itertools import count
from pathlib import Path

import pytest

from stagewheel.client.blocking import Client
from stagewheel.server.inbound.config import InboundConfig, MailboxConfig
from stagewheel.server.inbound.returning import Returns
from tests.server.harness import Served

KEY = "a signing key of mail in, of more than thirty-two bytes"
REPLY = "info@shop.example"
BOUNCE = "bounces@shop.example"
BYTES_MAX = 16 * 1024
RETURNS = Returns(KEY.encode(), REPLY, BOUNCE)

RULES = """
ruleset: shop
entities: {lead: {fields: {text: text, sender: text}}, deal: {fields: {amount: number}}}
sources:
  mail: {on: incoming_email, mailbox: info, on_unmatched: create, pipeline: leads, stage: asked,
         title: "From message {{ trigger.subject }}", source: email, responsible: 7}
pipelines:
  leads:
    entity: lead
    stages: [{id: fresh}, {id: asked}, {id: won, final: success}]
  deals:
    entity: deal
    stages:
      - id: new
        rules:
          - {id: welcome, run: {after: 1y}, action: {do: send_email, subject: Welcome, body: "Hello"}}
      - id: undeliverable
        triggers: [{id: bounced, on: email_bounced, rule: welcome, when: {trigger.soft: {is: false}}}]
      - id: answered
        triggers:
          - {id: mail, on: incoming_email, mailbox: info, subject: offer, when: {trigger.auto: {is: false}}}
      - id: helped
        triggers:
          - {id: help, on: incoming_email, mailbox: [help, desk], when: {trigger.files: {filled: true}}}
"""

CONFIG = InboundConfig(
    mailboxes={
        "info": MailboxConfig((REPLY, "sales@shop.example"), {"text": "text", "sender": "from"}),
        "help": MailboxConfig(("help@shop.example",)),
    },
    listen="127.0.0.1:0",
    signing_key_env="INBOUND_KEY",
    reply_address=REPLY,
    bounce_address=BOUNCE,
    message_bytes_max=BYTES_MAX,
    attachment_bytes_max=BYTES_MAX,
    answer_timeout_s=0.5,
    recipients_max=3,
    timeout_s=20,
)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that takes mails, with the rules above."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("INBOUND_KEY", KEY)
        folder: Path = tmp_path_factory.mktemp("inbound")
        with Served(folder, senders=0, inbound=CONFIG) as served:
            served.wait_ready("inbound-0")
            with served.client() as client:
                client.put_ruleset("shop", {"rules.yaml": RULES})
            yield served


@pytest.fixture(scope="session")
def client(served: Served) -> Iterator[Client]:
    """To look at what became of a mail."""
    with served.client() as client:
        yield client


@pytest.fixture(scope="session")
def numbers() -> Iterator[int]:
    """Numbers of mails."""
    return count(1)


@pytest.fixture
def post(served: Served) -> Iterator[smtplib.SMTP]:
    """A conversation of a mail server on this machine."""
    host, _, port = served.inbound.rpartition(":")
    with smtplib.SMTP(host, int(port), timeout=30) as smtp:
        smtp.ehlo("mx.example.net")
        yield smtp


def mail(number: int, sender: str = "Ada <ada@example.com>", subject: str = "Your offer") -> EmailMessage:
    """A mail as people write it."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = sender, REPLY, subject
    made["Date"] = "Mon, 02 Mar 2026 09:00:00 +0100"
    made["Message-ID"] = f"<{number}@mail.example.com>"
    made.set_content("Dear shop,\nhow much is it?\n")
    return made


def send(
    post: smtplib.SMTP, content: EmailMessage | bytes, *to: str, sender: str = "ada@example.com"
) -> tuple[int, bytes]:
    """Give a mail to the server; the answer to its last line, or to what was refused first."""
    post.ehlo_or_helo_if_needed()
    code, answer = post.mail(sender)
    if code != 250:
        return code, answer
    for one in to or (REPLY,):
        code, answer = post.rcpt(one)
        if code != 250:
            post.rset()
            return code, answer
    return post.data(content.as_bytes() if isinstance(content, EmailMessage) else content)
