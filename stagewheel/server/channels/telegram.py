"""Messages in chats over Telegram's Bot API, and over servers that speak it.

Laws: one POST a part of a message, as JSON; one with a file as multipart/form-data. A text that is longer
than Telegram takes is cut at the end of a line or word into several; HTML can't be cut, so one that is too
long is refused. What of a message is out already is remembered for as long as this process lives, so
that an attempt after a failure goes on behind it. 200 with `ok` is taken. 429 says when to come back, in its
`parameters`. 401 and 404 tell of the bot's token and not of the message: they are tried again, and count
against the provider. 403 (the client blocked the bot) and every other 4xx refuse for good, with Telegram's
own words. Of a 5xx nobody knows, and the API knows no idempotency key.

The token is part of the address, so no address is ever told.
"""

import re
from collections import OrderedDict
from typing import Any, Final

import msgspec
from msgspec import Struct

from stagewheel.errors import OperatorError
from stagewheel.server.channels.attachments import fetch
from stagewheel.server.channels.base import (
    Delivered,
    Delivery,
    Outcome,
    PoolSettings,
    RefusedForGood,
    Retry,
    Unknown,
)
from stagewheel.server.channels.file_store import File
from stagewheel.server.channels.provider import Answer, Content, Provider, check_url, reason
from stagewheel.server.channels.providers import ProviderPool
from stagewheel.server.channels.secrets import read_secret
from stagewheel.server.limits import CHAT_FILES_BYTES_MAX, CHAT_PARTS_MAX, CHATS_UNDER_WAY_MAX
from stagewheel.server.rules.chat_doc import ChatContent

TEXT_MAX: Final = 4_096  # UTF-16 units, as Telegram's clients count
TOKEN: Final = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{30,100}")
USERNAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{3,31}")
BOT: Final = frozenset({401, 404})
CAPTION_MAX: Final = 1_024
AFTER_MS_MAX: Final = 86_400_000


class TelegramSettings(
    ProviderPool, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="telegram", tag_field="kind"
):
    """`kind = "telegram"`."""

    username: str = ""  # of the bot, without @: an invitation's link leads to it
    token_env: str = ""
    token_file: str = ""
    silent: bool = False  # without a sound
    protect: bool = False  # can't be forwarded or saved
    base_url: str = "https://api.telegram.org"

    def check(self, where: str) -> None:
        """Raises `OperatorError`."""
        check_url(where, "base_url", self.base_url)
        if self.username and not USERNAME.fullmatch(self.username):
            raise OperatorError(f"{where}: username is the bot's name without @, such as shop_bot")
        token = self._token(where)
        if not token:
            raise OperatorError(f"{where}: a token is needed; name token_env or token_file")
        if not TOKEN.fullmatch(token):
            raise OperatorError(f"{where}: the token is none: a bot's token looks like 123456:ABC…")

    def open(self, name: str, where: str, pool: PoolSettings) -> Provider:
        """Ready to send. Raises `OperatorError`."""
        self.check(where)
        return Telegram(name, self, self._token(where), pool)

    def _token(self, where: str) -> str:
        return read_secret(where, "token", self.token_env, self.token_file)


class Part(Struct, frozen=True):
    """One request of a message."""

    method: str
    fields: dict[str, Any]
    file: File | None = None


class Telegram:
    """One bot."""

    def __init__(self, name: str, settings: TelegramSettings, token: str, pool: PoolSettings) -> None:
        self._name, self._settings = name, settings
        self._url = f"{settings.base_url.rstrip('/')}/bot{token}/"
        self._out: OrderedDict[str, list[str]] = OrderedDict()  # key -> message ids of the parts that are out
        # Loaded here, so that a process that only reads settings loads no HTTP library.
        from stagewheel.server.channels.connections import Connections
        from stagewheel.server.channels.multipart import multipart

        self._connections, self._multipart = Connections(name, pool), multipart

    async def send(self, content: Content, delivery: Delivery) -> Outcome:
        """Send what is not out yet of a message."""
        if not isinstance(content, ChatContent):
            return RefusedForGood(f"{self._name} takes messages of chats only")
        files = await fetch(content.files, delivery.files, CHAT_FILES_BYTES_MAX)
        if not isinstance(files, list):
            return files
        parts = self._parts(content, files)
        if isinstance(parts, RefusedForGood):
            return parts
        out = self._out.pop(delivery.key, [])
        for part in parts[len(out) :]:
            outcome = await self._ask(part)
            if not isinstance(outcome, str):
                self._remember(delivery.key, out)
                return outcome
            out.append(outcome)
        detail: dict[str, Any] = {"address": content.to, "provider": self._name, "status": "sent"}
        names = [one.view.name for one in files]
        return Delivered(detail | {"message_id": out[-1], "messages": out, "files": names})

    async def _ask(self, part: Part) -> str | Outcome:
        """The id of the message, or why there is none."""
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        body = b""
        if part.file is None:
            body = msgspec.json.encode(part.fields)
        else:
            fields = {name: _form_text(value) for name, value in part.fields.items()}
            headers["Content-Type"], body = self._multipart(fields, "document", [part.file])
        answer = await self._connections.ask("POST", self._url + part.method, headers, body)
        return _outcome(self._name, answer) if isinstance(answer, Answer) else answer

    def _parts(self, content: ChatContent, files: list[File]) -> list[Part] | RefusedForGood:
        if content.html and units(content.text) > TEXT_MAX:
            return RefusedForGood(f"a message as HTML has at most {TEXT_MAX} characters")
        # Looked at before it is cut: what that costs grows with the square of the length.
        is_short = units(content.text) <= CHAT_PARTS_MAX * TEXT_MAX
        texts = cut(content.text, TEXT_MAX) if is_short else []
        if not is_short or len(texts) > CHAT_PARTS_MAX:
            return RefusedForGood(f"the message is longer than {CHAT_PARTS_MAX} of {TEXT_MAX} characters")
        common: dict[str, Any] = {"chat_id": int(content.to) if _is_number(content.to) else content.to}
        if self._settings.silent:
            common["disable_notification"] = True
        if self._settings.protect:
            common["protect_content"] = True
        if content.html:
            common["parse_mode"] = "HTML"
        documents = [dict(common) for _ in files]
        if documents and len(texts) == 1 and units(texts[0]) <= CAPTION_MAX:
            documents[0]["caption"] = texts.pop()
        parts = [Part("sendMessage", {**common, "text": text}) for text in texts]
        parts += [Part("sendDocument", one, file) for one, file in zip(documents, files, strict=True)]
        return parts or RefusedForGood("the message is empty")

    def _remember(self, key: str, out: list[str]) -> None:
        if out:
            self._out[key] = out
            if len(self._out) > CHATS_UNDER_WAY_MAX:
                self._out.popitem(last=False)

    async def aclose(self) -> None:
        """Close its connections."""
        await self._connections.aclose()


def _outcome(name: str, answer: Answer) -> str | Outcome:
    """What Telegram's answer comes to; the id of a message that was taken."""
    status, body = answer.status, answer.body if isinstance(answer.body, dict) else {}
    result = body.get("result")
    if 200 <= status < 300:
        return str(result.get("message_id", "")) if isinstance(result, dict) else ""
    why = reason(name, status, str(body.get("description") or answer.phrase))
    if status in BOT:
        return Retry(why, answer.after_ms, provider=True)
    if status == 429:
        return Retry(why, _after_ms(body) or answer.after_ms)
    return Unknown(why) if status >= 500 else RefusedForGood(why)


def _after_ms(body: dict[str, Any]) -> int | None:
    parameters = body.get("parameters")
    after_s = parameters.get("retry_after") if isinstance(parameters, dict) else None
    return min(after_s * 1000, AFTER_MS_MAX) if isinstance(after_s, int) and after_s > 0 else None


def _form_text(value: Any) -> str:
    """A value as a field of a form has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and text.isascii()


def units(text: str) -> int:
    """Its length as Telegram counts: UTF-16."""
    return len(text) + sum(char > "\uffff" for char in text)


def cut(text: str, units_max: int) -> list[str]:
    """A text in pieces of at most so many units, cut behind a line, else behind a word, else anywhere."""
    pieces: list[str] = []
    rest = text.strip()
    while units(rest) > units_max:
        head = _head(rest, units_max)
        at = max(head.rfind("\n"), 0) or max(head.rfind(" "), 0) or len(head)
        pieces.append(rest[:at].rstrip())
        rest = rest[at:].lstrip()
    return [*pieces, rest] if rest else pieces


def _head(text: str, units_max: int) -> str:
    """The longest beginning of so many units."""
    room = 0
    for at, char in enumerate(text):
        room += 2 if char > "\uffff" else 1
        if room > units_max:
            return text[:at]
    return text
