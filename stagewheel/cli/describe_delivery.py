"""Sentences about deliveries whose end comes later."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from stagewheel.cli.abouts import About
from stagewheel.cli.output import moment
from stagewheel.cli.telling import Line
from stagewheel.protocol import journal as j


def _awaited(about: About, fact: j.DeliveryAwaited) -> Line:
    taken = f"{fact.rule}: {fact.channel} was taken (number {fact.number})"
    return Line("sending", f"{taken}, its end is waited for until {moment(fact.until_ms)}")


SENTENCES: Final[Mapping[type, Callable[[About, Any], Line]]] = MappingProxyType(
    {j.DeliveryAwaited: _awaited}
)
