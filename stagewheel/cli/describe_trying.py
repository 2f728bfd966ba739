"""Sentences about rules that were tried."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from stagewheel.cli.abouts import About
from stagewheel.cli.telling import Line
from stagewheel.protocol import journal as j


def _tried(about: About, fact: j.RuleTried) -> Line:
    what = f"{fact.rule}: a test of its {fact.channel} message to {fact.to}"
    if not fact.outcome:
        return Line("sending", f"{what} is on its way")
    reason = f": {fact.reason}" if fact.reason else ""
    return Line("done" if fact.outcome == "delivered" else "failed", f"{what}: {fact.outcome}{reason}")


SENTENCES: Final[Mapping[type, Callable[[About, Any], Line]]] = MappingProxyType({j.RuleTried: _tried})
