"""Mails of a chain from the engine over real SMTP in virtual time: a server that is down for a while, one
that refuses, files that go along. (H1)
"""

import email
import email.policy
from email.message import EmailMessage
from typing import Any

import trio

from stagewheel.protocol.files import Downloading, FileView, begin_file
from stagewheel.protocol.messages import DropFile, Failed, Job, Published, PutRuleset, Query, Refused, Report
from stagewheel.server.actors.engine import Engine
from stagewheel.server.actors.queries import answer
from stagewheel.server.channels.base import Delivered, Outcome, RefusedForGood, Retry, Unknown
from stagewheel.server.channels.email import EmailSettings
from stagewheel.server.channels.file_store import File
from stagewheel.server.scenarios.recorder import STORE_ID, Recorder
from stagewheel.server.senders.pool import Task
from stagewheel.server.senders.rendering import read_row, render
from stagewheel.server.store.base import Reads
from tests.channels.peers import Inbox, mail_server
from tests.core.play import HOUR_MS, Play, deals

RULES = deals(
    """
    - id: new
    - id: series
      rules:
        - {id: first, action: {do: send_email, subject: First, body: one}}
        - {id: second, after_previous: true, action: {do: send_email, subject: Second, body: two}}
        - {id: third, after_previous: true, action: {do: send_email, subject: Third, body: three}}
    - id: invoice
      rules:
        - id: invoice
          action:
            do: send_email
            subject: Invoice
            body: Yours
            attachments: [{field: invoice}, {field: drawings}, {file: catalogue.pdf}]
        - {id: call, after_previous: true, action: {do: add_history, text: "after {{ previous.status }}"}}
    - id: strict
      rules:
        - id: strict
          action: {do: send_email, subject: Strict, body: x, attachments: [{field: invoice, required: true}]}
    """
).replace("note: text}", "note: text, invoice: file, drawings: {type: file, multiple: true}}")


class OfEngine:
    """The `FileStore` of a channel, straight from an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def get(self, file: str) -> File | None:
        download, data = Downloading(file), b""
        while (query := download.next()) is not None:
            reply = answer(self._engine, Query(1, query))
            assert not isinstance(reply, Refused)
            data += download.took(reply.rows)
        return File(download.view, data) if download.view is not None else None

    async def put(self, data: bytes, name: str, *, file: str = "", type: str = "") -> FileView:
        raise AssertionError("a mail stores nothing")


class Post(Recorder):
    """Mails go to an SMTP server at `port`; everything else is recorded."""

    def __init__(self, port: int, **settings: Any) -> None:
        super().__init__({})
        self.settings = EmailSettings(host="127.0.0.1", port=port, timeout_s=5.0, **settings)

    def _delivered(self, engine: Engine, reads: Reads, job: Job) -> Report:
        row = read_row(job)
        assert not isinstance(row, RefusedForGood)
        task = render(row, job.number, engine.reference.need(reads, row.version), STORE_ID, wall=False)
        assert isinstance(task, Task)
        task.delivery.files = OfEngine(engine)
        outcome = trio.run(self._send, task)
        match outcome:
            case Delivered(detail):
                return Report(job.channel, job.number, "delivered", detail=detail)
            case RefusedForGood(reason):
                return Report(job.channel, job.number, "refused", reason)
            case Retry(reason):
                return Report(job.channel, job.number, "retry", reason, 60_000)
        assert isinstance(outcome, Unknown)
        return Report(job.channel, job.number, "unknown", outcome.reason, 60_000)

    async def _send(self, task: Task) -> Outcome:
        channel = self.settings.open("store")
        try:
            return await channel.deliver(task.content, task.delivery)
        finally:
            await channel.aclose()


def play(port: int, **settings: Any) -> Play:
    made = Play(RULES)
    made.drive.recorder = made.recorder = Post(port, **settings)
    made.create()
    return made


def store(made: Play, data: bytes, file: str, **more: Any) -> FileView:
    begin, upload = begin_file(data, more.pop("name", file), file, **more)
    while not upload.done:
        upload.took(made.submit(upload.next()))
    return FileView(begin.file, begin.name, begin.type, begin.size, begin.sha256)


def mails(inbox: Inbox) -> list[EmailMessage]:
    return [
        email.message_from_bytes(one.content, policy=email.policy.default)  # type: ignore[arg-type]
        for one in inbox.mails
    ]


def test_s8_2_a_server_that_is_down_for_a_while_loses_nothing_and_the_chain_keeps_its_order() -> None:
    """H1, N8; 8.2, 2.6."""
    inbox = Inbox()
    with mail_server(inbox) as port:
        made = play(port)
    made.move("series")  # nobody listens at the port any more
    made.wait(2 * 60_000)
    assert made.outcomes() == []
    assert [(rule, state) for rule, state, _ in made.waiting()][:1] == [("first", "sending")]
    with mail_server(inbox, port=port):
        made.wait(HOUR_MS)
    assert [mail["Subject"] for mail in mails(inbox)] == ["First", "Second", "Third"]
    assert [(rule, outcome) for rule, outcome, _ in made.outcomes()] == [
        ("first", "done"),
        ("second", "done"),
        ("third", "done"),
    ]


def test_s8_1_a_server_that_hangs_up_after_the_text_gets_the_same_mail_again_by_its_id() -> None:
    """H1; 8.1, 8.2."""
    inbox = Inbox()
    inbox.text_answer = "421 going away"
    with mail_server(inbox) as port:
        made = play(port)
        made.move("series")
        assert inbox.mails == []
        inbox.text_answer = ""
        made.wait(HOUR_MS)
    ids = [mail["Message-ID"] for mail in mails(inbox)]
    assert len(set(ids)) == len(ids) == 3


def test_s7_1_a_mail_takes_along_what_its_item_and_its_ruleset_name() -> None:
    """H1: attachments from file fields, also of several files, and stored files; 7.1, 7.2."""
    inbox = Inbox()
    with mail_server(inbox) as port:
        made = play(port)
        invoice = store(made, b"%PDF invoice", "deal:1/invoice", name="Rechnung ä.pdf")
        plans = [store(made, bytes([n]) * 300_000, f"deal:1/{n}.bin") for n in (1, 2)]
        store(made, b"%PDF catalogue", "catalogue.pdf")
        made.update(invoice=invoice.value(), drawings=[plans[0].value(), plans[1].file])
        made.move("invoice")
        (mail,) = mails(inbox)
    attached = [(one.get_filename(), one.get_payload(decode=True)) for one in mail.iter_attachments()]
    assert attached == [
        ("Rechnung ä.pdf", b"%PDF invoice"),
        ("deal:1_1.bin", b"\x01" * 300_000),
        ("deal:1_2.bin", b"\x02" * 300_000),
        ("catalogue.pdf", b"%PDF catalogue"),
    ]
    assert "history after taken" in made.effects()


def test_s7_3_a_field_that_has_to_hold_a_file_and_does_not_fails_at_once() -> None:
    """H1; 7.3: there is no dead letter."""
    made = play(1)
    made.move("strict")
    assert made.outcomes() == [("strict", "failed", "the field invoice holds no file")]
    made.update(invoice={"url": "https://files.example/x"})
    made.move("strict", restart=True)
    assert made.outcomes()[-1] == ("strict", "failed", "the field invoice holds a file that is not stored")


def test_s8_3_a_stored_file_that_is_not_there_or_too_large_makes_a_dead_letter() -> None:
    """H1; 8.3."""
    inbox = Inbox()
    with mail_server(inbox) as port:
        made = play(port, attachments_bytes_max=1_000)
        made.move("invoice")
        assert made.outcomes()[0] == ("invoice", "failed", "there is no stored file catalogue.pdf")
        store(made, b"x" * 1_001, "catalogue.pdf")
        made.move("invoice", restart=True)
        assert ("invoice", "failed", "the attachments have more than 1000 bytes") in made.outcomes()
        store(made, b"x" * 1_000, "catalogue.pdf")
        made.move("invoice", restart=True)
        assert len(inbox.mails) == 1, "an empty field attaches nothing"


def test_a_file_that_an_active_ruleset_names_is_dropped_by_force_alone() -> None:
    made = play(1)
    store(made, b"x", "catalogue.pdf")
    refused = made.submit(DropFile("", file="catalogue.pdf"))
    assert isinstance(refused, Failed)
    assert refused.code == "file_in_use"
    assert "sales" in refused.message
    published = made.submit(PutRuleset("", files={"r.yaml": deals("- id: new\n- id: invoice\n")}))
    assert isinstance(published, Published)
    assert not isinstance(made.submit(DropFile("", file="catalogue.pdf")), Failed)
