"""Sentences about deliveries that have to wait."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from stagewheel.cli.abouts import About
from stagewheel.cli.output import moment
from stagewheel.cli.telling import Line
from stagewheel.protocol import journal as j


def _held(about: About, fact: j.DeliveryHeld) -> Line:
    whose = f" (it is outside those of {', '.join(fact.outside)})" if fact.outside else ""
    return Line("waits", f"{fact.rule}: waits for its hours{whose} until {moment(fact.due_ms)}")


SENTENCES: Final[Mapping[type, Callable[[About, Any], Line]]] = MappingProxyType({j.DeliveryHeld: _held})
