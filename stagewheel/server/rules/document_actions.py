"""The documents of actions: what may stand beside `do:`. `compile_actions.py` gives them their meaning.

Laws: those of `document.py`.
"""

from typing import Any, ClassVar, Literal

from msgspec import field

from stagewheel.server.rules.attachments import AttachmentDoc
from stagewheel.server.rules.document import Doc, Employee, Hours, Id, Name


class RecipientDoc(Doc):
    """`to:` of an e-mail: who, which type of address, and which of those."""

    what: ClassVar[str] = "'to'"
    who: int | str | list[int | str] = "client"
    type: str = "auto"
    use: Literal["first", "last"] = "first"


class ThenDoc(Doc):
    """What becomes of the source of `create_from`."""

    what: ClassVar[str] = "'then'"
    stage: str = ""
    fields: dict[Name, Any] = {}


class ChangeStageDoc(Doc):
    """A1."""

    what: ClassVar[str] = "change_stage"
    do: str
    stage: str


class ChangePipelineDoc(Doc):
    """A2; without `stage` its first."""

    what: ClassVar[str] = "change_pipeline"
    do: str
    pipeline: str
    stage: str = ""


class DeleteItemDoc(Doc):
    """A7; `erase` removes its personal data from all that is stored as well."""

    what: ClassVar[str] = "delete_item"
    do: str
    erase: bool = False


class ChoiceDoc(Doc):
    """One employee of several."""

    what: ClassVar[str] = "a choice of employees"
    first: int | str | list[int | str] | None = None
    round_robin: list[Employee] | None = None
    random: list[Employee] | None = None
    skip_absent: bool = False


class ChangeResponsibleDoc(Doc):
    """A3."""

    what: ClassVar[str] = "change_responsible"
    do: str
    to: ChoiceDoc | int | str | list[int | str]


class AddObserversDoc(Doc):
    """A9."""

    what: ClassVar[str] = "add_observers"
    do: str
    observers: int | str | list[int | str]


class SetFieldsDoc(Doc):
    """A4."""

    what: ClassVar[str] = "set_fields"
    do: str
    fields: dict[Name, Any]


class SetDoc(Doc):
    """A8, as far as workflow variables go."""

    what: ClassVar[str] = "set"
    do: str
    vars: dict[Name, Any]


class CreateFromDoc(Doc):
    """A5: an item in `pipeline`, or with `create` a contact or company."""

    what: ClassVar[str] = "create_from"
    do: str
    pipeline: str = ""
    create: Literal["contact", "company"] | None = None
    stage: str = ""
    title: str | None = None
    fields: dict[Name, Any] = {}
    copy: list[Name] | None = None
    responsible: ChoiceDoc | int | str | list[int | str] | None = None
    client: Literal["both", "contact", "company", "none"] | None = None
    source: str | None = None
    then: ThenDoc | None = None


class CopyItemDoc(Doc):
    """A6: in the own pipeline, or another one."""

    what: ClassVar[str] = "copy_item"
    do: str
    pipeline: str = ""
    stage: str = ""
    title: str = "{{ item.title }}"
    fields: dict[Name, Any] = {}


class NotifyDoc(Doc):
    """E1, and E2 as `notify_supervisor`."""

    what: ClassVar[str] = "notify"
    do: str
    text: str
    to: int | str | list[int | str] | None = None
    sender: int | str | None = field(name="from", default=None)


class PostStreamDoc(Doc):
    """E3."""

    what: ClassVar[str] = "post_stream"
    do: str
    text: str
    to: int | str | list[int | str] | None = None
    sender: int | str | None = field(name="from", default=None)
    files: list[AttachmentDoc] = []


class AddHistoryDoc(Doc):
    """E4."""

    what: ClassVar[str] = "add_history"
    do: str
    text: str
    created_by: str = ""


class TrackDoc(Doc):
    """What is noticed of an e-mail: clicks on its links (G10), that it is opened (G9)."""

    what: ClassVar[str] = "'track'"
    clicks: bool = False
    opens: bool = False


class SendEmailDoc(Doc):
    """H1, without attachments."""

    what: ClassVar[str] = "send_email"
    do: str
    subject: str
    body: str
    attachments: list[AttachmentDoc] = []
    track: TrackDoc | None = None
    transactional: bool = False
    sender: str = field(name="from", default="auto")
    to: RecipientDoc | int | str | list[int | str] | None = None
    provider: str = ""
    expires: str | None = None
    hours: Hours | None = None
    on_unknown: Literal["retry", "fail"] = "retry"


class WebhookDoc(Doc):
    """H6."""

    what: ClassVar[str] = "webhook"
    do: str
    url: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    headers: dict[str, str] = {}
    body: str | None = None
    json: Any = None
    sign: str = ""
    auth: str = ""
    expires: str | None = None
    hours: Hours | None = None
    on_unknown: Literal["retry", "fail"] = "retry"


class PhoneDoc(Doc):
    """`to:` of a text message or a call: which type of the client's numbers, and which of those."""

    what: ClassVar[str] = "'to'"
    type: str = "auto"
    use: Literal["first", "last"] = "first"


class SendSmsDoc(Doc):
    """H2."""

    what: ClassVar[str] = "send_sms"
    do: str
    text: str
    to: PhoneDoc | None = None
    transactional: bool = False
    provider: str = ""
    expires: str | None = None
    hours: Hours | None = None
    on_unknown: Literal["retry", "fail"] = "fail"


class SayDoc(Doc):
    """What a call says, and how."""

    what: ClassVar[str] = "'say'"
    text: str
    speed: float | int = 1.0
    volume: float | int = 1.0
    language: str = ""
    voice: str = ""


class CallDoc(Doc):
    """H3: it says a text or plays a file."""

    what: ClassVar[str] = "call"
    do: str
    say: SayDoc | None = None
    play: str | None = None
    from_number: str = ""
    transactional: bool = False
    to: PhoneDoc | None = None
    provider: str = ""
    expires: str | None = None
    hours: Hours | None = None
    on_unknown: Literal["retry", "fail"] = "fail"


class RunWorkflowDoc(Doc):
    """W10, as the action of a rule."""

    what: ClassVar[str] = "run_workflow"
    do: str
    workflow: Id
    vars: dict[Name, Any] = {}
    wait: bool = False
