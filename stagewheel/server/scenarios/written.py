"""Commands as people write them: one word and a mapping, as `{move: {item: "deal:1", stage: won}}`.

Laws: scenarios and the command line read the same words with the same meaning; every key is checked with its
place, and a moment is ISO text (in the given zone, if it says none) or milliseconds. What a command means is
the engine's business: here is only its shape.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from stagewheel.protocol.messages import (
    AnyCommand,
    ChangeStage,
    Client,
    CreateItem,
    DropDeadLetter,
    Hold,
    HoldItem,
    PutClient,
    PutEmployee,
    RaiseEvent,
    ReplyStream,
    RetryDeadLetter,
    SettlePoison,
    StartWorkflow,
    UpdateItem,
)
from stagewheel.server.core.calendar import parse_datetime
from stagewheel.server.rules.document import Doc
from stagewheel.server.rules.events import EVENTS, FURTHER, SETTINGS
from stagewheel.server.rules.mistakes import Log, Place, listed, nearest
from stagewheel.server.rules.reader import read
from stagewheel.server.scenarios.written_activities import (
    ActivityDoc,
    PutActivityDoc,
    UpdateActivityDoc,
    activity_of,
    put_activity,
    update_activity,
)
from stagewheel.server.scenarios.written_chat import ChatDoc, WriteChatDoc, chat_of, write_chat_of
from stagewheel.server.scenarios.written_erasing import (
    AliasDoc,
    DeleteDoc,
    EraseClientDoc,
    alias,
    delete,
    erase_client,
)
from stagewheel.server.scenarios.written_people import (
    AddressDoc,
    ClientDoc,
    EmployeeDoc,
    addresses_of,
    client_of,
    employee_of,
)
from stagewheel.server.scenarios.written_suppressions import (
    SuppressDoc,
    UnsuppressDoc,
    suppress,
    unsuppress,
)
from stagewheel.server.scenarios.written_tasks import (
    PutTaskDoc,
    TaskDoc,
    UpdateTaskDoc,
    put_task,
    task_of,
    update_task,
)


class CommandDoc(Doc):
    """What every command about an item may say."""

    item: str
    by: int = 0
    dedupe_key: str = ""


class RepeatedDoc(Doc, kw_only=True):
    """What a rule did before its item was imported."""

    what: ClassVar[str] = "a rule's history"
    last: str | int
    times: int = 1


class CreateDoc(CommandDoc, kw_only=True):
    """`create`."""

    what: ClassVar[str] = "create"
    pipeline: str
    stage: str = ""
    title: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    client: ClientDoc | None = None
    responsible: int = 0
    source: str = ""
    observers: list[int] = field(default_factory=list)
    timezone: str = ""
    automation: bool = True
    entered_at: str | int = 0
    company: ClientDoc | None = None
    imported: bool = False
    repeat: dict[str, RepeatedDoc] = field(default_factory=dict)
    tasks: list[TaskDoc] = field(default_factory=list)
    activities: list[ActivityDoc] = field(default_factory=list)


class UpdateDoc(CommandDoc, kw_only=True):
    """`update`."""

    what: ClassVar[str] = "update"
    fields: dict[str, Any] = field(default_factory=dict)
    title: str | None = None
    responsible: int | None = None
    client: ClientDoc | None = None
    observers: list[int] | None = None
    timezone: str | None = None
    company: ClientDoc | None = None


class MoveDoc(CommandDoc, kw_only=True):
    """`move`."""

    what: ClassVar[str] = "move"
    stage: str = ""
    pipeline: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    restart: bool = False


class EventDoc(CommandDoc, kw_only=True):
    """`event`; the setting of its type (`form`, `page`, …) is read as its code."""

    what: ClassVar[str] = "event"
    on: str = "app"
    code: str = ""
    payload: dict[str, Any] = field(default_factory=dict)


class StartDoc(CommandDoc, kw_only=True):
    """`start`."""

    what: ClassVar[str] = "start"
    workflow: str
    vars: dict[str, Any] = field(default_factory=dict)


class ReplyDoc(CommandDoc, kw_only=True):
    """`reply`."""

    what: ClassVar[str] = "reply"
    message: int
    text: str
    to: list[int] = field(default_factory=list)


class HoldDoc(Doc):
    """`pause` and `stop`: of an item, of one stage of it, of a rule, of a pipeline."""

    what: ClassVar[str] = "pause or stop"
    item: str = ""
    stage: str = ""
    rule: str = ""
    pipeline: str = ""
    ruleset: str = ""
    by: int = 0
    dedupe_key: str = ""


class ResumeDoc(HoldDoc, kw_only=True):
    """`resume`."""

    what: ClassVar[str] = "resume"
    restart: bool = False


class PoisonDoc(Doc):
    """`settle` of a poison message: forget it, or try it once more."""

    what: ClassVar[str] = "a poison message"
    poison: int
    retry: bool = False
    by: int = 0
    dedupe_key: str = ""


class PutClientDoc(CommandDoc, kw_only=True):
    """`put_client`; `item` is the key of the contact or company."""

    what: ClassVar[str] = "put_client"
    name: str = ""
    emails: list[str | AddressDoc] = field(default_factory=list)
    phones: list[str | AddressDoc] = field(default_factory=list)
    kind: str = "contact"
    timezone: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    company: str = ""


class LetterDoc(Doc):
    """`retry` and `drop` of a dead letter."""

    what: ClassVar[str] = "a dead letter"
    letter: int
    by: int = 0
    dedupe_key: str = ""


class Written(Struct, frozen=True):
    """How one word is read and what it becomes."""

    doc: type[Doc]
    make: Callable[[Any, ZoneInfo], AnyCommand]


def read_command(word: str, raw: Any, place: Place, log: Log, zone: ZoneInfo) -> AnyCommand | None:
    """The command of a word that is in `WORDS`, or None: then the log says what is wrong."""
    written = WORDS[word]
    if isinstance(raw, str) and written.doc in SHORT:
        raw = {"item": raw}
    if word == "event" and isinstance(raw, dict):
        raw = _event_settings(raw, place, log)
    doc = read(written.doc, raw, place, log)
    if doc is None:
        return None
    try:
        return written.make(doc, zone)
    except ValueError as error:
        log.mistake(
            place if isinstance(doc, HoldDoc) else place / getattr(doc, "moment", "entered_at"), str(error)
        )
        return None


def _event_settings(raw: dict[str, Any], place: Place, log: Log) -> dict[str, Any]:
    """`{on: form_submitted, form: brief}` as a type and its code; a wrong setting is told."""
    on = raw.get("on", "app")
    if not isinstance(on, str):
        return raw
    if on not in EVENTS:
        log.mistake(place / "on", f"unknown event '{on}'{nearest(on, EVENTS) or f'; {listed(EVENTS)}'}")
        return raw
    setting, further = EVENTS[on], FURTHER.get(on, ())
    rest = dict(raw)
    if setting in rest and setting != "code":
        rest["code"] = rest.pop(setting)
    told = {key: rest.pop(key) for key in further if key in rest}
    if told and isinstance(rest.get("payload", {}), dict):
        rest["payload"] = {**rest.get("payload", {}), **told}
    for key in [key for key in rest if key in SETTINGS and key != "code"]:
        own = f"; it has '{setting}'" if setting else ""
        log.mistake(place / key, f"'{key}' is no setting of the event '{on}'{own}")
        del rest[key]
    return rest


def _create(doc: CreateDoc, zone: ZoneInfo) -> CreateItem:
    return CreateItem(
        doc.item,
        doc.by,
        dedupe_key=doc.dedupe_key,
        pipeline=doc.pipeline,
        stage=doc.stage,
        title=doc.title,
        fields=doc.fields,
        client=client_of(doc.client),
        responsible=doc.responsible,
        source=doc.source,
        observers=doc.observers,
        timezone=doc.timezone,
        automation=doc.automation,
        entered_at_ms=parse_datetime(doc.entered_at, zone),
        company=client_of(doc.company),
        imported=doc.imported,
        repeat={rule: (one.times, parse_datetime(one.last, zone)) for rule, one in doc.repeat.items()},
        tasks=[task_of(one, doc.item, zone) for one in doc.tasks],
        activities=[activity_of(one, doc.item, zone) for one in doc.activities],
    )


def _update(doc: UpdateDoc, zone: ZoneInfo) -> UpdateItem:
    return UpdateItem(
        doc.item,
        doc.by,
        dedupe_key=doc.dedupe_key,
        fields=doc.fields,
        title=doc.title,
        responsible=doc.responsible,
        client=client_of(doc.client),
        observers=doc.observers,
        timezone=doc.timezone,
        company=client_of(doc.company),
    )


def _put_client(doc: PutClientDoc, zone: ZoneInfo) -> PutClient:
    client = Client(
        doc.name,
        addresses_of(doc.emails),
        addresses_of(doc.phones),
        doc.item,
        doc.kind,
        doc.timezone,
        doc.fields,
    )
    return PutClient(doc.item, doc.by, dedupe_key=doc.dedupe_key, client=client, company=doc.company)


def _hold(mode: str) -> Callable[[Any, ZoneInfo], AnyCommand]:
    def make(doc: HoldDoc, zone: ZoneInfo) -> AnyCommand:
        restart = isinstance(doc, ResumeDoc) and doc.restart
        if sum(map(bool, (doc.item, doc.rule, doc.pipeline))) != 1 or (doc.stage and not doc.item):
            raise ValueError("name one of 'item' (with 'stage' or without), 'rule' and 'pipeline'")
        if doc.item:
            return HoldItem(
                doc.item, doc.by, dedupe_key=doc.dedupe_key, mode=mode, restart=restart, stage=doc.stage
            )
        kind = "rule" if doc.rule else "pipeline"
        return Hold(
            "", doc.by, dedupe_key=doc.dedupe_key, kind=kind, target=doc.rule or doc.pipeline, mode=mode,
            restart=restart, ruleset=doc.ruleset,
        )  # fmt: skip

    return make


SHORT: Final = (DeleteDoc, EraseClientDoc, HoldDoc, ResumeDoc)  # `delete: deal:1` is enough
WORDS: Final[Mapping[str, Written]] = MappingProxyType(
    {
        "create": Written(CreateDoc, _create),
        "update": Written(UpdateDoc, _update),
        "move": Written(
            MoveDoc,
            lambda d, _: ChangeStage(
                d.item, d.by, dedupe_key=d.dedupe_key, stage=d.stage, fields=d.fields, restart=d.restart,
                pipeline=d.pipeline,
            ),
        ),
        "event": Written(
            EventDoc,
            lambda d, _: RaiseEvent(
                d.item, d.by, dedupe_key=d.dedupe_key, type=d.on, code=d.code, payload=d.payload
            ),
        ),
        "delete": Written(DeleteDoc, lambda d, _: delete(d)),
        "erase_client": Written(EraseClientDoc, lambda d, _: erase_client(d)),
        "alias": Written(AliasDoc, lambda d, _: alias(d)),
        "start": Written(
            StartDoc,
            lambda d, _: StartWorkflow(
                d.item, d.by, dedupe_key=d.dedupe_key, workflow=d.workflow, vars=d.vars
            ),
        ),
        "reply": Written(
            ReplyDoc,
            lambda d, _: ReplyStream(
                d.item, d.by, dedupe_key=d.dedupe_key, message=d.message, text=d.text, to=d.to
            ),
        ),
        "chat": Written(ChatDoc, chat_of),
        "write_chat": Written(WriteChatDoc, write_chat_of),
        "pause": Written(HoldDoc, _hold("pause")),
        "stop": Written(HoldDoc, _hold("stop")),
        "resume": Written(ResumeDoc, _hold("resume")),
        "settle": Written(
            PoisonDoc,
            lambda d, _: SettlePoison("", d.by, dedupe_key=d.dedupe_key, number=d.poison, retry=d.retry),
        ),
        "suppress": Written(SuppressDoc, lambda d, _: suppress(d)),
        "unsuppress": Written(UnsuppressDoc, lambda d, _: unsuppress(d)),
        "put_task": Written(PutTaskDoc, put_task),
        "task": Written(UpdateTaskDoc, update_task),
        "put_activity": Written(PutActivityDoc, put_activity),
        "activity": Written(UpdateActivityDoc, update_activity),
        "employee": Written(EmployeeDoc, lambda d, _: PutEmployee("", employee=employee_of(d))),
        "put_client": Written(PutClientDoc, _put_client),
        "retry": Written(LetterDoc, lambda d, _: RetryDeadLetter("", d.by, number=d.letter)),
        "drop": Written(LetterDoc, lambda d, _: DropDeadLetter("", d.by, number=d.letter)),
    }
)  # fmt: skip
