"""The sender process against a shard over real ipc and real channels."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from stagewheel.protocol.codec import all_reports
from stagewheel.protocol.errors import Fenced
from stagewheel.protocol.messages import (
    Hello,
    Job,
    Pull,
    Query,
    Refused,
    Reply,
    Reports,
    ReportsTaken,
    VersionSource,
)
from stagewheel.server.channels.email import EmailSettings
from stagewheel.server.channels.webhook import WebhookSettings
from stagewheel.server.rules.compile import compile_ruleset
from stagewheel.server.senders.config import ChannelsConfig
from stagewheel.server.senders.link import SILENCE_S
from stagewheel.server.senders.sender import SenderProcess
from tests.channels.peers import Inbox, mail_server, scripted_server
from tests.channels.test_http import server, status
from tests.channels.test_smtp import script
from tests.senders.shard import BOSS, BROKEN, WEBHOOK, Shard, job, open_shard, outbox_row


@asynccontextmanager
async def sending(
    address: str, folder: Path, email: EmailSettings | None = None, silence_s: float = SILENCE_S
) -> AsyncIterator[SenderProcess]:
    config = ChannelsConfig(
        email or EmailSettings(spool=str(folder / "spool"), default_from="shop@example.net"),
        WebhookSettings(allow_private=True, pool_size=4),
    )
    process = SenderProcess(
        address,
        config,
        "store-1",
        b"sender-0",
        lambda files, number: compile_ruleset(files, number)[0],
        silence_s,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(process.run)
        yield process
        nursery.cancel_scope.cancel()


def bytes_of(content: bytes | str | None) -> bytes:
    assert isinstance(content, bytes)
    return content


def spooled(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted((folder / "spool" / "new").iterdir())]


async def begin(shard: Shard, *jobs: Job) -> None:
    """Welcome the sender, hand it jobs, and tell it the texts of their version."""
    await shard.welcome()
    await shard.credit()
    shard.hand(*jobs)
    await shard.answer_sources()


async def test_a_sender_says_hello_and_offers_to_take_jobs_of_every_channel(tmp_path: Path) -> None:
    async with open_shard(tmp_path) as (shard, address), sending(address, tmp_path):
        hello = await shard.welcome()
        assert (hello.role, hello.producer) == ("sender", b"sender-0")
        assert await shard.credit("email") == 16 * 16
        assert await shard.credit("webhook") == 4 * 16
        assert await shard.credit("sms") == 16, "no more than it is sending: they leave at most once"


async def test_s7_2_a_mail_is_rendered_from_the_row_delivered_and_reported(tmp_path: Path) -> None:
    async with open_shard(tmp_path) as (shard, address), sending(address, tmp_path):
        await begin(shard, job(5, outbox_row()))
        report = (await shard.take_reports(1))[5]
    assert (report.channel, report.outcome, report.reason) == ("email", "delivered", "")
    assert report.detail["address"] == "ada@example.com"
    (mail,) = spooled(tmp_path)
    assert "From: Grace <grace@example.org>" in mail
    assert "Subject: Thank you, Ada" in mail
    assert "Hello Ada, Grace will call you." in mail
    assert f"Message-ID: {report.detail['message_id']}" in mail


async def test_s7_8_without_a_responsible_the_channels_default_is_the_sender(tmp_path: Path) -> None:
    async with open_shard(tmp_path) as (shard, address), sending(address, tmp_path):
        await begin(shard, job(1, outbox_row(responsible=None)))
        await shard.take_reports(1)
    assert "From: shop@example.net" in spooled(tmp_path)[0]


async def test_a_mail_to_the_supervisor_uses_the_employees_that_the_row_carries(tmp_path: Path) -> None:
    async with open_shard(tmp_path) as (shard, address), sending(address, tmp_path):
        await begin(shard, job(1, outbox_row(action=BOSS)))
        report = (await shard.take_reports(1))[1]
    assert report.detail["address"] == "boss@example.org", report.reason


async def test_the_key_is_the_same_in_every_attempt_and_differs_between_items(tmp_path: Path) -> None:
    async with open_shard(tmp_path) as (shard, address), sending(address, tmp_path):
        await begin(shard, job(1, outbox_row("lead:1")), job(2, outbox_row("lead:2")))
        reports = await shard.take_reports(2)
        first, other = (reports[number].detail["message_id"] for number in (1, 2))
        shard.hand(job(9, outbox_row("lead:1", attempt=3)))
        again = (await shard.take_reports(3))[9].detail["message_id"]
    assert first == again != other


async def test_a_template_that_fails_refuses_its_job_and_harms_no_other(tmp_path: Path) -> None:
    async with open_shard(tmp_path) as (shard, address), sending(address, tmp_path):
        await begin(shard, job(1, outbox_row(action=BROKEN)), job(2, outbox_row()))
        reports = await shard.take_reports(2)
    assert reports[1].outcome == "refused"
    assert reports[1].reason.startswith("template failed: ")
    assert reports[2].outcome == "delivered"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (b"\xc0", "can't be read"),
        (outbox_row(action=99), "has no action 99"),
    ],
)
async def test_a_row_that_cannot_be_delivered_is_refused_with_its_reason(
    tmp_path: Path, row: bytes, why: str
) -> None:
    async with open_shard(tmp_path) as (shard, address), sending(address, tmp_path):
        await begin(shard, job(1, row), job(2, outbox_row()))
        reports = await shard.take_reports(2)
    assert reports[1].outcome == "refused"
    assert why in reports[1].reason
    assert reports[2].outcome == "delivered"


async def test_s8_7_a_row_that_has_expired_or_is_outside_of_its_hours_is_not_begun(tmp_path: Path) -> None:
    late, closed = outbox_row(expires_ms=1), outbox_row(closes_ms=1)
    async with open_shard(tmp_path) as (shard, address), sending(address, tmp_path):
        await begin(shard, job(1, late), job(2, closed), job(3, outbox_row()))
        reports = await shard.take_reports(3)
    assert [reports[number].outcome for number in (1, 2, 3)] == ["expired", "outside", "delivered"]


async def test_under_another_clock_than_the_systems_the_shard_alone_judges_expiry(tmp_path: Path) -> None:
    async with open_shard(tmp_path) as (shard, address), sending(address, tmp_path):
        await shard.welcome(clock="scaled")
        await shard.credit()
        shard.hand(job(1, outbox_row(expires_ms=1)))
        await shard.answer_sources()
        assert (await shard.take_reports(1))[1].outcome == "delivered"


async def test_a_version_is_asked_for_once_and_jobs_that_wait_for_it_keep_their_order(tmp_path: Path) -> None:
    inbox = Inbox()
    with mail_server(inbox) as port:
        email = EmailSettings(host="127.0.0.1", port=port, pool_size=1)
        async with open_shard(tmp_path) as (shard, address), sending(address, tmp_path, email):
            await shard.welcome()
            await shard.credit()
            shard.hand(job(0, outbox_row("lead:0")))
            shard.hand(*(job(number, outbox_row(f"lead:{number}")) for number in range(1, 5)))
            await shard.answer_sources()
            await shard.take_reports(5)
            assert sum(isinstance(message, Query) for message in shard.heard) == 1
    keys = [
        line
        for mail in inbox.mails
        for line in bytes_of(mail.content).split(b"\r\n")
        if line.startswith(b"X-Stagewheel-Item")
    ]
    assert keys == [b"X-Stagewheel-Item: lead:%d" % number for number in range(5)]


async def test_an_unknown_version_refuses_its_jobs_and_a_broken_one_is_tried_again(tmp_path: Path) -> None:
    async with open_shard(tmp_path) as (shard, address), sending(address, tmp_path):
        await shard.welcome()
        await shard.credit()
        shard.hand(
            job(1, outbox_row(version=1)), job(2, outbox_row(version=2)), job(3, outbox_row(version=3))
        )
        shard.say(Reply((await shard.hear_a(Query)).id, []))
        shard.say(
            Reply((await shard.hear_a(Query)).id, [VersionSource(2, "sales", {"a.yaml": "ruleset: ["})])
        )
        shard.say(Refused("busy", "later", query=(await shard.hear_a(Query)).id))
        reports = await shard.take_reports(3)
    assert (reports[1].outcome, reports[1].reason) == ("refused", "the shard has no ruleset version 1")
    assert reports[2].outcome == "retry"
    assert "can't be compiled" in reports[2].reason
    assert (reports[3].outcome, reports[3].reason) == ("retry", "busy: later")


async def test_a_webhook_goes_out_with_the_key_of_the_action(tmp_path: Path) -> None:
    async with (
        server(status("202 Accepted")) as (url, seen, _),
        open_shard(tmp_path) as (shard, address),
        sending(address, tmp_path),
    ):
        shard.rules = shard.rules.replace("PORT", url.split(":")[2].split("/")[0])
        await begin(shard, job(1, outbox_row(action=WEBHOOK), "webhook"))
        report = (await shard.take_reports(1))[1]
    assert (report.outcome, report.detail) == ("delivered", {"status": 202})
    (request,) = seen
    assert (request.method, request.target, request.body) == ("POST", "/lead:1", b'{"key":"lead:1"}')
    assert len(request.headers["idempotency-key"]) == 32


async def test_s8_2_a_retry_carries_a_delay_within_the_range_of_its_attempt(tmp_path: Path) -> None:
    async with scripted_server(script(RCPT=b"450 later\r\n")) as port:
        email = EmailSettings(host="127.0.0.1", port=port, pool_size=1, retry_base_s=1.0)
        async with open_shard(tmp_path) as (shard, address), sending(address, tmp_path, email):
            await begin(shard, *(job(n, outbox_row(f"lead:{n}", attempt=2)) for n in range(30)))
            reports = (await shard.take_reports(30)).values()
    assert {report.outcome for report in reports} == {"retry"}
    assert all(0 <= report.delay_ms <= 4_000 for report in reports)
    assert len({report.delay_ms for report in reports}) > 10, "jitter"
    assert any(report.delay_ms > 1_000 for report in reports), (
        "the third attempt's range is four times the first's"
    )


async def test_credit_comes_back_as_jobs_are_done_and_never_exceeds_the_capacity(tmp_path: Path) -> None:
    async with open_shard(tmp_path) as (shard, address), sending(address, tmp_path):
        await shard.welcome()
        capacity = await shard.credit()
        handed = 0
        while handed < capacity * 3:
            count = await shard.credit()
            assert count <= capacity
            shard.pulled.clear()
            shard.hand(*(job(handed + n, outbox_row(f"lead:{handed + n}")) for n in range(count)))
            if not handed:
                await shard.answer_sources()
            handed += count
            await shard.take_reports(handed)
        assert all(report.outcome == "delivered" for report in shard.reports.values())
    assert len(spooled(tmp_path)) == handed


async def test_what_is_being_sent_when_the_session_is_lost_is_reported_in_the_next_and_the_rest_dropped(
    tmp_path: Path,
) -> None:
    begun, go_on = trio.Event(), trio.Event()
    texts: list[str] = []

    def slow(line: str) -> bytes | None:
        if line == "TEXT":
            texts.append(line)
            begun.set()
            return b""  # the answer comes from the task below
        answer: bytes | None = script()(line)
        return answer

    async with scripted_server(slow, late=(go_on, b"250 taken\r\n")) as port:
        email = EmailSettings(host="127.0.0.1", port=port, pool_size=1)
        async with open_shard(tmp_path) as (shard, address), sending(address, tmp_path, email) as process:
            await begin(shard, job(1, outbox_row("lead:1")), job(2, outbox_row("lead:2")))
            await begun.wait()
            shard.say(Refused("hello_first"))  # as a shard does that was started again
            await shard.welcome()
            await shard.credit()
            shard.hand(job(1, outbox_row("lead:1")))  # it has no report for it yet
            go_on.set()
            report = (await shard.take_reports(1))[1]
            assert report.outcome == "delivered"
            assert process.statistics()[0].waiting == 0
            assert process.statistics()[0].busy == 0
    assert len(texts) == 1, "neither job 1 a second time nor job 2"


async def test_reports_that_were_not_committed_are_repeated_first_in_the_next_session(tmp_path: Path) -> None:
    async with open_shard(tmp_path) as (shard, address), sending(address, tmp_path):
        await begin(shard, job(1, outbox_row()))
        lost = await shard.hear_a(Reports)
        shard.say(Refused("hello_first"))
        await shard.welcome()
        with trio.fail_after(30):
            first = await shard.hear()
        assert first == lost
        shard.say(ReportsTaken(lost.id))
        await shard.credit()


async def test_a_shard_that_was_started_again_at_its_address_is_found_again(tmp_path: Path) -> None:
    async with open_shard(tmp_path) as (shard, address), sending(address, tmp_path):
        await begin(shard, job(1, outbox_row("lead:1")))
        await shard.take_reports(1)
        shard.socket.close()
        async with open_shard(tmp_path) as (again, _):
            await again.welcome()
            await again.credit()
            again.hand(job(2, outbox_row("lead:2")))
            while 2 not in again.reports:  # the first one's may be repeated before it
                await again.take_reports(len(again.reports) + 1)
    assert len(spooled(tmp_path)) == 2


async def test_a_namesake_that_took_over_ends_the_process(tmp_path: Path) -> None:
    with pytest.RaisesGroup(Fenced, flatten_subgroups=True, allow_unwrapped=True):
        async with open_shard(tmp_path) as (shard, address), sending(address, tmp_path):
            await shard.welcome()
            await shard.credit()
            shard.say(Refused("fenced"))
            await shard.hear_a(Hello)


async def test_closing_ends_what_is_under_way_and_sees_its_report_committed(tmp_path: Path) -> None:
    async with open_shard(tmp_path) as (shard, address), sending(address, tmp_path) as process:
        await begin(shard, *(job(number, outbox_row(f"lead:{number}")) for number in range(3)))
        reports = await shard.hear_a(Reports)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(process.close)
            await trio.testing.wait_all_tasks_blocked()
            shard.hand(job(98, outbox_row("lead:98", once=True)), job(99, outbox_row("lead:99")))
            shard.reports |= {report.number: report for report in all_reports(reports)}
            shard.say(ReportsTaken(reports.id))
            await shard.take_reports(4)
        assert 99 not in shard.reports
        # Bound to this process, so nobody else may have it before it says that it did not begin (8.2).
        assert (shard.reports[98].outcome, len(shard.reports[98].reason)) == ("returned", 32)
    assert len(spooled(tmp_path)) == 3


async def test_a_sender_that_hears_nothing_asks_whether_its_session_still_stands(tmp_path: Path) -> None:
    async with open_shard(tmp_path) as (shard, address), sending(address, tmp_path, silence_s=0.1):
        await shard.welcome()
        await shard.credit()
        while (await shard.hear_a(Pull)).credit:
            pass
        shard.say(Refused("hello_first"))
        await shard.welcome()
