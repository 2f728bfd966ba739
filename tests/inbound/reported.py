"""Reports as mail servers write them: the same refusal in the words of several kinds of server."""

POSTFIX = """\
From: MAILER-DAEMON@mx.example.net (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: {path}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
 boundary="4F1C2.1700000000/mx.example.net"
Message-Id: <{number}@mx.example.net>

This is a MIME-encapsulated message.

--4F1C2.1700000000/mx.example.net
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

This is the mail system at host mx.example.net.

<{address}>: host mail.example.com[192.0.2.7] said: 550 5.1.1
    <{address}>: Recipient address rejected: User unknown (in reply to RCPT TO command)

--4F1C2.1700000000/mx.example.net
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net
X-Postfix-Queue-ID: 4F1C2
Arrival-Date: Mon,  2 Mar 2026 09:00:00 +0100 (CET)

Final-Recipient: rfc822; {address}
Original-Recipient: rfc822;{address}
Action: {action}
Status: {status}
Remote-MTA: dns; mail.example.com
Diagnostic-Code: smtp; 550 {status} <{address}>: Recipient address rejected:
    User unknown

--4F1C2.1700000000/mx.example.net
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers

{headers}
--4F1C2.1700000000/mx.example.net--
"""

# The whole mail comes back; the status says little, the diagnostic code more; a second recipient was served.
EXCHANGE = """\
From: <postmaster@example.com>
To: {path}
Subject: Undeliverable: Hello
Message-ID: <{number}@example.com>
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="b1_exchange"
MIME-Version: 1.0

--b1_exchange
Content-Type: multipart/alternative; boundary="b2_exchange"

--b2_exchange
Content-Type: text/plain; charset="us-ascii"

Your message couldn't be delivered.

--b2_exchange
Content-Type: text/html; charset="us-ascii"

<html><body><h1>Your message couldn't be delivered.</h1></body></html>

--b2_exchange--

--b1_exchange
Content-Type: message/delivery-status

Reporting-MTA: dns;mail.example.com
Received-From-MTA: dns;mx.example.net

Final-Recipient: rfc822;other@example.com
Action: delivered
Status: 2.1.5

Final-Recipient: rfc822;{address}
Action: failed
Status: 5.0.0
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup

--b1_exchange
Content-Type: message/rfc822

{headers}Content-Type: text/plain

Hello

--b1_exchange--
"""

EXIM = """\
From: Mail Delivery System <Mailer-Daemon@mx.example.net>
To: {path}
Auto-Submitted: auto-replied
X-Failed-Recipients: {address}
Subject: Mail delivery failed: returning message to sender
Message-Id: <{number}@exim.example.net>

This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  {address}
    host mail.example.com [192.0.2.7]
    SMTP error from remote mail server after RCPT TO:<{address}>:
    550 5.1.1 <{address}>: no such user

------ This is a copy of the message, including all the headers. ------

{headers}
Hello
"""

QMAIL = """\
From: MAILER-DAEMON@mx.example.net
To: {path}
Subject: failure notice
Message-Id: <{number}@qmail.example.net>

Hi. This is the qmail-send program at mx.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<{address}>:
192.0.2.7 does not like recipient.
Remote host said: 550 sorry, no mailbox here by that name
Giving up on 192.0.2.7.

--- Below this line is a copy of the message.

{headers}
Hello
"""

SHAPES = {"postfix": POSTFIX, "exchange": EXCHANGE, "exim": EXIM, "qmail": QMAIL}
STATUSES = {"postfix": "5.1.1", "exchange": "5.1.10", "exim": "5.1.1", "qmail": "5.0.0"}

COMPLAINT = """\
From: <feedback@provider.example>
To: <{path}>
Subject: Complaint about message from 192.0.2.1
Message-ID: <{number}@provider.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="part1"

--part1
Content-Type: text/plain; charset="US-ASCII"

This is an email abuse report.

--part1
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: SomeGenerator/1.0
Version: 1
Original-Mail-From: <bounces@shop.example>
Original-Rcpt-To: <{address}>

--part1
Content-Type: message/rfc822

{headers}Content-Type: text/plain

Hello

--part1--
"""


def headers_of(message_id: str, to: str) -> str:
    """The head of a mail of ours, as it is sent back."""
    return f"From: Sales <sales@shop.example>\nTo: {to}\nSubject: Hello\nMessage-ID: {message_id}\n"


def written(shape: str, number: int, path: str, address: str, headers: str, **named: str) -> bytes:
    """A report as it goes over the wire."""
    named = {"action": "failed", "status": "5.1.1", "kind": "abuse", **named}
    text = shape.format(number=number, path=path, address=address, headers=headers, **named)
    return text.replace("\n", "\r\n").encode()
