"""`caps:` of a ruleset, a pipeline or a rule, as plans (semantics 8.5).

Laws: the inner one wins, channel by channel; `none` lifts all of them, or that of one channel. Only what goes
to the client is capped: an e-mail to employees or to a literal address counts for nobody. A window is a
length of time that slides, so months and years count by their mean.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from stagewheel.server.core.limits import CAP_LIMIT_MAX
from stagewheel.server.core.plan_actions import CapPlan
from stagewheel.server.rules.document import CapDoc
from stagewheel.server.rules.mistakes import Log, Place, listed, nearest
from stagewheel.server.rules.reader import read, shown
from stagewheel.server.rules.waits import duration_of, length_ms

CHANNELS: Final = ("email", "sms", "call", "chat")  # by which a client is reached
NONE: Final = "none"
RATE: Final = re.compile(r"([0-9]{1,9}) per ([0-9].*)")
NO_CAPS: Final[Mapping[str, CapPlan | None]] = MappingProxyType({})

Caps = Mapping[str, CapPlan | None]  # by channel; None: lifted


def compile_caps(raw: Any, place: Place, outer: Caps, log: Log) -> Caps:
    """The caps in force: those written here, and the outer ones of other channels."""
    if raw is None:
        return outer
    if raw == NONE:
        return NO_CAPS
    if not isinstance(raw, dict):
        log.mistake(place, f"expected caps by channel, as in {{email: 2 per 1d}}, or none; got {shown(raw)}")
        return outer
    caps = dict(outer)
    for channel, one in raw.items():
        if channel not in CHANNELS:
            hint = nearest(str(channel), CHANNELS) or f"; channels with caps are {listed(CHANNELS)}"
            log.mistake(place / channel, f"unknown channel {shown(channel)}{hint}")
            continue
        caps[channel] = _cap(channel, one, place / channel, log)
    return caps


def _cap(channel: str, raw: Any, place: Place, log: Log) -> CapPlan | None:
    if raw == NONE:
        return None
    doc = CapDoc(limit=raw) if isinstance(raw, str) else read(CapDoc, raw, place, log)
    if doc is None:
        return None
    at = place if isinstance(raw, str) else place / "limit"
    rate = RATE.fullmatch(doc.limit)
    if rate is None:
        log.mistake(at, f"expected a number and a length of time, such as '2 per 1d'; got {shown(doc.limit)}")
        return None
    limit, window = int(rate[1]), duration_of(rate[2], at, log)
    if not 1 <= limit <= CAP_LIMIT_MAX:
        log.mistake(at, f"a cap allows 1 to {CAP_LIMIT_MAX} actions within its window, not {limit}")
    window_ms = length_ms(window)
    if window is not None and window_ms <= 0:
        log.mistake(at, "the window of a cap is longer than nothing")
    return CapPlan(channel, limit, window_ms, doc.over == "wait")
