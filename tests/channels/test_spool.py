"""The Maildir, read back with the standard library's reader."""

import mailbox
from pathlib import Path

import pytest
import trio

from stagewheel.server.channels.base import Delivered, Delivery, Outcome, RefusedForGood, Retry
from stagewheel.server.channels.compose import Composer
from stagewheel.server.channels.email import EmailSettings
from stagewheel.server.channels.spool import SpoolChannel
from stagewheel.server.limits import SPOOL_BATCH_MAX
from tests.channels.peers import Content


def delivery(number: int = 0, attempt: int = 1) -> Delivery:
    return Delivery(f"{number:032x}", attempt, f"lead:{number}", "thanks", 1_772_438_400_000)


def mails(folder: Path) -> list[mailbox.MaildirMessage]:
    box = mailbox.Maildir(folder, create=False)
    return [box[key] for key in sorted(box.keys())]


async def test_without_a_server_mails_lie_in_a_maildir(tmp_path: Path) -> None:
    channel = EmailSettings(spool=str(tmp_path / "spool")).open("store")
    outcome = await channel.deliver(Content(), delivery())
    assert outcome == Delivered({"message_id": f"<{0:032x}@example.com>", "address": "ada@example.com"})
    (mail,) = mails(tmp_path / "spool")
    assert mail["X-Stagewheel-Item"] == "lead:0"
    assert mail.get_payload() == "Hello Ada,\n.\n..two dots\nYours\n"


async def test_a_mail_that_is_delivered_twice_leaves_one_file(tmp_path: Path) -> None:
    channel = SpoolChannel(tmp_path, Composer(EmailSettings()))
    await channel.deliver(Content(), delivery(7, 1))
    await channel.deliver(Content(), delivery(7, 2))
    assert len(mails(tmp_path)) == 1


async def test_more_mails_than_a_batch_holds_are_all_written_and_nothing_stays_in_tmp(tmp_path: Path) -> None:
    channel = SpoolChannel(tmp_path, Composer(EmailSettings()))
    outcomes: list[Outcome] = []

    async def one(number: int) -> None:
        outcomes.append(await channel.deliver(Content(), delivery(number)))

    count = SPOOL_BATCH_MAX * 2 + 3
    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(one, number)
    assert all(isinstance(outcome, Delivered) for outcome in outcomes)
    assert len(mails(tmp_path)) == count
    assert not list((tmp_path / "tmp").iterdir())


async def test_a_writer_that_is_cancelled_leaves_the_others_nobody_to_wait_for(tmp_path: Path) -> None:
    channel = SpoolChannel(tmp_path, Composer(EmailSettings()))
    outcomes: list[Outcome] = []

    async def one(number: int) -> None:
        outcomes.append(await channel.deliver(Content(), delivery(number)))

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as cancelled:
                for number in range(SPOOL_BATCH_MAX):
                    cancelled.start_soon(one, number)
                for number in range(SPOOL_BATCH_MAX, SPOOL_BATCH_MAX + 5):
                    nursery.start_soon(one, number)
                await trio.lowlevel.checkpoint()
                scope.cancel()
    assert len(outcomes) >= 5
    assert {mail["X-Stagewheel-Item"] for mail in mails(tmp_path)} >= {
        f"lead:{number}" for number in range(SPOOL_BATCH_MAX, SPOOL_BATCH_MAX + 5)
    }


async def test_a_folder_that_cannot_be_written_is_tried_again_and_is_the_providers_failure(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("in the way")
    outcome = await SpoolChannel(tmp_path / "file", Composer(EmailSettings())).deliver(Content(), delivery())
    assert isinstance(outcome, Retry)
    assert outcome.provider


async def test_a_mail_that_cannot_be_built_is_refused(tmp_path: Path) -> None:
    outcome = await SpoolChannel(tmp_path, Composer(EmailSettings())).deliver(Content(from_=""), delivery())
    assert isinstance(outcome, RefusedForGood)
    assert "no sender address" in outcome.reason


@pytest.mark.parametrize("key", ["0" * 32, "f" * 32])
async def test_the_files_name_comes_from_the_key(tmp_path: Path, key: str) -> None:
    await SpoolChannel(tmp_path, Composer(EmailSettings())).deliver(
        Content(), Delivery(key, 1, "lead:1", "thanks", 0)
    )
    assert [path.name for path in (tmp_path / "new").iterdir()] == [f"{key}.stagewheel"]
