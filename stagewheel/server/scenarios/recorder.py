"""Recorders in place of channels: every action is taken and rendered as a sender does it, kept as an effect,
and answered as the scenario says.

Laws: an effect stands where it was decided, not where it was taken, so that effects come in the order of
the rules; what is still in the outbox is no effect yet; a further attempt, or a dead letter that is retried,
is an effect of its own. Nothing here draws a random number or reads a clock.
"""

from typing import Any

import msgspec
from msgspec import Struct

from stagewheel.protocol.journal import (
    ActivityChanged,
    ActivityPlanned,
    CalendarPut,
    CalendarTaken,
    ChatWritten,
    Dispatched,
    HistoryAdded,
    Notified,
    Record,
    StreamPosted,
    TaskChanged,
    TaskPut,
)
from stagewheel.protocol.messages import Job, Report
from stagewheel.protocol.plain import plain
from stagewheel.server.actors.engine import Engine
from stagewheel.server.actors.outboxes import OUTBOX_TABLES
from stagewheel.server.actors.taking import hand_out
from stagewheel.server.channels.base import RefusedForGood
from stagewheel.server.core.app_actions import PARAMETERS
from stagewheel.server.core.calendar import DAY_MS, parse_duration
from stagewheel.server.core.chat import CHANNEL as CHAT
from stagewheel.server.core.effects import OutboxRow
from stagewheel.server.core.lanes import channel_of
from stagewheel.server.limits import SENDER_CREDIT_MAX
from stagewheel.server.rules.ads_doc import AudienceContent
from stagewheel.server.rules.channels_doc import EmailContent, WebhookContent
from stagewheel.server.rules.chat_doc import ChatContent, InviteContent
from stagewheel.server.rules.files_doc import DocumentContent, QrContent, made_detail
from stagewheel.server.rules.phone_doc import CallContent, SmsContent
from stagewheel.server.scenarios.links import ScenarioLinks
from stagewheel.server.scenarios.steps import ChannelDoc, effect_of
from stagewheel.server.scenarios.written_activities import (
    ACTIVITY,
    CALENDAR,
    told_activity,
    told_calendar,
)
from stagewheel.server.scenarios.written_tasks import TASK, told_task
from stagewheel.server.senders.pool import Task
from stagewheel.server.senders.rendering import read_row, render
from stagewheel.server.store.base import Reads

ROUTE = b"recorder"
STORE_ID = "scenario"
LINKS = ScenarioLinks()
DELIVERS = ChannelDoc()
JSON = "application/json"
INVITATION = "https://t.me/bot?start=invitation"  # what its link is in a scenario, which has no key


class Effect(Struct):
    """One thing that was done for the outside. `values` is empty while it is in the outbox."""

    kind: str
    values: dict[str, Any] = {}
    at_ms: int = 0  # when it was decided; 0: a further attempt

    def shown(self) -> dict[str, Any]:
        """As an expectation writes it."""
        return {self.kind: self.values}


class Recorder:
    """What all channels of a scenario took, and what the journal says was done at once."""

    def __init__(self, channels: dict[str, ChannelDoc]) -> None:
        self.channels = dict(channels)
        self._effects: list[Effect] = []
        self._open: dict[tuple[str, int], Effect] = {}  # (channel, outbox number) -> its place

    def take(self) -> list[dict[str, Any]]:
        """The effects since the last call; what is still in the outbox keeps its place."""
        return [effect.shown() for effect in self.take_effects()]

    def take_effects(self) -> list[Effect]:
        """As `take`, with the moment of each."""
        done = [effect for effect in self._effects if effect.values]
        self._effects = [effect for effect in self._effects if not effect.values]
        return done

    def records(self, records: list[tuple[int, bytes, Record]]) -> None:
        """New records of the journal: what was done within the turn, and places for what is on its way."""
        for _, _, record in records:
            for fact in record.did:
                if isinstance(fact, Dispatched):
                    effect = Effect(effect_of(fact.channel), at_ms=record.at_ms)
                    self._open[fact.channel, fact.number] = effect
                    self._effects.append(effect)
                elif isinstance(fact, ActivityPlanned | ActivityChanged):
                    if (planned := told_activity(fact)) is not None:
                        self._effects.append(Effect(ACTIVITY, planned | {"item": record.item}, record.at_ms))
                elif isinstance(fact, CalendarPut | CalendarTaken):
                    entry = told_calendar(fact) | {"item": record.item}
                    self._effects.append(Effect(CALENDAR, entry, record.at_ms))
                elif isinstance(fact, TaskPut | TaskChanged):
                    if (told := told_task(fact)) is not None:
                        self._effects.append(Effect(TASK, told | {"item": record.item}, record.at_ms))
                elif isinstance(fact, ChatWritten):
                    if fact.hidden:
                        values = {"text": fact.text, "hidden": True, "to": list(fact.to), "files": fact.files}
                        values |= {"item": record.item, "rule": fact.rule}
                        self._effects.append(Effect(CHAT, values, record.at_ms))
                elif isinstance(fact, Notified | HistoryAdded | StreamPosted):
                    kind, values = _told(fact)
                    values |= {"item": record.item, "rule": fact.rule}
                    self._effects.append(Effect(kind, values, record.at_ms))

    def deliver(self, engine: Engine) -> list[Report]:
        """Take what the engine would hand to senders, and report on it."""
        handout = engine.handout
        handout.workers_apart = False
        for channel in OUTBOX_TABLES:
            if not self._of(channel).hold:
                handout.pull(ROUTE, channel, SENDER_CREDIT_MAX)
        given = hand_out(engine)
        for lane in handout.lanes.values():
            lane.credit.pop(ROUTE, None)
        snapshot = engine.store.snapshot()
        try:
            return [self._delivered(engine, snapshot, job) for _, jobs in given for job in jobs]
        finally:
            snapshot.close()

    def _of(self, channel: str) -> ChannelDoc:
        return self.channels.get(channel, DELIVERS)

    def _delivered(self, engine: Engine, reads: Reads, job: Job) -> Report:
        row = read_row(job)
        if isinstance(row, RefusedForGood):
            return Report(job.channel, job.number, "refused", row.reason)
        version = engine.reference.need(reads, row.version)
        task = render(row, job.number, version, STORE_ID, wall=False, links=LINKS)
        report = self._answer(job, row)
        if isinstance(task, RefusedForGood):
            report = Report(job.channel, job.number, "refused", task.reason)
        elif not report.detail and report.outcome == "delivered":
            report.detail = _detail(job.channel, task)
        if isinstance(task, Task) and isinstance(task.content, InviteContent):
            task.content = task.content.filled(INVITATION)
        values: dict[str, Any] = {} if isinstance(task, RefusedForGood) else _content(task.content)
        if PARAMETERS in row.roots:
            values[PARAMETERS] = row.roots[PARAMETERS]
        values |= {"item": row.key, "rule": row.rule, "attempt": row.attempt + 1}
        values |= {"outcome": report.outcome, "reason": report.reason}
        effect = self._open.pop((job.channel, row.number), None)
        if effect is None:
            effect = Effect(effect_of(job.channel))
            self._effects.append(effect)
        effect.values = values
        return report

    def _answer(self, job: Job, row: OutboxRow) -> Report:
        channel = self._of(channel_of(job.channel))
        if channel.times and row.attempt >= channel.times:
            channel = DELIVERS
        report = Report(job.channel, job.number, "delivered", detail=channel.detail)
        if channel.accept:
            wait = parse_duration(channel.accept)
            report.outcome, report.delay_ms = "accepted", wait.days * DAY_MS + wait.ms
        elif channel.refuse:
            report.outcome, report.reason = "refused", channel.refuse
        elif channel.retry or channel.unknown:
            report.outcome = "retry" if channel.retry else "unknown"
            report.reason = channel.retry or channel.unknown
            after = parse_duration(channel.after)
            report.delay_ms = after.days * DAY_MS + after.ms
        return report


def _told(fact: Notified | HistoryAdded | StreamPosted) -> tuple[str, dict[str, Any]]:
    """What employees can read, as an expectation writes it."""
    if isinstance(fact, HistoryAdded):
        return "history", {"text": fact.text, "created_by": fact.created_by}
    values: dict[str, Any] = {"to": list(fact.to), "text": fact.text, "link": fact.link}
    if isinstance(fact, Notified):
        return "notify", {**values, "from": fact.sender}
    return "stream", {**values, "from": fact.author, "files": fact.files, "reply_to": fact.reply_to}


def _detail(channel: str, task: Task) -> dict[str, Any]:
    """What a real channel would tell the next rule."""
    if isinstance(task.content, EmailContent):
        message_id = f"<{task.delivery.key}@scenario>"
        return {"message_id": message_id, "address": task.content.to[0], "status": "250 taken"}
    if isinstance(task.content, SmsContent | CallContent):
        return {"message_id": task.delivery.key, "address": task.content.to, "status": "queued"}
    if isinstance(task.content, ChatContent):
        told = {"message_id": task.delivery.key, "address": task.content.to, "status": "sent"}
        names = [one.name or one.file for one in task.content.files]
        return {**told, "provider": task.content.provider, "text": task.content.text, "files": names}
    if isinstance(task.content, DocumentContent | QrContent):
        return made_detail(task.content, 0)
    if isinstance(task.content, AudienceContent):
        return {"message_id": task.delivery.key, "status": "taken", "provider": task.content.account}
    return {"status": 200} if isinstance(task.content, WebhookContent) else {}


def _content(content: Any) -> dict[str, Any]:
    """A rendered action as a mapping."""
    if isinstance(content, EmailContent):
        body = content.text or content.html
        values: dict[str, Any] = {
            "from": content.from_,
            "to": list(content.to),
            "subject": content.subject,
            "body": body,
        }
        if content.attachments:
            values["attachments"] = [one.file for one in content.attachments]
        return {**values, "calendar": content.calendar} if content.calendar else values
    if isinstance(content, WebhookContent):
        return _request(content)
    if isinstance(content, CallContent):
        values = msgspec.to_builtins(content)
        return {"from" if name == "from_number" else name: value for name, value in values.items()}
    made = plain(content)
    return made if isinstance(made, dict) else {"content": made}


def _request(content: WebhookContent) -> dict[str, Any]:
    values: dict[str, Any] = {"method": content.method, "url": content.url}
    values |= {"headers": dict(content.headers), "body": content.body.decode("utf-8", "replace")}
    if content.headers.get("Content-Type") == JSON:
        values["json"] = msgspec.json.decode(content.body)
    return values | {"sign": content.sign, "auth": content.auth}
