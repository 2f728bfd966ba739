"""A form with files, as bytes: multipart/form-data (RFC 7578)."""

from collections.abc import Mapping, Sequence

import httpx

from stagewheel.server.channels.file_store import File


def multipart(fields: Mapping[str, str], name: str, files: Sequence[File]) -> tuple[str, bytes]:
    """(content type with its boundary, body) of fields and of files, which all have one name."""
    parts = [(name, (one.view.name, one.data, one.view.type)) for one in files]
    request = httpx.Request("POST", "http://localhost", data=dict(fields), files=parts)
    return request.headers["content-type"], request.read()
