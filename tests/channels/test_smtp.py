"""E-mail over SMTP against real servers: what each answer, and each silence, comes to."""

import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from stagewheel.errors import OperatorError
from stagewheel.server.channels.base import (
    Channel,
    Delivered,
    Delivery,
    Outcome,
    RefusedForGood,
    Retry,
    Unknown,
)
from stagewheel.server.channels.email import EmailSettings
from stagewheel.server.senders.config import ChannelsConfig, check
from tests.channels.peers import Content, Inbox, certificate, mail_server, scripted_server

KEY = "0123456789abcdef" * 2

# aiosmtpd's advice to its operator, who here is a test.
NOT_OVER_TLS = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")


def delivery(sender: int = 0, key: str = KEY) -> Delivery:
    return Delivery(key, 1, "lead:1", "thanks", 1_772_438_400_000, sender)


@asynccontextmanager
async def opened(port: int, **settings: Any) -> AsyncIterator[Channel]:
    channel = EmailSettings(host="127.0.0.1", port=port, **{"timeout_s": 5.0, **settings}).open("store")
    try:
        yield channel
    finally:
        await channel.aclose()


async def deliver(port: int, content: Content | None = None, **settings: Any) -> Outcome:
    async with opened(port, **settings) as channel:
        return await channel.deliver(content or Content(), delivery())


async def test_a_mail_that_the_server_takes_is_delivered_with_its_text_and_headers() -> None:
    inbox = Inbox()
    with mail_server(inbox) as port:
        outcome = await deliver(port)
    assert outcome == Delivered(
        {"message_id": f"<{KEY}@example.com>", "address": "ada@example.com", "status": "taken"}
    )
    (envelope,) = inbox.mails
    assert (envelope.mail_from, envelope.rcpt_tos) == ("sales@example.com", ["ada@example.com"])
    assert isinstance(envelope.content, bytes)
    mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert mail["Message-ID"] == f"<{KEY}@example.com>"
    assert mail["X-Stagewheel-Item"] == "lead:1"
    assert mail["X-Stagewheel-Rule"] == "thanks"
    assert mail.get_content() == "Hello Ada,\r\n.\r\n..two dots\r\nYours\r\n"


async def test_mails_of_one_sender_share_a_connection_and_another_sender_has_its_own() -> None:
    inbox = Inbox()
    with mail_server(inbox) as port:
        async with opened(port) as channel:
            for sender in (0, 0, 1):
                await channel.deliver(Content(), delivery(sender))
    first, second, third = inbox.peers
    assert first == second != third


@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        (Content(to=("550@example.com",)), RefusedForGood),
        (Content(to=("450@example.com",)), Retry),
        (Content(to=("550@example.com", "450@example.com")), Retry),
        (Content(from_="550@example.com"), RefusedForGood),
        (Content(from_="451@example.com"), Retry),
    ],
)
async def test_s8_1_a_4xx_is_tried_again_and_a_5xx_refuses_for_good(
    content: Content, outcome: type[Outcome]
) -> None:
    with mail_server(Inbox()) as port:
        answer = await deliver(port, content)
    assert type(answer) is outcome
    if isinstance(answer, Retry):
        assert not answer.provider


@pytest.mark.parametrize(("text_answer", "outcome"), [("552 too big", RefusedForGood), ("451 later", Retry)])
async def test_an_answer_to_the_text_counts_like_any_other(text_answer: str, outcome: type[Outcome]) -> None:
    inbox = Inbox()
    inbox.text_answer = text_answer
    with mail_server(inbox) as port:
        assert type(await deliver(port)) is outcome


async def test_a_mail_with_one_good_recipient_goes_to_that_one_and_names_the_others() -> None:
    inbox = Inbox()
    with mail_server(inbox) as port:
        outcome = await deliver(port, Content(to=("550@example.com", "ada@example.com")))
    assert isinstance(outcome, Delivered)
    assert outcome.detail["refused"] == ["550@example.com"]
    assert inbox.mails[0].rcpt_tos == ["ada@example.com"]


async def test_a_refused_mail_leaves_its_connection_fit_for_the_next_one() -> None:
    inbox = Inbox()
    with mail_server(inbox) as port:
        async with opened(port) as channel:
            refused = await channel.deliver(Content(to=("550@example.com",)), delivery())
            taken = await channel.deliver(Content(), delivery())
    assert isinstance(refused, RefusedForGood)
    assert isinstance(taken, Delivered)
    assert inbox.mails[0].rcpt_tos == ["ada@example.com"]


async def test_a_server_that_is_down_is_tried_again_and_is_the_providers_failure() -> None:
    async with scripted_server(lambda _: None) as port:
        pass
    outcome = await deliver(port)
    assert isinstance(outcome, Retry)
    assert outcome.provider
    assert f"127.0.0.1:{port}" in outcome.reason


def script(**answers: bytes | None) -> Any:
    """Answers by the first word of a line."""
    usual: dict[str, bytes | None] = {
        "EHLO": b"250 mx.example.com\r\n",
        "MAIL": b"250 OK\r\n",
        "RCPT": b"250 OK\r\n",
        "DATA": b"354 go on\r\n",
        "TEXT": b"250 taken\r\n",
        "RSET": b"250 OK\r\n",
        "QUIT": b"221 bye\r\n",
    }
    return lambda line: {**usual, **answers}[line.split()[0].upper()]


@pytest.mark.parametrize("word", ["EHLO", "MAIL", "RCPT", "DATA"])
async def test_a_connection_lost_before_the_text_is_tried_again(word: str) -> None:
    async with scripted_server(script(**{word: None})) as port:
        outcome = await deliver(port)
    assert isinstance(outcome, Retry)
    assert outcome.provider


async def test_a_connection_lost_after_the_text_leaves_the_outcome_unknown() -> None:
    async with scripted_server(script(TEXT=None)) as port:
        outcome = await deliver(port)
    assert isinstance(outcome, Unknown)
    assert "after the text was sent" in outcome.reason


async def test_a_silence_before_the_text_is_tried_again_and_one_after_it_is_unknown() -> None:
    async with scripted_server(script(RCPT=b"")) as port:
        assert isinstance(await deliver(port, timeout_s=0.5), Retry)
    async with scripted_server(script(TEXT=b"")) as port:
        assert isinstance(await deliver(port, timeout_s=0.5), Unknown)


@pytest.mark.parametrize("greeting", [None, b"554 go away\r\n", b"421 busy\r\n", b"nonsense\r\n"])
async def test_a_server_that_does_not_greet_touches_no_mail(greeting: bytes | None) -> None:
    async with scripted_server(script(), greeting) as port:
        outcome = await deliver(port)
    assert isinstance(outcome, Retry)
    assert outcome.provider


async def test_a_connection_that_was_closed_between_two_mails_is_opened_again_for_the_same_attempt() -> None:
    begun: list[str] = []

    def goes_away_after_each_mail(line: str) -> bytes | None:
        begun.append(line.split()[0])
        if line.startswith("MAIL") and begun.count("MAIL") == 2:
            return b"421 idle for too long\r\n"
        answer: bytes | None = script()(line)
        return answer

    async with scripted_server(goes_away_after_each_mail) as port, opened(port) as channel:
        assert isinstance(await channel.deliver(Content(), delivery()), Delivered)
        assert isinstance(await channel.deliver(Content(), delivery()), Delivered)
    assert begun.count("EHLO") == 2


async def test_a_cancelled_delivery_gives_up_its_connection_and_harms_no_other() -> None:
    reached = trio.Event()

    def silent_once(line: str) -> bytes | None:
        if line.startswith("DATA") and not reached.is_set():
            reached.set()
            return b""
        answer: bytes | None = script()(line)
        return answer

    async with scripted_server(silent_once) as port, opened(port) as channel:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.deliver, Content(), delivery())
            await reached.wait()
            nursery.cancel_scope.cancel()
        assert isinstance(await channel.deliver(Content(), delivery()), Delivered)


@NOT_OVER_TLS
async def test_a_login_is_made_where_a_username_is_set() -> None:
    inbox = Inbox()
    with mail_server(inbox, login=True) as port:
        assert isinstance(await deliver(port, username="wheel", password="s3cret"), Delivered)
        wrong = await deliver(port, username="wheel", password="wr0ng")
    assert isinstance(wrong, Retry), "a wrong password is no mail's fault"
    assert wrong.provider
    assert "wr0ng" not in wrong.reason
    assert "535" in wrong.reason


@NOT_OVER_TLS
async def test_starttls_is_used_and_the_certificate_is_checked(tmp_path: Path) -> None:
    context, cert = certificate(tmp_path)
    inbox = Inbox()
    with mail_server(inbox, tls=context, login=True) as port:
        trusted = await deliver(port, tls="starttls", ca_file=str(cert), username="wheel", password="s3cret")
        untrusted = await deliver(port, tls="starttls")
        unchecked = await deliver(port, tls="starttls", tls_verify=False, username="wheel", password="s3cret")
    assert isinstance(trusted, Delivered)
    assert isinstance(untrusted, Retry)
    assert untrusted.provider
    assert isinstance(unchecked, Delivered)
    assert len(inbox.mails) == 2


async def test_an_address_beyond_ascii_goes_out_with_smtputf8_where_the_server_offers_it() -> None:
    inbox = Inbox()
    content = Content(to=("zoë@example.com",))
    with mail_server(inbox) as port:
        assert isinstance(await deliver(port, content), Delivered)
    assert inbox.mails[0].rcpt_tos == ["zoë@example.com"]
    async with scripted_server(script()) as port:
        refused = await deliver(port, content)
    assert isinstance(refused, RefusedForGood)
    assert "SMTPUTF8" in refused.reason


async def test_a_mail_that_cannot_be_built_is_refused_without_a_connection() -> None:
    outcome = await deliver(1, Content(subject="two\nlines"))
    assert isinstance(outcome, RefusedForGood)
    assert "line break" in outcome.reason


def test_a_password_goes_to_another_machine_only_with_tls() -> None:
    with pytest.raises(OperatorError, match="in clear"):
        EmailSettings(host="mx.example.com", username="wheel", password="s3cret").open("store")


def test_settings_do_not_print_a_password_and_take_it_from_a_file_or_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "s3cret" not in repr(EmailSettings(host="localhost", password="s3cret"))
    file = tmp_path / "password"
    file.write_text("from-file\n")
    assert EmailSettings(password_file=str(file)).secret() == "from-file"
    monkeypatch.setenv("WHEEL_PASSWORD", "from-variable")
    assert EmailSettings(password_env="WHEEL_PASSWORD").secret() == "from-variable"
    with pytest.raises(OperatorError, match="NOT_SET_ANYWHERE"):
        EmailSettings(password_env="NOT_SET_ANYWHERE").secret()
    with pytest.raises(OperatorError, match="password_file"):
        EmailSettings(password_file=str(tmp_path / "missing")).secret()


def test_settings_that_cannot_work_are_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OperatorError, match="spool"):
        check(ChannelsConfig(EmailSettings(spool=str(tmp_path / "file"))))
    with pytest.raises(OperatorError, match="ca_file"):
        check(ChannelsConfig(EmailSettings(host="localhost", tls="tls", ca_file=str(tmp_path / "missing"))))
    check(ChannelsConfig())


@pytest.mark.parametrize(
    ("section", "where"),
    [
        ("[email]\nhots = 'localhost'", "hots"),
        ("[email]\npool_size = 0", "email.pool_size"),
        ("[email]\ntls = 'ssl'", "email.tls"),
        ("[webhook]\nallow_private = 'yes'", "webhook.allow_private"),
        ("[sms]\nhost = 'localhost'", "sms"),
    ],
)
def test_an_unknown_setting_or_a_wrong_value_is_refused_by_name(section: str, where: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=where):
        msgspec.toml.decode(section, type=ChannelsConfig)
