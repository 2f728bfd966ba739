"""Text messages and calls over any HTTP interface, described in the configuration: what is asked, and how the
answer is to be read.

Laws: templates are those of rules, in the same sandbox; a value in the URL is quoted, one in a header is one
line, one in `json` or `form` is encoded as a whole, so that no number or text can become a second field. By
default 2xx is taken, 408, 425, 429 and 503 were not processed, of another 5xx nobody knows, and every other
answer refuses for good.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlencode

import msgspec
from msgspec import field

from stagewheel.errors import OperatorError
from stagewheel.server.channels.attachments import fetch
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
from stagewheel.server.channels.file_store import File
from stagewheel.server.channels.provider import (
    Answer,
    Content,
    Provider,
    at_path,
    check_url,
    reason,
)
from stagewheel.server.channels.providers import ProviderPool
from stagewheel.server.channels.secrets import read_secret
from stagewheel.server.channels.statuses import Callbacks, GatewayStatuses, awaited
from stagewheel.server.limits import CHAT_FILES_BYTES_MAX
from stagewheel.server.rules.chat_doc import ChatContent
from stagewheel.server.rules.phone_doc import SmsContent

if TYPE_CHECKING:
    from jinja2 import Template


class GatewaySettings(
    ProviderPool, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="http", tag_field="kind"
):
    """`kind = "http"`. In templates: `to`, `text`, `from`, `say`, `play`, `key`, `item`, `rule`, `secret`,
    `callback`.
    """

    url: str
    method: Literal["GET", "POST", "PUT", "PATCH"] = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""  # a template; or one of these two, whose texts are templates:
    json: dict[str, Any] = field(default_factory=dict)
    form: dict[str, str] = field(default_factory=dict)
    file_field: str = ""  # of chats: the field of `form` that carries each attachment
    key_header: str = ""  # the header that carries the idempotency key
    secret_env: str = ""
    secret_file: str = ""
    from_number: str = ""  # where the rule gives none
    taken: tuple[int, ...] = ()  # statuses; empty: 2xx
    retry: tuple[int, ...] = (408, 425, 429, 503)
    unknown: tuple[int, ...] = ()  # besides every other 5xx
    id: str = ""  # where in the JSON of the answer the id stands: message.id
    error: str = ""  # where it says what is wrong
    state: str = ""  # where it says whether it was taken, if the status alone does not
    states: tuple[str, ...] = ()  # and what it says there if so

    callback_status: str = ""  # where a call-back to `{{ callback }}` says what became of it
    callback_done: tuple[str, ...] = ()  # what it says there when it arrived or was answered
    callback_failed: tuple[str, ...] = ()  # and when it did not
    callback_error: str = ""  # where it says why
    answer_wait_s: Seconds = 3_600.0  # a call whose end was not told by then has failed

    def check(self, where: str) -> None:
        """Raises `OperatorError`."""
        if bool(self.callback_status) != bool(self.callback_done and self.callback_failed):
            raise OperatorError(
                f"{where}: callback_status, callback_done and callback_failed belong together"
            )
        check_url(where, "url", self.url.partition("{{")[0])
        if sum(map(bool, (self.body, self.json, self.form))) > 1:
            raise OperatorError(f"{where}: one of body, json and form")
        if self.file_field and not self.form:
            raise OperatorError(f"{where}: file_field goes with form: files are fields of a form")
        if bool(self.state) != bool(self.states):
            raise OperatorError(f"{where}: state and states belong together")
        self.templates(where)
        self.secret(where)

    def open(self, name: str, where: str, pool: PoolSettings, callbacks: Callbacks | None = None) -> Provider:
        """Ready to send. Raises `OperatorError`."""
        self.check(where)
        told = callbacks if self.callback_status else None
        return Gateway(name, self, self.templates(where), self.secret(where), pool, told)

    def statuses(self, where: str) -> GatewayStatuses | None:
        """How what it tells is read; None if it tells nothing."""
        if not self.callback_status:
            return None
        return GatewayStatuses(
            self.callback_status, self.callback_done, self.callback_failed, self.callback_error
        )

    def secret(self, where: str) -> str:
        """Its secret. Raises `OperatorError`."""
        return read_secret(where, "secret", self.secret_env, self.secret_file)

    def templates(self, where: str) -> "dict[str, Template]":
        """Every text that may hold a template, compiled. Raises `OperatorError`."""
        # Loaded here, so that a process that only reads settings loads no templates.
        from jinja2 import TemplateError

        from stagewheel.server.rules.sandbox import Sandbox, allowed

        sandbox, made = Sandbox({}), {}
        for text in [self.url, self.body, *self.headers.values(), *self.form.values(), *_texts(self.json)]:
            try:
                tree = sandbox.parse(text)
                allowed(tree, strict=True)
                made[text] = sandbox.from_string(tree)
            except TemplateError as error:
                raise OperatorError(f"{where}: a template is wrong: {error.message}") from None
        return made


class Gateway:
    """One interface."""

    def __init__(
        self,
        name: str,
        settings: GatewaySettings,
        made: "dict[str, Template]",
        secret: str,
        pool: PoolSettings,
        callbacks: Callbacks | None = None,
    ) -> None:
        self._name, self._settings, self._made, self._secret = name, settings, made, secret
        self._callbacks = callbacks
        # Loaded here, so that a process that only reads settings loads no HTTP library.
        from stagewheel.server.channels.connections import Connections
        from stagewheel.server.channels.multipart import multipart

        self._connections, self._multipart = Connections(name, pool), multipart

    async def send(self, content: Content, delivery: Delivery) -> Outcome:
        """One request."""
        settings, values = self._settings, self._values(content, delivery)
        files: list[File] = []
        if isinstance(content, ChatContent) and content.files:
            if not settings.file_field:
                return RefusedForGood(f"{self._name} takes no files: its section has no file_field")
            found = await fetch(content.files, delivery.files, CHAT_FILES_BYTES_MAX)
            if not isinstance(found, list):
                return found
            files = found
        try:
            url = self._text(settings.url, _quoted(values))
            headers = {name: " ".join(self._text(v, values).split()) for name, v in settings.headers.items()}
            body = self._body(headers, values, files)
        except Exception:  # whatever a template of the configuration meets
            return RefusedForGood(f"a template of {self._name} fails on this message")
        if settings.key_header:
            headers[settings.key_header] = delivery.key
        answer = await self._connections.ask(settings.method, url, headers, body)
        if not isinstance(answer, Answer):
            return answer
        ended = self._outcome(answer, content.to)
        return ended if self._callbacks is None else awaited(content, ended, settings.answer_wait_s)

    async def aclose(self) -> None:
        """Close its connections."""
        await self._connections.aclose()

    def _values(self, content: Content, delivery: Delivery) -> dict[str, Any]:
        values: dict[str, Any] = {"to": content.to, "key": delivery.key, "item": delivery.item}
        values |= {"rule": delivery.rule, "secret": self._secret, "from": self._settings.from_number}
        values["callback"] = self._callbacks.url(content, delivery) if self._callbacks is not None else ""
        if isinstance(content, SmsContent):
            return values | {"text": content.text}
        if isinstance(content, ChatContent):
            return values | {"text": content.text, "html": content.html, "by": content.by}
        say = msgspec.to_builtins(content.say) if content.say is not None else None
        origin = content.from_number or self._settings.from_number
        text = content.say.text if content.say is not None else ""
        return values | {"from": origin, "say": say, "play": content.play, "text": text}

    def _body(self, headers: dict[str, str], values: Mapping[str, Any], files: list[File]) -> bytes:
        settings = self._settings
        if files:
            fields = {name: self._text(v, values) for name, v in settings.form.items()}
            headers["Content-Type"], body = self._multipart(fields, settings.file_field, files)
            return body
        if settings.json:
            headers.setdefault("Content-Type", "application/json")
            return msgspec.json.encode(self._filled(settings.json, values))
        if settings.form:
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
            return urlencode({name: self._text(v, values) for name, v in settings.form.items()}).encode()
        return self._text(settings.body, values).encode()

    def _filled(self, raw: Any, values: Mapping[str, Any]) -> Any:
        if isinstance(raw, dict):
            return {name: self._filled(one, values) for name, one in raw.items()}
        if isinstance(raw, list):
            return [self._filled(one, values) for one in raw]
        return self._text(raw, values) if isinstance(raw, str) else raw

    def _text(self, template: str, values: Mapping[str, Any]) -> str:
        return self._made[template].render(values)

    def _outcome(self, answer: Answer, to: str) -> Outcome:
        settings, status = self._settings, answer.status
        said = at_path(answer.body, settings.error) if settings.error else None
        why = reason(self._name, status, str(said or answer.phrase))
        if status in settings.retry:
            return Retry(why, answer.after_ms, provider=status == 503)
        if status in settings.taken if settings.taken else 200 <= status < 300:
            state = at_path(answer.body, settings.state) if settings.state else None
            if settings.state and str(state) not in settings.states:
                return RefusedForGood(reason(self._name, status, str(said or state)))
            detail: dict[str, Any] = {"address": to, "provider": self._name, "status": state or status}
            return Delivered(
                detail | ({"message_id": at_path(answer.body, settings.id)} if settings.id else {})
            )
        return Unknown(why) if status >= 500 or status in settings.unknown else RefusedForGood(why)


def _quoted(values: Any) -> Any:
    """Every text as it may stand in a URL."""
    if isinstance(values, dict):
        return {name: _quoted(one) for name, one in values.items()}
    return quote(values, safe="") if isinstance(values, str) else values


def _texts(raw: Any) -> list[str]:
    """All texts in a value."""
    if isinstance(raw, str):
        return [raw]
    below = raw.values() if isinstance(raw, dict) else raw if isinstance(raw, list) else ()
    return [text for one in below for text in _texts(one)]
