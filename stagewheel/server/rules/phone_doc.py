"""What text messages and calls say, compiled: the `document` of their plans.

Laws: those of `channels_doc.py`. A number is carried as it was written; the channel knows in which country
one without a country code is, and which provider a rule means that names none.
"""

from msgspec import Struct

from stagewheel.server.core.plan_actions import Text
from stagewheel.server.core.scope import Scope
from stagewheel.server.rules.channels_doc import AUTO


class SmsContent(Struct, frozen=True):
    """A text message, rendered. `provider` is "" when the channel's default is meant."""

    provider: str
    to: str
    text: str


class Speech(Struct, frozen=True):
    """What a call says, and how: `speed` and `volume` are 1 as the voice has them; "" is the provider's
    default.
    """

    text: str
    speed: float = 1.0
    volume: float = 1.0
    language: str = ""
    voice: str = ""


class CallContent(Struct, frozen=True):
    """A call, rendered: it says something or plays a file. `from_number` "" is the provider's default."""

    provider: str
    to: str
    from_number: str
    say: Speech | None
    play: str


class ClientPhone(Struct, frozen=True):
    """Which of the client's numbers: of a type or of any, the first or the last of what is left (7.8)."""

    type: str = AUTO
    last: bool = False

    def number(self, scope: Scope) -> str:
        """The number, or ""."""
        phones = scope.client.phones if scope.client is not None else ()
        fitting = [one.address for one in phones if one.address and self.type in (AUTO, one.type)]
        return fitting[-1 if self.last else 0] if fitting else ""

    def reached(self, scope: Scope) -> tuple[list[str], bool]:
        """The number, and that nobody else is meant."""
        return [self.number(scope)], False

    def lacks(self, scope: Scope) -> str:
        """Why there is no number, or ""."""
        if self.number(scope):
            return ""
        if scope.client is None:
            return "the item has no client"
        return "the client has no phone" + ("" if self.type == AUTO else f" of type {self.type}")


class SmsDocument(Struct, frozen=True):
    """H2."""

    to: ClientPhone
    text: Text
    provider: str

    def lacks(self, scope: Scope) -> str:
        """Why it can't be sent, or ""."""
        return self.to.lacks(scope)

    def reached(self, scope: Scope) -> tuple[list[str], bool]:
        """Whom it reaches that can be suppressed (8.8)."""
        return self.to.reached(scope)

    def render(self, scope: Scope) -> SmsContent:
        """The message. Raises TemplateFailed."""
        number = self.to.number(scope)
        scope.to = ("sms", number)
        return SmsContent(self.provider, number, self.text(scope).strip())


class CallDocument(Struct, frozen=True):
    """H3. One of `text` and `play`; `manner` is how the text is said."""

    to: ClientPhone
    from_number: Text | None
    text: Text | None
    manner: Speech
    play: Text | None
    provider: str

    def lacks(self, scope: Scope) -> str:
        """Why nobody can be called, or ""."""
        return self.to.lacks(scope)

    def reached(self, scope: Scope) -> tuple[list[str], bool]:
        """Whom it reaches that can be suppressed (8.8)."""
        return self.to.reached(scope)

    def render(self, scope: Scope) -> CallContent:
        """The call. Raises TemplateFailed."""
        say, how = None, self.manner
        if self.text is not None:
            say = Speech(self.text(scope).strip(), how.speed, how.volume, how.language, how.voice)
        return CallContent(
            self.provider,
            self.to.number(scope),
            self.from_number(scope).strip() if self.from_number is not None else "",
            say,
            self.play(scope).strip() if self.play is not None else "",
        )
