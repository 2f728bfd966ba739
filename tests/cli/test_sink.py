"""The mail sink takes real SMTP, tells what it took, and fails exactly as it was asked to."""

import smtplib
import ssl
import subprocess
import sys
import time
from email.message import EmailMessage
from pathlib import Path

import pytest

from stagewheel.cli.sink import Options, Sink, start_sink
from stagewheel.errors import OperatorError
from tests.channels.peers import certificate

WAIT_S = 20.0


def mail(
    to: str = "ada@example.com", subject: str = "Hello", message_id: str = "<1@example.net>"
) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "desk@example.net"
    message["To"] = to
    message["Subject"] = subject
    message["Message-ID"] = message_id
    message["X-Stagewheel-Rule"] = "greet"
    message["X-Other"] = "not kept"
    message.set_content("Good morning.\n.a line with a dot\n")
    return message


def connected(sink: Sink) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", sink.port, timeout=WAIT_S)


def test_a_mail_is_taken_with_its_envelope_headers_and_time() -> None:
    with start_sink() as sink, connected(sink) as client:
        client.send_message(mail(), to_addrs=["ada@example.com", "bob@example.com"])
        [taken] = sink.wait_for(1, WAIT_S)
    assert taken.sender == "desk@example.net"
    assert taken.recipients == ("ada@example.com", "bob@example.com")
    assert (taken.subject, taken.message_id) == ("Hello", "<1@example.net>")
    assert taken.headers["X-Stagewheel-Rule"] == "greet"
    assert "X-Other" not in taken.headers
    assert taken.size_bytes > 100
    assert taken.content == b""
    assert sink.messages() == [taken]  # also after the end


def test_headers_are_unfolded_and_decoded_and_the_whole_mail_is_kept_on_request() -> None:
    subject = "Grüße aus Köln, " + "sehr lange Betreffzeile " * 6
    with start_sink(Options(keep_content=True)) as sink, connected(sink) as client:
        client.send_message(mail(subject=subject.strip()))
        [taken] = sink.wait_for(1, WAIT_S)
    assert taken.subject == subject.strip()
    assert taken.content.endswith(b"\r\n.a line with a dot\r\n")


def test_refused_recipients_get_550_and_the_others_their_mail() -> None:
    with start_sink(Options(refuse=("*@Refused.example",))) as sink, connected(sink) as client:
        refused = client.send_message(mail(), to_addrs=["ada@example.com", "no@refused.example"])
        assert list(refused) == ["no@refused.example"]
        assert refused["no@refused.example"][0] == 550
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.send_message(mail(to="no@refused.example"))
        [taken] = sink.wait_for(1, WAIT_S)
        assert taken.recipients == ("ada@example.com",)
        assert sink.statistics().refused == 2


def test_deferred_recipients_get_451_so_many_times_each() -> None:
    with start_sink(Options(defer=("slow*",), defer_count=2)) as sink, connected(sink) as client:
        for _ in range(2):
            with pytest.raises(smtplib.SMTPRecipientsRefused) as deferred:
                client.send_message(mail(to="slow@example.com"))
            assert deferred.value.recipients["slow@example.com"][0] == 451
        client.send_message(mail(to="slow@example.com"))
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.send_message(mail(to="slow-too@example.com"))
        assert [taken.recipients for taken in sink.messages()] == [("slow@example.com",)]
        assert sink.statistics().deferred == 3


@pytest.mark.parametrize(
    ("options", "taken"), [(Options(drop_before_data=1), 0), (Options(drop_after_data=1), 1)]
)
def test_a_connection_is_cut_before_or_after_the_mail_was_taken(options: Options, taken: int) -> None:
    with start_sink(options) as sink:
        client = connected(sink)
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionResetError)):
            client.send_message(mail())
        client.close()
        assert len(sink.messages()) == taken
        with connected(sink) as again:
            again.send_message(mail())
        assert len(sink.wait_for(taken + 1, WAIT_S)) == taken + 1
        statistics = sink.statistics()
    assert (statistics.dropped, statistics.connections) == (1, 2)


def test_a_slow_server_answers_no_earlier_than_asked() -> None:
    with start_sink(Options(delay_ms=80)) as sink, connected(sink) as client:
        started = time.perf_counter()
        client.send_message(mail())
        assert time.perf_counter() - started >= 0.08


def test_nothing_is_taken_without_the_right_login() -> None:
    with start_sink(Options(login="desk", password="sesame")) as sink, connected(sink) as client:
        client.ehlo()
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.send_message(mail())
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("desk", "guess")
        client.login("desk", "sesame")
        client.send_message(mail())
        statistics = sink.statistics()
    assert statistics.mails == 1
    assert statistics.logins_failed >= 1


def test_starttls_is_required_and_shows_the_given_certificate(tmp_path: Path) -> None:
    _, trusted = certificate(tmp_path)
    options = Options(tls="starttls", certificate=str(trusted), key=str(tmp_path / "key.pem"))
    with start_sink(options) as sink, smtplib.SMTP("localhost", sink.port, timeout=WAIT_S) as client:
        with pytest.raises(smtplib.SMTPException):
            client.send_message(mail())
        client.starttls(context=ssl.create_default_context(cafile=str(trusted)))
        client.send_message(mail())
        statistics = sink.statistics()
    assert (statistics.mails, statistics.connections, statistics.connections_open_peak) == (1, 1, 1)


def test_implicit_tls_takes_no_plain_client(tmp_path: Path) -> None:
    _, trusted = certificate(tmp_path)
    options = Options(tls="implicit", certificate=str(trusted), key=str(tmp_path / "key.pem"))
    context = ssl.create_default_context(cafile=str(trusted))
    with start_sink(options) as sink:
        with smtplib.SMTP_SSL("localhost", sink.port, timeout=WAIT_S, context=context) as client:
            client.send_message(mail())
        assert len(sink.messages()) == 1


def test_a_full_sink_answers_452() -> None:
    with start_sink(Options(mails_max=1)) as sink, connected(sink) as client:
        client.send_message(mail())
        with pytest.raises(smtplib.SMTPRecipientsRefused) as full:
            client.send_message(mail())
        assert full.value.recipients["ada@example.com"][0] == 452


def test_waiting_for_mails_that_do_not_come_tells_how_many_did() -> None:
    with start_sink() as sink:
        with pytest.raises(TimeoutError, match="0 of 1 mails"):
            sink.wait_for(1, 0.05)
        assert sink.wait_for(0, 0.0) == []


def test_connections_at_the_same_time_are_counted() -> None:
    with start_sink() as sink:
        clients = [connected(sink) for _ in range(3)]
        assert sink.statistics().connections_open == 3
        for client in clients:
            client.quit()
            client.close()
        with connected(sink) as last:
            last.send_message(mail())
        statistics = sink.statistics()
    assert (statistics.connections, statistics.connections_open_peak) == (4, 3)


def test_a_port_that_is_taken_or_a_missing_certificate_is_told_at_the_start() -> None:
    with start_sink() as first, pytest.raises(OperatorError, match="can't start"):
        start_sink(Options(port=first.port))
    with pytest.raises(OperatorError, match="can't start"):
        start_sink(Options(tls="implicit", certificate="missing.pem"))


def test_the_sink_ends_with_the_process_that_started_it() -> None:
    code = (
        "import os\n"
        "from stagewheel.cli.sink import start_sink\n"
        "if __name__ == '__main__':\n"
        "    sink = start_sink()\n"
        "    print(sink.port, flush=True)\n"
        "    os._exit(9)\n"
    )
    # The sink inherits the output, so this returns in time only if the sink has ended as well.
    started = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=WAIT_S, check=False
    )
    assert started.returncode == 9
    with pytest.raises(ConnectionRefusedError):
        smtplib.SMTP("127.0.0.1", int(started.stdout))
