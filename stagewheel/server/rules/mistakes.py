"""Mistakes in a ruleset: where they stand (file, line, column, path) and what was expected there.

Laws: reading and compiling never stop at the first mistake; they write it into a `Log` and go on with what
can still be understood, so that an author sees all of them at once. What is merely doubtful is a warning
and goes into a list of its own. Line and column count from 1; line 0 means that the format keeps no
positions (TOML).
"""

import difflib
from collections.abc import Iterable
from typing import NamedTuple

from stagewheel.errors import RuleError
from stagewheel.server.limits import MISTAKES_SHOWN_MAX

Path = tuple[str | int, ...]
Positions = dict[Path, tuple[int, int]]

NEAR_ENOUGH = 0.6


class Mistake(NamedTuple):
    """One mistake, or one warning. `path` reads like `pipelines.deals.stages[1].rules[0].run.after`."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class TemplateFailed(RuleError):
    """A template could not be rendered with the values it met: the author's mistake, or a missing value."""


class RulesetInvalid(RuleError):
    """A ruleset with mistakes; `mistakes` are all of them in the order of files and lines, and so are the
    warnings.
    """

    def __init__(self, mistakes: Iterable[Mistake], warnings: Iterable[Mistake] = ()) -> None:
        self.mistakes = tuple(mistakes)
        self.warnings = tuple(warnings)
        count = len(self.mistakes)
        shown = "\n".join(str(mistake) for mistake in self.mistakes[:MISTAKES_SHOWN_MAX])
        more = f"\n… and {count - MISTAKES_SHOWN_MAX} more" if count > MISTAKES_SHOWN_MAX else ""
        super().__init__(f"the ruleset has {count} mistake{'s' if count != 1 else ''}:\n{shown}{more}")


class Place(NamedTuple):
    """A place in a document. `place / "run" / 0` goes down into it."""

    file: str
    path: Path = ()

    def __truediv__(self, key: str | int) -> "Place":
        return Place(self.file, (*self.path, key))


class Log:
    """Collects mistakes and warnings; knows the positions of every file that was read."""

    def __init__(self) -> None:
        self.positions: dict[str, Positions] = {}
        self.warnings: list[Mistake] = []
        self._mistakes: list[Mistake] = []

    def mistake(self, place: Place, message: str) -> None:
        """Note a mistake at a place of a document."""
        self._mistakes.append(self._at(place, message))

    def mistake_at(self, file: str, line: int, column: int, message: str) -> None:
        """Note a mistake that has a position and no path.

        A document that can't be parsed, a template's line.
        """
        self._mistakes.append(Mistake(file, line, column, "", message))

    def doubt(self, place: Place, message: str) -> None:
        """Note something that is allowed and probably not meant."""
        self.warnings.append(self._at(place, message))

    def count(self) -> int:
        """How many mistakes were noted so far."""
        return len(self._mistakes)

    @property
    def mistakes(self) -> list[Mistake]:
        """All mistakes in the order of files, lines and columns, each once."""
        return sorted(set(self._mistakes))

    def raise_if_any(self) -> None:
        """RulesetInvalid with all mistakes, if there are any."""
        if self._mistakes:
            raise RulesetInvalid(self.mistakes, self.warnings)

    def line_of(self, place: Place) -> int:
        """The line of a place, or of the closest thing around it whose position is known; else 0."""
        return self._position(place)[0]

    def _at(self, place: Place, message: str) -> Mistake:
        line, column = self._position(place)
        return Mistake(place.file, line, column, path_text(place.path), message)

    def _position(self, place: Place) -> tuple[int, int]:
        positions = self.positions.get(place.file, {})
        path = place.path
        while path and path not in positions:
            path = path[:-1]
        return positions.get(path, (0, 0))


def path_text(path: Path) -> str:
    """("stages", 1, "id") as `stages[1].id`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known word that looks most like it, or nothing."""
    found = difflib.get_close_matches(word, sorted(known), n=1, cutoff=NEAR_ENOUGH)
    return f"; did you mean '{found[0]}'?" if found else ""


def listed(words: Iterable[str]) -> str:
    """Words for a sentence: `a, b, c`."""
    return ", ".join(words)
