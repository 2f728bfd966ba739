"""The time zone of a phone number: that of its country, where the whole country has one (semantics 3.2).

Laws: only a number that says its country (`+39…`) has one; a country counts as having one zone when all its
zones show the same clock in the years looked at (Germany has two names for one clock), else its numbers
have none. "" means that nothing is known; nothing here raises.

The libraries' tables are read when the first client without a zone of its own is asked for; answers are
remembered by number.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

LOOKED_AT = (datetime(2024, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
LOOK_EVERY = timedelta(days=7)


@lru_cache(maxsize=65_536)
def zone_of_phone(number: str) -> str:
    """`+39 06 12345` -> `Europe/Rome`; "" for a number without a country, or of one with several zones."""
    import phonenumbers  # 25 ms, and only client hours need it

    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return ""
    country = phonenumbers.region_code_for_number(parsed)
    return zone_of_country(country) if country else ""


@lru_cache(maxsize=512)
def zone_of_country(country: str) -> str:
    """`IT` -> `Europe/Rome`; "" where clocks differ within the country, or it is unknown."""
    zones = [ZoneInfo(name) for code, name in _table() if code == country]
    if not zones or any(_clocks(zone) != _clocks(zones[0]) for zone in zones[1:]):
        return ""
    return zones[0].key


def _table() -> Iterator[tuple[str, str]]:
    """(country, zone) of every row of the zone table."""
    from importlib.resources import files  # 10 ms, likewise

    for line in files("tzdata.zoneinfo").joinpath("zone.tab").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            code, _, name = line.split("\t")[:3]
            yield code, name


def _clocks(zone: ZoneInfo) -> tuple[timedelta | None, ...]:
    moment, end = LOOKED_AT
    offsets = []
    while moment < end:
        offsets.append(moment.astimezone(zone).utcoffset())
        moment += LOOK_EVERY
    return tuple(offsets)
