"""Sentences about addresses that must not be written to."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from stagewheel.cli.abouts import About
from stagewheel.cli.telling import Line
from stagewheel.protocol import journal as j


def _suppressed(about: About, fact: j.AddressSuppressed) -> Line:
    by = f" by employee {fact.by}" if fact.by else ""
    if not fact.kind:
        return Line("changed", f"{fact.address} may be written to by {fact.channel} again{by}")
    why = f": {fact.reason}" if fact.reason else ""
    return Line("changed", f"{fact.address} gets nothing by {fact.channel} any more, {fact.kind}{by}{why}")


def _left_out(about: About, fact: j.AddressesLeftOut) -> Line:
    whom = ", ".join(f"{one} ({kind})" for one, kind in zip(fact.addresses, fact.kinds, strict=True))
    return Line("", f"{fact.rule}: {fact.channel} leaves out {whom}")


SENTENCES: Final[Mapping[type, Callable[[About, Any], Line]]] = MappingProxyType(
    {j.AddressSuppressed: _suppressed, j.AddressesLeftOut: _left_out}
)
