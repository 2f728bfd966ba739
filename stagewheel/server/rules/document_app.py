"""The document's part of application actions (H8): `actions:` declares them, `do: app` calls one."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from stagewheel.server.rules.document import Doc, Hours, Id, Name

ValueType = Literal["text", "number", "boolean", "date", "datetime", "money", "list", "employee"]


class ParameterDoc(Doc):
    """A parameter or a result in its long form."""

    what: ClassVar[str] = "a parameter or result"
    type: ValueType = "text"
    required: bool = False
    default: Any = None
    description: str = ""


class ActionDoc(Doc):
    """An application action as rules see it; in a file of its own, for `stagewheel actions register`, also
    how it is done.
    """

    what: ClassVar[str] = "an application action"
    description: str = ""
    parameters: dict[Name, ValueType | ParameterDoc] = {}
    results: dict[Name, ValueType | ParameterDoc] = {}
    handler: Literal["worker", "http"] = "worker"
    url: str = ""
    timeout: str = "1m"
    concurrency: Annotated[int, Meta(ge=0, le=10_000, description="a whole number from 0 to 10,000")] = 0
    attempts: Annotated[int, Meta(ge=1, le=10, description="a whole number from 1 to 10")] = 10


class ActionsDoc(Doc):
    """A file for `stagewheel actions register`."""

    what: ClassVar[str] = "a file of actions"
    actions: dict[Id, ActionDoc]


class AppDoc(Doc):
    """H8."""

    what: ClassVar[str] = "app"
    do: str
    action: str
    parameters: dict[Name, Any] = {}
    expires: str | None = None
    hours: Hours | None = None
    on_unknown: Literal["retry", "fail"] = "retry"
