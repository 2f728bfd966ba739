"""Addresses that unsubscribed, complained, or bounced for good (semantics 8.8): who of an action's recipients
is left out.

Laws: asked in one place, `core/sending.py`, when the action is decided and before its cap counts; only for
what goes to a client or to a literal address, never for employees; and only where any address is suppressed
at all (`Facts.suppressed` is None else). `transactional` passes an address that unsubscribed, and no other.
If nobody is left the step is `skipped: suppressed`; else the others get it, and the row names who is left
out, so that a sender leaves out the same.

An address is compared as it is read: an e-mail address without regard to case and without a display name, a
number without spaces and punctuation, `00` as `+`.
"""

import re
from collections.abc import Callable, Sequence
from email.utils import parseaddr
from typing import Any, Final

from stagewheel.protocol.journal import AddressesLeftOut, AddressSuppressed
from stagewheel.protocol.messages import Applied, Result, Suppress, Unsuppress
from stagewheel.server.core.acting import SKIPPED, Acted, Asked
from stagewheel.server.core.deciding import Deciding
from stagewheel.server.core.plan_actions import ChannelPlan
from stagewheel.server.core.scope import Scope

UNSUBSCRIBED: Final = "unsubscribed"
KINDS: Final = ("bounced", "complained", UNSUBSCRIBED)  # the strongest first
CHANNELS: Final = ("email", "sms", "call", "chat")
PHONES: Final = ("sms", "call")
SUPPRESSED: Final = Acted(SKIPPED, "suppressed")
LEFT_OUT: Final = "left_out"  # the root of an outbox row that names who is left out
ADDRESS_BYTES_MAX: Final = 400
REASON_CHARS_MAX: Final = 300
_PUNCTUATION: Final = re.compile(r"[\s().\-/]+")

Lookup = Callable[[str, str], str]  # (channel, address) -> the strongest kind, or ""


def address_of(channel: str, written: str) -> str:
    """An address as it is compared; "" if there is none."""
    if channel in PHONES:
        number = _PUNCTUATION.sub("", written)
        return f"+{number[2:]}" if number.startswith("00") else number
    if channel == "email":
        return (parseaddr(written)[1] or written).strip().casefold()
    return written.strip()


def refuse(m: Suppress | Unsuppress) -> str:
    """What is wrong with a command, or ""."""
    if m.channel not in CHANNELS:
        return f"channel {m.channel!r}: use {', '.join(CHANNELS)}"
    address = address_of(m.channel, m.address)
    if not address or len(address.encode()) > ADDRESS_BYTES_MAX:
        return f"an address has between 1 and {ADDRESS_BYTES_MAX} bytes"
    if m.kind not in KINDS and not (type(m) is Unsuppress and not m.kind):
        return f"kind {m.kind!r}: use {', '.join(KINDS)}"
    if type(m) is Suppress and len(m.reason) > REASON_CHARS_MAX:
        return f"a reason has at most {REASON_CHARS_MAX} characters"
    return ""


def suppressed(
    d: Deciding, action: ChannelPlan, asked: Asked, lookup: Lookup, roots: dict[str, Any]
) -> Acted | None:
    """None: it may go, to those whom `roots` does not leave out."""
    assert action.reaches is not None, "only what can be suppressed is asked"
    addresses, others = action.reaches(d.scope)
    found = [(address, _stops(lookup(action.channel, address), action)) for address in addresses]
    left_out = [(address, kind) for address, kind in found if kind]
    if not left_out:
        return None
    names, kinds = [address for address, _ in left_out], [kind for _, kind in left_out]
    d.did.append(AddressesLeftOut(asked.rule, asked.step, action.channel, names, kinds))
    if not others and len(left_out) == len(found):
        return SUPPRESSED
    roots[LEFT_OUT] = names
    return None


def is_any_stopped(action: ChannelPlan, scope: Scope, lookup: Lookup) -> bool:
    """Is anybody whom the action reaches suppressed?"""
    assert action.reaches is not None, "only what can be suppressed is asked"
    return any(_stops(lookup(action.channel, address), action) for address in action.reaches(scope)[0])


def _stops(kind: str, action: ChannelPlan) -> str:
    return "" if kind == UNSUBSCRIBED and action.transactional else kind


def strongest(kinds: Sequence[str]) -> str:
    """Of all that is known of an address, what counts."""
    return next((kind for kind in KINDS if kind in kinds), "")


def told(d: Deciding, m: Suppress | Unsuppress) -> Result:
    """The item where it was said remembers it; the table was written before (`actors/suppressions.py`)."""
    d.did.append(fact_of(m))
    return Applied(d.item.entry)


def fact_of(m: Suppress | Unsuppress) -> AddressSuppressed:
    """What the journal says of it."""
    kind, reason = (m.kind, m.reason) if isinstance(m, Suppress) else ("", "")
    return AddressSuppressed(m.channel, address_of(m.channel, m.address), kind, reason, m.by)
