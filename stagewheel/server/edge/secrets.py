"""Secrets of the edge: from the environment or a file, never from the configuration itself.

Laws: an error names the setting and where it looked, never what it found. A secret that is too short to be
one is refused at start.
"""

import os
from pathlib import Path
from typing import Final

from stagewheel.errors import OperatorError

TOKEN_BYTES_MIN: Final = 16
KEY_BYTES_MIN: Final = 32


def read_secret(where: str, name: str, env: str, file: str, bytes_min: int = TOKEN_BYTES_MIN) -> bytes:
    """The secret of `where` (a section), which its settings `NAME_env` or `NAME_file` lead to. Raises
    OperatorError.
    """
    if bool(env) == bool(file):
        raise OperatorError(f"{where}: set either {name}_env or {name}_file")
    if env:
        found = os.environ.get(env)
        if found is None:
            raise OperatorError(f"{where}.{name}_env: the environment variable {env} is not set")
        secret, setting = found.encode(), f"{name}_env"
    else:
        setting = f"{name}_file"
        try:
            secret = Path(file).read_bytes().partition(b"\n")[0]
        except OSError as error:
            raise OperatorError(f"{where}.{setting}: can't read {file}: {error.strerror}") from None
    secret = secret.strip()
    if len(secret) < bytes_min:
        raise OperatorError(
            f"{where}.{setting}: the secret has less than {bytes_min} bytes; make a longer one"
        )
    return secret
