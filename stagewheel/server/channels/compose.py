"""From what an e-mail document rendered to a finished mail, for both ways of the e-mail channel: attachments
fetched, bytes made, signed.

Laws: what can never be sent is refused with its reason; what can't be sent now, because the shard does not
give a file, is tried again. A large mail is put together in a thread, so that the others go on meanwhile.
"""

from typing import Any, Final

import trio

from stagewheel.server.channels import mime
from stagewheel.server.channels.attachments import fetch
from stagewheel.server.channels.base import Delivery, RefusedForGood, Retry
from stagewheel.server.channels.email import EmailSettings
from stagewheel.server.channels.file_store import File

SMALL_BYTES: Final = 256 * 1024


class Composer:
    """Makes the mails of one e-mail channel."""

    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings
        self._returns = settings.returns.open()
        self._signers = settings.signers()

    async def compose(self, content: Any, delivery: Delivery) -> mime.Mail | RefusedForGood | Retry:
        """The mail, or why there is none."""
        files: list[File] = []
        if content.attachments:
            fetched = await fetch(content.attachments, delivery.files, self._settings.attachments_bytes_max)
            if not isinstance(fetched, list):
                return fetched
            files = fetched
        try:
            if sum(len(file.data) for file in files) < SMALL_BYTES:
                return self._build(content, delivery, files)
            return await trio.to_thread.run_sync(self._build, content, delivery, files)
        except mime.Unsendable as error:
            return RefusedForGood(str(error))

    def _build(self, content: Any, delivery: Delivery, files: list[File]) -> mime.Mail:
        settings = self._settings
        mail = mime.build(
            content, delivery, settings.default_from, settings.message_id_domain, self._returns, files
        )
        return mail if self._signers is None else mime.signed(mail, self._signers)
