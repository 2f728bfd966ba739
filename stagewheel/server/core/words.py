"""What is looked for when personal data goes: the texts that a value holds, and the stored files
that it names.
"""

from typing import Any, Final

import msgspec

from stagewheel.server.core.limits import ERASED_WORDS_MAX

WORD_CHARS_MAX: Final = 200  # longer texts are not repeated by any answer


def words_of(value: Any) -> tuple[list[str], list[str]]:
    """The texts that a value holds, and the ids of stored files, each once."""
    words: dict[str, None] = {}
    files: dict[str, None] = {}
    _look_into(msgspec.to_builtins(value), words, files)
    return list(words)[:ERASED_WORDS_MAX], list(files)[:ERASED_WORDS_MAX]


def _look_into(value: Any, words: dict[str, None], files: dict[str, None]) -> None:
    if isinstance(value, str):
        if 1 < len(value) <= WORD_CHARS_MAX:
            words[value] = None
    elif isinstance(value, dict):
        file = value.get("file")
        if isinstance(file, str) and file:
            files[file] = None
        for one in value.values():
            _look_into(one, words, files)
    elif isinstance(value, list):
        for one in value:
            _look_into(one, words, files)
