"""What becomes of a mail: whose event it is (G1, 5.6), and what is done with a bounce or a complaint (8.8).

Laws: a mail is taken when the shard has committed all that it became; if the shard does not answer, it is
not taken, and since each command carries a key made of the Message-ID and the recipient, the mail that comes
again does nothing twice. An item is found by the signed part of the address, else by the Message-ID that the
mail answers, else through the contact of the sender's address (`sources:` says what an unknown sender makes).
What a program wrote is told to items as `auto: true` and makes nothing. A report moves nothing by the words
in it alone: which mail it is about was signed when that mail left, and only the address to which it went is
suppressed.
"""

import hashlib
import logging
from collections import Counter
from typing import Any, Final

from msgspec import Struct

from stagewheel.protocol.messages import (
    AnyCommand,
    Failed,
    RaiseEvent,
    Result,
    Suppress,
)
from stagewheel.server.edge.contact import contact_key
from stagewheel.server.inbound.config import InboundConfig
from stagewheel.server.inbound.files import Stored, store
from stagewheel.server.inbound.reading import Mail, read_mail
from stagewheel.server.inbound.reports import Bounced, Report, read_report
from stagewheel.server.inbound.returning import Origin, Returns, split_address
from stagewheel.server.inbound.shard import Away, Gate, Unfit

log = logging.getLogger("stagewheel.inbound")
TAKEN: Final = "250 2.0.0 taken"
AWAY: Final = "451 4.3.0 the server behind this one does not answer; send it again later"
BUSY: Final = "451 4.3.2 too much waits for this recipient; send it again later"
UNFIT: Final = "554 5.6.0 this mail can't be taken"
GONE: Final = frozenset({"unknown_item", "deleted"})
CHANNEL: Final = "email"
COUNTED: Final = ("bounces", "complaints", "events", "notices", "suppressed", "unmatched")


class Target(Struct, frozen=True):
    """What an address of ours is for: a mailbox (and the item that its signed part names), or bounces."""

    address: str
    mailbox: str = ""  # "": the return path of our mails
    item: str = ""
    origin: Origin | None = None


class NotTaken(Exception):
    """The shard did not take a part of the mail; the answer to its sender."""


class Desk:
    """Takes mails."""

    def __init__(self, config: InboundConfig, gate: Gate, signing_key: bytes) -> None:
        self._config, self._gate = config, gate
        bounce = config.bounce_address.casefold()
        self._returns = Returns(signing_key, config.reply_address, bounce) if signing_key else None
        self._bounce = bounce
        self._mailboxes = {
            address.casefold(): name
            for name, mailbox in config.mailboxes.items()
            for address in mailbox.addresses
        }
        self.counts: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))

    def target(self, address: str) -> Target | None:
        """What the address is for; None: it is not one of ours."""
        base, detail = split_address(address)
        if base == self._bounce and self._returns is not None:
            return Target(base, origin=self._returns.bounced(detail))
        name = self._mailboxes.get(base)
        if name is None:
            return None
        item = self._returns.answered(detail) if detail and self._returns is not None else ""
        return Target(base, name, item)

    async def take(self, content: bytes, envelope_from: str, targets: list[Target]) -> str:
        """The answer to the one who sends it, after all of it is durable."""
        mail = read_mail(content, envelope_from, self._config.text_chars_max)
        report = read_report(mail.message)
        try:
            stored = Stored()
            for target in targets:
                origin = target.origin or self._quoted(report)
                if report is not None and (origin is not None or not target.mailbox):
                    await self._reported(mail, report, origin)
                elif target.mailbox:
                    if not stored.done and self._config.attachment_bytes_max:
                        stored = await store(self._gate, mail, mail.id, self._config.attachment_bytes_max)
                    await self._event(mail, target, stored)
                else:
                    self.counts["notices"] += 1  # an answering machine wrote to the return path
        except Away:
            return AWAY
        except Unfit:
            return UNFIT
        except NotTaken as why:
            return str(why)
        return TAKEN

    # ---- events ----

    async def _event(self, mail: Mail, target: Target, stored: Stored) -> None:
        payload = payload_of(mail, target, self._is_ours(mail), stored)
        threaded = self._returns.quoted(mail.references) if self._returns is not None else None
        for item in dict.fromkeys([target.item, threaded.item if threaded is not None else ""]):
            if not item:
                continue
            key = _key("mail", mail.id, f"{target.address}\0{item}")
            result = await self._do(_raised(item, key, target.mailbox, payload))
            if not (isinstance(result, Failed) and result.code in GONE):
                self._taken(result)
                return
        contact = contact_key(mail.from_address)
        if not contact:
            self.counts["unmatched"] += 1
            return
        key = _key("mail", mail.id, target.address)
        client = {"name": mail.from_name, "emails": [mail.from_address]}
        event = _raised(contact, key, target.mailbox, {**payload, "client": client})
        fields = self._config.mailboxes[target.mailbox].fields
        event.fields = {field: payload[part] for field, part in fields.items()}
        self._taken(await self._do(event))

    def _taken(self, result: Result) -> None:
        """Raises `NotTaken` for what may go better later. An unknown sender whom no source makes an item for
        is no error of his.
        """
        self.counts["events"] += 1
        if isinstance(result, Failed):
            if result.code in GONE:
                self.counts["unmatched"] += 1
                return
            log.warning("an event was not taken: %s", result.code)
            if result.code in ("mailbox_full", "storage_full", "busy"):
                raise NotTaken(BUSY)
            if result.code != "internal":  # that one is kept as poison: to be tried again there
                raise NotTaken(UNFIT)

    def _is_ours(self, mail: Mail) -> bool:
        """Did we send this very mail?"""
        return self._returns is not None and self._returns.quoted(mail.message_id) is not None

    # ---- reports ----

    def _quoted(self, report: Report | None) -> Origin | None:
        """The mail that a report sends back."""
        if report is None or self._returns is None:
            return None
        return self._returns.quoted(report.message_ids)

    async def _reported(self, mail: Mail, report: Report, origin: Origin | None) -> None:
        if origin is None or report.kind == "notice" or self._returns is None:
            self.counts["notices"] += 1
            return
        if report.kind == "complaint":
            self.counts["complaints"] += 1
            address = self._returns.proven(origin, report.recipients)
            if address:
                await self._suppress(origin, address, "complained", "called spam")
            return
        for bounced in report.bounced:
            self.counts["bounces"] += 1
            address = self._returns.proven(origin, bounced.addresses)
            await self._bounced(mail, origin, bounced, address)
            if address and bounced.hard:
                await self._suppress(origin, address, "bounced", f"{bounced.status} {bounced.reason}".strip())

    async def _bounced(self, mail: Mail, origin: Origin, bounced: Bounced, proven: str) -> None:
        """The event `email_bounced` of the item whose mail it was; one that is gone hears nothing."""
        address = proven or next(iter(bounced.addresses), "")
        payload = {
            "rule": origin.rule,
            "address": address,
            "status": bounced.status,
            "reason": bounced.reason,
            "soft": not bounced.hard,
        }
        event = RaiseEvent(
            origin.item,
            dedupe_key=_key("bounce", mail.id, f"{address}\0{origin.item}"),
            type="email_bounced",
            code=origin.rule,
            payload=payload,
        )
        self._taken(await self._do(event))

    async def _suppress(self, origin: Origin, address: str, kind: str, reason: str) -> None:
        suppress = Suppress(origin.item, channel=CHANNEL, address=address, kind=kind, reason=reason)
        if isinstance(failed := await self._do(suppress), Failed):
            log.warning("an address was not suppressed: %s", failed.code)
            return
        self.counts["suppressed"] += 1

    async def _do(self, command: AnyCommand) -> Result:
        [result] = await self._gate.submit([command])
        return result


def payload_of(mail: Mail, target: Target, ours: bool, stored: Stored) -> dict[str, Any]:
    """What conditions and templates see as `trigger.*`."""
    return {
        "mailbox": target.mailbox,
        "to": target.address,
        "subject": mail.subject,
        "from": mail.from_address,
        "from_name": mail.from_name,
        "text": mail.text,
        "message_id": mail.message_id,
        "attachments": [one.name for one in mail.attachments],
        "files": stored.values,
        "auto": mail.automatic or ours,
    }


def _raised(item: str, key: str, mailbox: str, payload: dict[str, Any]) -> RaiseEvent:
    return RaiseEvent(item, dedupe_key=key, type="incoming_email", code=mailbox, payload=payload)


def _key(kind: str, id_: str, address: str) -> str:
    about = hashlib.blake2b(address.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"inbound {kind} {id_} {about}"
