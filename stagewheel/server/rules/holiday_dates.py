"""Public holidays as dates: from the `holidays` library at publish, from the version's own file ever after.

Laws: the library is asked for a fixed range of years, whatever today is, so the same files give the same
dates with the same library; with another library a kept version still has its own, which were stored with
it under `GENERATED`. Only days off for everybody count (the library's public holidays, with the days on
which they are observed); half days and bank holidays are the author's to add.

Why dates and not the library at run time: holidays are announced and corrected from release to release; a
step's moment must not depend on which release a restart happened to find.
"""

import json
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any, Final

from stagewheel.server.core.calendar import EPOCH_ORDINAL
from stagewheel.server.rules.document import HolidaysDoc
from stagewheel.server.rules.merge import GENERATED
from stagewheel.server.rules.mistakes import Log, nearest

FIRST_YEAR, LAST_YEAR = 2000, 2060
SHOWN_MAX: Final = 12


class HolidayDates:
    """The dates of each country that a ruleset names. `generated` is what its version must be stored with."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._kept = _read(files.get(GENERATED, ""))
        self._used: dict[str, list[str]] = {}

    def days_of(self, doc: HolidaysDoc, log: Log) -> list[int]:
        """Days since 1970; none for a country that is not known: then the log says so."""
        if doc.country is None:
            if doc.subdivision is not None:
                log.mistake(doc.place_ / "subdivision", "a subdivision needs its 'country'")
            return []
        key = f"{doc.country}-{doc.subdivision}" if doc.subdivision else doc.country
        if key not in self._kept and not _known(doc, log):
            return []
        dates = self._used[key] = self._kept.get(key) or list(_expand(doc.country, doc.subdivision))
        return [date.fromisoformat(one).toordinal() - EPOCH_ORDINAL for one in dates]

    def generated(self) -> dict[str, str]:
        """The file of these dates; none where no holidays are named."""
        return {GENERATED: json.dumps(self._used, sort_keys=True)} if self._used else {}


def _read(text: str) -> dict[str, list[str]]:
    """What `generated` wrote. Anything else is none: then the library is asked again."""
    try:
        found: Any = json.loads(text) if text else {}
        for dates in found.values():
            for one in dates:
                date.fromisoformat(one)
    except (ValueError, TypeError, AttributeError):
        return {}
    return dict(found)


def _known(doc: HolidaysDoc, log: Log) -> bool:
    import holidays  # 80 ms and only rulesets that name a country need it

    countries = holidays.list_supported_countries()
    if doc.country not in countries:
        hint = nearest(str(doc.country), countries) or "; write its two-letter code, as in IT"
        log.mistake(doc.place_ / "country", f"no holidays are known of the country '{doc.country}'{hint}")
        return False
    parts = countries[doc.country]
    if doc.subdivision is not None and doc.subdivision not in parts:
        some = f"; it has {', '.join(parts[:SHOWN_MAX])}" if parts else "; it has none"
        hint = nearest(doc.subdivision, parts) or some
        log.mistake(
            doc.place_ / "subdivision", f"'{doc.subdivision}' is no subdivision of {doc.country}{hint}"
        )
        return False
    return True


@lru_cache(maxsize=64)
def _expand(country: str, subdivision: str | None) -> tuple[str, ...]:
    import holidays

    years = range(FIRST_YEAR, LAST_YEAR + 1)
    found = holidays.country_holidays(country, subdiv=subdivision, years=years)
    return tuple(sorted(day.isoformat() for day in found))
