"""Rows of an import file, each with its line: CSV with a header, or a JSON object a line; also gzipped.

Laws: a file is read in one pass with one row in memory, however long it is; what can't be read ends the
reading with file, line and what was expected.
"""

import csv
import gzip
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, cast

from stagewheel.errors import CallerError

CSV_ENDINGS: Final = (".csv", ".csv.gz")
JSONL_ENDINGS: Final = (".jsonl", ".jsonl.gz", ".ndjson")
CHUNK_BYTES: Final = 1 << 20


class ImportRow(NamedTuple):
    """A row, and the line that it ends on."""

    line: int
    values: dict[str, Any]


class ImportInvalid(CallerError):
    """The file can't be read."""

    def __init__(self, path: Path, line: int, message: str) -> None:
        super().__init__(f"{path}:{line}: {message}" if line else f"{path}: {message}")


def rows_of(path: Path, delimiter: str) -> Iterator[ImportRow]:
    """The rows in order. Raises ImportInvalid, possibly after many."""
    try:
        if path.name.endswith(CSV_ENDINGS):
            with _opened(path) as file:
                yield from _csv_rows(path, file, delimiter)
        elif path.name.endswith(JSONL_ENDINGS):
            with _opened(path) as file:
                yield from _json_rows(path, file)
        else:
            known = ", ".join((*CSV_ENDINGS, *JSONL_ENDINGS))
            raise ImportInvalid(path, 0, f"unknown kind of file; the name must end in one of {known}")
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImportInvalid(path, 0, f"the file can't be read: {reason}") from error


def columns_of(path: Path, delimiter: str) -> list[str] | None:
    """The header of a CSV file; None where each row has its own names."""
    if not path.name.endswith(CSV_ENDINGS):
        return None
    try:
        with _opened(path) as file, TextIOWrapper(file, encoding="utf-8-sig", newline="") as lines:
            return next(csv.reader(lines, delimiter=delimiter), [])
    except (OSError, EOFError, zlib.error, csv.Error, UnicodeDecodeError) as error:
        raise ImportInvalid(path, 1, f"the file can't be read: {error}") from error


def digest_of(path: Path, *more: str) -> str:
    """A name for the file's content and what else decides about its commands."""
    found = hashlib.blake2b(digest_size=12)
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                found.update(chunk)
    except OSError as error:
        raise ImportInvalid(path, 0, f"the file can't be read: {error.strerror}") from error
    for one in more:
        found.update(b"\0" + one.encode())
    return found.hexdigest()


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.name.endswith(".gz") else path.open("rb")


def _csv_rows(path: Path, file: BinaryIO, delimiter: str) -> Iterator[ImportRow]:
    with TextIOWrapper(file, encoding="utf-8-sig", newline="") as lines:
        rows = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            header = next(rows, [])
            if twice := [name for name, count in Counter(header).items() if count > 1]:
                raise ImportInvalid(path, 1, f"the column '{twice[0]}' stands twice")
            for row in rows:
                if row and len(row) != len(header):
                    there = f"this row has {len(row)} values, but there are {len(header)} columns"
                    raise ImportInvalid(path, rows.line_num, there)
                if row:
                    yield ImportRow(rows.line_num, dict(zip(header, row, strict=True)))
        except csv.Error as error:
            raise ImportInvalid(path, rows.line_num, f"not valid CSV: {error}") from error
        except UnicodeDecodeError as error:
            raise ImportInvalid(path, rows.line_num + 1, f"not UTF-8 text: {error.reason}") from error


def _json_rows(path: Path, file: BinaryIO) -> Iterator[ImportRow]:
    for number, text in enumerate(file, 1):
        if not text.strip():
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ImportInvalid(path, number, f"not valid JSON: {error}") from error
        if not isinstance(value, dict):
            raise ImportInvalid(path, number, "expected an object with the values of one item")
        yield ImportRow(number, value)
