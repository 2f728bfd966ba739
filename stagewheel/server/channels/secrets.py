"""Secrets of providers: read when a channel is opened, from the environment or a file; they stand in no
configuration, no log and no error.
"""

import os

from stagewheel.errors import OperatorError


def read_secret(where: str, name: str, variable: str, path: str) -> str:
    """The secret of a setting `name` at `where`; "" if neither a variable nor a file is named. Raises
    `OperatorError`.
    """
    if variable:
        if variable not in os.environ:
            raise OperatorError(f"{where}: the environment variable {variable} ({name}_env) is not set")
        return os.environ[variable]
    if not path:
        return ""
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().rstrip("\r\n")
    except OSError as error:
        raise OperatorError(f"{where}: cannot read {name}_file {path}: {error.strerror}") from None
    except UnicodeError:
        raise OperatorError(f"{where}: {name}_file {path} is no text") from None
