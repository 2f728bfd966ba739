"""What an audience of an advertising network is told, compiled (H7): the `document` of its plan.

Laws: those of `channels_doc.py`. The client's address and number are carried as they were written; the
channel makes of them what its network wants to be hashed, and nothing else leaves.
"""

from msgspec import Struct

from stagewheel.server.core.plan_actions import Text
from stagewheel.server.core.scope import Scope
from stagewheel.server.rules.channels_doc import AUTO, Recipient
from stagewheel.server.rules.phone_doc import ClientPhone


class AudienceContent(Struct, frozen=True):
    """Who is to be added to a list, or removed. `account` is "" when the channel's default is meant; `email`
    and `phone` are "" where they are not to be matched, or the client has none.
    """

    account: str
    list: str
    operation: str  # add | remove
    email: str
    phone: str


class AudienceDocument(Struct, frozen=True):
    """H7. `emails` or `phones` is None where it is not to be matched."""

    account: str
    list: Text
    operation: str
    emails: Recipient | None
    phones: ClientPhone | None

    def lacks(self, scope: Scope) -> str:
        """Why nobody can be matched, or ""."""
        if scope.client is None:
            return "the item has no client"
        if self._email(scope) or self._phone(scope):
            return ""
        one = self.emails or self.phones
        kind = f" of type {one.type}" if one is not None and one.type != AUTO else ""
        if self.emails is None:
            return f"the client has no phone{kind}"
        if self.phones is None:
            return f"the client has no e-mail address{kind}"
        return f"the client has neither e-mail address nor phone{kind}"

    def render(self, scope: Scope) -> AudienceContent:
        """Who, and where. Raises TemplateFailed."""
        where = self.list(scope).strip()
        return AudienceContent(self.account, where, self.operation, self._email(scope), self._phone(scope))

    def _email(self, scope: Scope) -> str:
        return next(iter(self.emails.addresses(scope)), "") if self.emails is not None else ""

    def _phone(self, scope: Scope) -> str:
        return self.phones.number(scope) if self.phones is not None else ""
