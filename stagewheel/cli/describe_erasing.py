"""Sentences about aliases, and about the removal of personal data."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from stagewheel.cli.abouts import About
from stagewheel.cli.output import moment
from stagewheel.cli.telling import Line, by_rule
from stagewheel.protocol import journal as j


def _bound(about: About, fact: j.AliasBound) -> Line:
    by = f" by employee {fact.by}" if fact.by else ""
    return Line("", f"is also called {fact.alias}{by}" if fact.alias else f"got another name{by}")


def _erased(about: About, fact: j.Erased) -> Line:
    by = by_rule(fact.rule) or (f" by employee {fact.by}" if fact.by else " by command")
    why = ", with its client" if fact.client else ""
    late = ", after it was deleted" if fact.state == "gone" else ""
    return Line("cancelled", f"erased{by}{why}{late}: its personal data is removed")


def _ended(about: About, fact: j.ErasureEnded) -> Line:
    since = moment(fact.since_ms)
    return Line(
        "done",
        f"the erasing of {since} is over: {fact.records} records were emptied, {fact.rows} rows removed; "
        "`stagewheel compact` lets no old page keep them",
    )


SENTENCES: Final[Mapping[type, Callable[[About, Any], Line]]] = MappingProxyType(
    {j.AliasBound: _bound, j.Erased: _erased, j.ErasureEnded: _ended}
)
