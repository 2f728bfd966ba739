"""What a sender process is told: a section of settings for each channel.

Adding a channel is one file in `channels/` and one line here: the name of the field is the name of the
channel in rules and outbox, its settings build it (`Settings.open`). The sections are read from
`[channels.NAME]` of the server's configuration; unknown settings are refused, so that a slip of the pen
does not pass as a default.
"""

from collections.abc import Iterator

from msgspec import Struct

from stagewheel.server.channels.ads import AdsSettings
from stagewheel.server.channels.app import AppSettings
from stagewheel.server.channels.base import Settings
from stagewheel.server.channels.chat import ChatSettings
from stagewheel.server.channels.document import DocumentSettings
from stagewheel.server.channels.email import EmailSettings
from stagewheel.server.channels.phone import CallSettings, SmsSettings
from stagewheel.server.channels.qr import QrSettings
from stagewheel.server.channels.webhook import WebhookSettings
from stagewheel.server.rules.channels_doc import SECRETS


class ChannelsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """[channels]: a section a channel."""

    email: EmailSettings = EmailSettings()
    webhook: WebhookSettings = WebhookSettings()
    sms: SmsSettings = SmsSettings()
    call: CallSettings = CallSettings()
    chat: ChatSettings = ChatSettings()
    app: AppSettings = AppSettings()
    ads: AdsSettings = AdsSettings()
    document: DocumentSettings = DocumentSettings()
    qr: QrSettings = QrSettings()


def sections(config: ChannelsConfig) -> Iterator[tuple[str, Settings]]:
    """Each channel's name and settings."""
    for name in config.__struct_fields__:
        yield name, getattr(config, name)


def served(config: ChannelsConfig) -> dict[str, list[str]]:
    """The providers of each channel by name ("": the section itself); none: it takes nothing. Also the names
    of the secrets that webhooks may use. No secret.
    """
    found = {name: list(settings.members) if settings.serves else [] for name, settings in sections(config)}
    return {**found, SECRETS: list(config.webhook.secrets)}


def check(config: ChannelsConfig) -> None:
    """Raises `OperatorError`, which names the setting, for settings that can't work."""
    for _, settings in sections(config):
        settings.check()
