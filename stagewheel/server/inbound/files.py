"""Attachments of a mail as stored files, so that rules can keep them in fields and send them on.

Laws: a file's id is made of the mail's, so a mail that comes again stores nothing twice. What would exceed
the bound of a mail, or is refused by the shard, is named in the event and not stored; the mail is taken
nevertheless.
"""

import logging
import re
from typing import Any, Final

from msgspec import Struct

from stagewheel.protocol.errors import CommandFailed
from stagewheel.protocol.files import begin_file, view_of
from stagewheel.server.inbound.reading import Mail
from stagewheel.server.inbound.shard import Gate

log = logging.getLogger("stagewheel.inbound")
_OTHER: Final = re.compile(r"[^A-Za-z0-9._-]+")
NAME_CHARS_MAX: Final = 80


class Stored(Struct, frozen=True):
    """What of a mail's attachments was stored, as fields of type `file` hold it."""

    values: list[dict[str, Any]] = []
    done: bool = False


async def store(gate: Gate, mail: Mail, id_: str, bytes_max: int) -> Stored:
    """Store what fits. Raises `Away`, `Unfit`."""
    values: list[dict[str, Any]] = []
    left = bytes_max
    for number, attachment in enumerate(mail.attachments, 1):
        data = attachment.data()
        if not data or len(data) > left:
            continue
        left -= len(data)
        name = f"mail/{id_}/{number}-{_OTHER.sub('_', attachment.name)[-NAME_CHARS_MAX:]}"
        begin, uploading = begin_file(data, attachment.name, name, attachment.type)
        try:
            while not uploading.done:
                [result] = await gate.submit([uploading.next()])
                uploading.took(result)
        except CommandFailed as failed:
            log.warning("an attachment was not stored: %s", failed.code)
            continue
        values.append(view_of(begin).value())
    return Stored(values, True)
