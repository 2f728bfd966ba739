"""Text messages and calls over Twilio's REST API (2010-04-01), and over servers that speak it.

Laws: one POST, form-encoded, with basic authentication. 2xx is taken: the resource exists and has a SID. 429
and 503 say that the request was not processed; of another 5xx nobody knows, and the API knows no idempotency
key, so that is `unknown`. 401, 403 and 404 tell of the account and not of the message: they are tried
again, and count against the provider. Everything else refuses for good, with Twilio's own code.

What a call says is TwiML in the request itself, so that Twilio needs nothing of us. `speed` and `volume` are
SSML prosody (W3C), which Twilio's Amazon Polly and Google voices follow: a rate in percent, a volume in
decibels.
"""

import math
from html import escape  # xml.sax.saxutils does the same, and brings urllib with all of HTTP to each process
from typing import Any
from urllib.parse import quote, urlencode

from stagewheel.errors import OperatorError
from stagewheel.server.channels.base import (
    Delivered,
    Delivery,
    Outcome,
    PoolSettings,
    RefusedForGood,
    Retry,
    Seconds,
    Unknown,
)
from stagewheel.server.channels.provider import Answer, Content, Provider, check_url, reason
from stagewheel.server.channels.providers import ProviderPool
from stagewheel.server.channels.secrets import read_secret
from stagewheel.server.channels.statuses import Callbacks, TwilioStatuses, awaited
from stagewheel.server.rules.chat_doc import ChatContent
from stagewheel.server.rules.phone_doc import CallContent, SmsContent, Speech

TWIML_CHARS_MAX = 4_000
SMS_CHARS_MAX = 1_600
NOT_PROCESSED = frozenset({408, 425, 429, 503})
ACCOUNT = frozenset({401, 403, 404})
BUSY_CODES = frozenset({14107, 20429, 21611})  # rate or queue of the sending number: later it will do
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}


class TwilioSettings(
    ProviderPool, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="twilio", tag_field="kind"
):
    """`kind = "twilio"`."""

    account: str  # AC…
    key: str = ""  # SK…: an API key, whose secret stands in the place of the token
    token_env: str = ""
    token_file: str = ""
    from_number: str = ""  # with country code; a messaging service takes its place for text messages
    messaging_service: str = ""  # MG…
    auth_token_env: str = ""  # with `key`: the account's token, which signs what Twilio tells
    auth_token_file: str = ""
    status_callback: str = ""  # somebody else's; then a call is done when it was taken
    answer_wait_s: Seconds = 3_600.0  # a call whose end was not told by then has failed
    base_url: str = "https://api.twilio.com"

    def check(self, where: str) -> None:
        """Raises `OperatorError`."""
        if not self.account:
            raise OperatorError(f"{where}: account is empty")
        check_url(where, "base_url", self.base_url)
        if self.status_callback:
            check_url(where, "status_callback", self.status_callback)
        if not self._token(where):
            raise OperatorError(f"{where}: a token is needed; name token_env or token_file")

    def open(self, name: str, where: str, pool: PoolSettings, callbacks: Callbacks | None = None) -> Provider:
        """Ready to send. Raises `OperatorError`."""
        self.check(where)
        told = callbacks if not self.status_callback and self.statuses(where) is not None else None
        return Twilio(name, self, self._token(where), pool, told)

    def statuses(self, where: str) -> TwilioStatuses | None:
        """How what it tells is read; None without the token that signs it. Raises `OperatorError`."""
        own = read_secret(where, "auth_token", self.auth_token_env, self.auth_token_file)
        token = own or ("" if self.key else self._token(where))
        return TwilioStatuses(token) if token else None

    def _token(self, where: str) -> str:
        return read_secret(where, "token", self.token_env, self.token_file)


class Twilio:
    """One account."""

    def __init__(
        self,
        name: str,
        settings: TwilioSettings,
        token: str,
        pool: PoolSettings,
        callbacks: Callbacks | None = None,
    ) -> None:
        self._name, self._settings, self._callbacks = name, settings, callbacks
        self._auth = (settings.key or settings.account, token)
        # Loaded here, so that a process that only reads settings loads no HTTP library.
        from stagewheel.server.channels.connections import Connections

        self._connections = Connections(name, pool)

    async def send(self, content: Content, delivery: Delivery) -> Outcome:
        """Create a Message or a Call."""
        if isinstance(content, ChatContent):
            if content.html or content.files:
                return RefusedForGood(f"{self._name} takes plain text only: no HTML and no files")
            content = SmsContent(content.provider, content.to, content.text)
        fields = self._message(content) if isinstance(content, SmsContent) else self._call(content)
        if isinstance(fields, RefusedForGood):
            return fields
        told = [*fields.items(), *self._told(content, delivery)]
        resource = "Messages" if isinstance(content, SmsContent) else "Calls"
        account = quote(self._settings.account, safe="")
        url = f"{self._settings.base_url.rstrip('/')}/2010-04-01/Accounts/{account}/{resource}.json"
        answer = await self._connections.ask("POST", url, FORM, urlencode(told).encode(), self._auth)
        if not isinstance(answer, Answer):
            return answer
        ended = outcome(self._name, answer, content.to)
        return ended if self._callbacks is None else awaited(content, ended, self._settings.answer_wait_s)

    def _told(self, content: Content, delivery: Delivery) -> list[tuple[str, str]]:
        """Where it is to tell what became of it, and of a call also when it is answered."""
        if self._callbacks is None:
            url = self._settings.status_callback
            return [("StatusCallback", url)] if url else []
        told = [("StatusCallback", self._callbacks.url(content, delivery))]
        if isinstance(content, CallContent):
            told += [("StatusCallbackEvent", "answered"), ("StatusCallbackEvent", "completed")]
        return told

    def _message(self, content: SmsContent) -> dict[str, str] | RefusedForGood:
        settings, fields = self._settings, {"To": content.to, "Body": content.text}
        if len(content.text) > SMS_CHARS_MAX:
            return RefusedForGood(f"the text has more than {SMS_CHARS_MAX} characters")
        if settings.messaging_service:
            fields["MessagingServiceSid"] = settings.messaging_service
        elif settings.from_number:
            fields["From"] = settings.from_number
        else:
            return RefusedForGood(f"{self._name} has neither from_number nor messaging_service")
        return fields

    def _call(self, content: CallContent) -> dict[str, str] | RefusedForGood:
        origin = content.from_number or self._settings.from_number
        if not origin:
            return RefusedForGood(f"neither the rule nor {self._name} has a from_number")
        markup = twiml(content)
        if len(markup) > TWIML_CHARS_MAX:
            return RefusedForGood(f"what the call says is longer than {TWIML_CHARS_MAX} characters")
        return {"To": content.to, "From": origin, "Twiml": markup}

    async def aclose(self) -> None:
        """Close its connections."""
        await self._connections.aclose()


def twiml(content: CallContent) -> str:
    """What the call does, as Twilio's markup."""
    body = f"<Play>{_text(content.play)}</Play>" if content.say is None else _say(content.say)
    return f"<Response>{body}</Response>"


def outcome(name: str, answer: Answer, to: str) -> Outcome:
    """What Twilio's answer comes to."""
    status, body = answer.status, answer.body if isinstance(answer.body, dict) else {}
    if 200 <= status < 300:
        detail: dict[str, Any] = {"address": to, "provider": name}
        return Delivered(detail | {"message_id": body.get("sid"), "status": body.get("status")})
    code, said = body.get("code"), str(body.get("message") or answer.phrase)
    why = reason(name, status, f"{said} ({code})" if code else said)
    if status in ACCOUNT:
        return Retry(why, answer.after_ms, provider=True)
    if status in NOT_PROCESSED or code in BUSY_CODES:
        return Retry(why, answer.after_ms, provider=status == 503)
    return Unknown(why) if status >= 500 else RefusedForGood(why)


def _say(say: Speech) -> str:
    voice = f' voice="{escape(say.voice)}"' if say.voice else ""
    language = f' language="{escape(say.language)}"' if say.language else ""
    prosody = ""
    if say.speed != 1:
        prosody += f' rate="{round(say.speed * 100)}%"'
    if say.volume != 1:
        prosody += f' volume="{20 * math.log10(say.volume):+.1f}dB"'
    text = _text(say.text)
    return f"<Say{voice}{language}>{f'<prosody{prosody}>{text}</prosody>' if prosody else text}</Say>"


def _text(text: str) -> str:
    """As XML takes it: control characters can't be written in it."""
    return escape("".join(c for c in text if c >= " " or c in "\t\n\r"), quote=False)
