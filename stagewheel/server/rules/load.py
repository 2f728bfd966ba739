"""Ruleset files from disk, as the mapping of relative paths to texts that `PutRuleset` carries.

Laws: nothing outside of the given files and folders is read, whatever a document or a symbolic link says;
hidden files are passed over; sizes and counts are bounded before anything is read. Paths use `/`
everywhere.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from stagewheel.errors import CallerError
from stagewheel.server.limits import RULESET_CHARS_MAX, RULESET_FILES_MAX
from stagewheel.server.rules.merge import ENDINGS

TEMPLATE: Final = ".j2"
TEMPLATES_FOLDER: Final = "templates"
DEPTH_MAX: Final = 8


class CannotLoad(CallerError):
    """A path that does not lead to a ruleset."""


def load_folder_or_files(paths: Iterable[str | Path]) -> dict[str, str]:
    """Relative path -> text, of every document and template.

    A folder gives all its documents and templates. A file gives itself, and the templates in the folder
    `templates` beside it. Two inputs that hold the same relative path are refused. Raises CannotLoad.
    """
    found: dict[str, str] = {}
    room = RULESET_CHARS_MAX
    for given in paths:
        path = Path(given)
        base, files = (path, _documents(path)) if path.is_dir() else (path.parent, _with_templates(path))
        for file in files:
            name = file.relative_to(base).as_posix()
            text = _read(file, room)
            room -= len(text)
            if found.setdefault(name, text) != text:
                raise CannotLoad(f"two of the given files are called {name}; put them into one folder")
            if len(found) > RULESET_FILES_MAX:
                raise CannotLoad(f"{path} holds more than {RULESET_FILES_MAX} documents and templates")
    if not found:
        raise CannotLoad(f"there is no ruleset file; its name ends with {', '.join(ENDINGS)}")
    return found


def _with_templates(path: Path) -> Iterator[Path]:
    if not path.is_file():
        raise CannotLoad(f"{path} is no file and no folder")
    if not path.name.endswith(ENDINGS):
        raise CannotLoad(f"{path} is no ruleset file; its name ends with {', '.join(ENDINGS)}")
    yield path
    folder = path.parent / TEMPLATES_FOLDER
    if folder.is_dir():
        yield from (file for file in _documents(folder) if file.name.endswith(TEMPLATE))


def _documents(folder: Path) -> Iterator[Path]:
    """Documents and templates in a folder and below, in the order of their names; links out of it are
    refused.
    """
    root = folder.resolve()
    for where, folders, files in os.walk(folder, followlinks=False):
        here = Path(where)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if len(here.relative_to(folder).parts) >= DEPTH_MAX:
            folders.clear()
        for name in sorted(files):
            if name.startswith(".") or not name.endswith((*ENDINGS, TEMPLATE)):
                continue
            file = here / name
            if not file.resolve().is_relative_to(root):
                raise CannotLoad(f"{file} leads out of the folder {folder}")
            yield file


def _read(file: Path, room: int) -> str:
    try:
        if file.stat().st_size > room:
            raise CannotLoad(
                f"the ruleset has more than {RULESET_CHARS_MAX} bytes of documents and templates"
            )
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CannotLoad(f"{file} is no UTF-8 text: {error}") from error
    except OSError as error:
        raise CannotLoad(f"{file} can't be read: {error}") from error
