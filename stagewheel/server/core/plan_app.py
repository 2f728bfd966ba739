"""The plan of an application action (H8): what it is given, and what it must answer."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from stagewheel.server.core.plan_actions import ChannelPlan, Value

Read = Callable[[Any], tuple[Any, str]]  # a value -> (it as its type, "" or what is wrong)


class Parameter(Struct, frozen=True):
    """A parameter of the action, and what the rule gives it; without a value it has `default`."""

    name: str
    value: Value | None
    read: Read
    required: bool = False
    default: Any = None


class ResultType(Struct, frozen=True):
    """A result that the ruleset declares."""

    name: str
    read: Read
    required: bool = False


class AppPlan(ChannelPlan):
    """An application action. Its provider is its name, so it has a lane of its own (`lanes.py`)."""

    parameters: tuple[Parameter, ...] = ()
    results: tuple[ResultType, ...] = ()
