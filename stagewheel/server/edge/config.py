"""What the edge is told: `[edge]` of the server's configuration, checked once at start.

Laws: an unknown setting is refused; an error names the section and the setting. No secret stands in it: each
names an environment variable or a file. Without `[edge]` there is no edge; a route that is not configured
does not exist.
"""

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from stagewheel.errors import OperatorError
from stagewheel.server.core.events import EVENTS, FIELD_CHANGED, RESPONSIBLE_CHANGED
from stagewheel.server.edge.config_phone import TextsConfig, VoiceConfig, phone_secrets
from stagewheel.server.edge.picks import read_pick
from stagewheel.server.edge.secrets import KEY_BYTES_MIN, read_secret
from stagewheel.server.limits import EDGE_BODY_BYTES_MAX, EDGE_RATE_PER_MINUTE_MAX, EDGE_ROUTES_MAX, KIB

Rate = Annotated[int, Meta(ge=1, le=EDGE_RATE_PER_MINUTE_MAX)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
FORM_EVENTS: Final = ("form_submitted", "callback_form")
RAISABLE: Final = tuple(name for name in EVENTS if name not in (FIELD_CHANGED, RESPONSIBLE_CHANGED))
KINDS: Final = ("text", "number", "boolean")
VISIT: Final = "visit"  # what an item's or contact's key is signed for in a link
CHAT_PARTS: Final = ("chat", "text", "sender", "message", "files", "start")
CLIENT_PARTS: Final = ("name", "email", "phone")


class HookConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """[edge.hooks.NAME]: `POST /hooks/NAME` becomes an event of one item."""

    item: str  # where the item's key stands: body.order.deal, query.deal
    item_prefix: str = ""  # put before it: "deal:"
    token_env: str = ""
    token_file: str = ""
    on: str = "webhook"
    code: str = ""  # of the event; empty: the hook's name
    payload: dict[str, str] = {}  # name -> where its value stands; empty: the whole body


class FormConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """[edge.forms.NAME]: `POST /forms/NAME` becomes an event of an item that a signed field names, or of the
    contact with the posted e-mail address.
    """

    origins: tuple[str, ...]  # of the pages that may post it; "*": any, and programs without a page
    on: str = "form_submitted"
    form: str = ""  # the event's code; empty: the section's name
    item_field: str = ""  # the posted field with the signed key of an item
    fields: dict[str, str] = {}  # posted field -> client.email, item.size:number, payload.note
    required: tuple[str, ...] = ()  # posted fields that must not be empty
    honeypot: str = ""  # a field that people don't see; what fills it is a program
    redirect: str = ""  # where a browser goes afterwards


class TelegramConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """[edge.telegram.NAME]: `POST /telegram/NAME`, the webhook of a bot; the secret is the one it was set
    with.
    """

    secret_env: str = ""
    secret_file: str = ""


class ChatConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """[edge.chats.NAME]: `POST /chats/NAME`, messages of another provider of chats, and where their parts
    stand.
    """

    token_env: str = ""
    token_file: str = ""
    chat: str = "body.chat"
    text: str = "body.text"
    sender: str = "body.from"
    message: str = "body.message"
    files: str = "body.files"
    start: str = "body.start"


class EventsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """[edge.events]: `POST /events` for integrations."""

    token_env: str = ""
    token_file: str = ""
    types: tuple[str, ...] = ()  # that may be raised; empty: all


class VisitsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """[edge.visits]: the pixel `GET /v.gif`."""

    cookie_days: Annotated[int, Meta(ge=1, le=400)] = 180
    cookie_secure: bool = True
    cookie_same_site: Literal["lax", "none", "strict"] = "lax"
    returning_after_m: Annotated[int, Meta(ge=1)] = 30  # without a page, and the next one is a return


class EdgeConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """[edge]."""

    listen: str = "127.0.0.1:7480"
    public_url: str = ""  # where browsers reach the edge, as in https://edge.shop.example; empty: no links
    trusted_proxies: tuple[str, ...] = ()  # addresses whose X-Forwarded-For counts
    body_bytes_max: Annotated[int, Meta(ge=KIB, le=EDGE_BODY_BYTES_MAX)] = 64 * KIB
    rate_per_minute: Rate = 120  # of one address, without a token
    burst: Rate = 60
    token_rate_per_minute: Rate = 6_000  # of one address, with a right token
    token_burst: Rate = 1_000
    answer_timeout_s: Annotated[float, Meta(ge=0.1, le=60)] = 10.0
    signing_key_env: str = ""
    signing_key_file: str = ""
    metrics_token_env: str = ""
    metrics_token_file: str = ""
    hooks: dict[Name, HookConfig] = {}
    forms: dict[Name, FormConfig] = {}
    telegram: dict[Name, TelegramConfig] = {}
    chats: dict[Name, ChatConfig] = {}
    voice: dict[Name, VoiceConfig] = {}
    texts: dict[Name, TextsConfig] = {}
    events: EventsConfig | None = None
    visits: VisitsConfig | None = None


class Secrets(Struct, frozen=True):
    """What the settings lead to; empty where nothing is set. They live in the edge's process alone, but
    for the key, with which sender processes sign links.
    """

    signing_key: bytes
    metrics_token: bytes
    events_token: bytes
    hooks: Mapping[str, bytes]
    telegram: Mapping[str, bytes] = {}
    chats: Mapping[str, bytes] = {}
    voice: Mapping[str, bytes] = {}
    texts: Mapping[str, bytes] = {}

    def __repr__(self) -> str:
        return "Secrets(…)"


class Target(Struct, frozen=True):
    """Where a posted field goes: `item.size:number`."""

    part: str  # item | client | payload
    name: str
    kind: str = "text"


def purpose_of(form: str) -> str:
    """What an item's key is signed for in a hidden field of this form."""
    return f"form:{form}"


def check(config: EdgeConfig) -> Secrets:
    """The secrets of a configuration that can work. Raises OperatorError, which names section and setting."""
    listen_address(config.listen)
    _check_public_url(config.public_url)
    for address in config.trusted_proxies:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise OperatorError(f"edge.trusted_proxies: {address!r} is no IP address") from None
    for name, count in (
        ("hooks", len(config.hooks)),
        ("forms", len(config.forms)),
        ("telegram", len(config.telegram)),
        ("chats", len(config.chats)),
        ("voice", len(config.voice)),
        ("texts", len(config.texts)),
    ):
        if count > EDGE_ROUTES_MAX:
            raise OperatorError(f"edge.{name}: at most {EDGE_ROUTES_MAX}")
    for name, hook in config.hooks.items():
        _check_hook(f"edge.hooks.{name}", hook)
    for name, chat in config.chats.items():
        paths = {part: getattr(chat, part) for part in CHAT_PARTS}
        _check_picks(f"edge.chats.{name}", {part: at for part, at in paths.items() if at or part == "chat"})
    for name, form in config.forms.items():
        _check_form(f"edge.forms.{name}", form)
    if config.events is not None:
        _check_types("edge.events.types", config.events.types, RAISABLE)
    visits = config.visits
    if visits is not None and visits.cookie_same_site == "none" and not visits.cookie_secure:
        raise OperatorError("edge.visits.cookie_same_site: browsers take 'none' only with cookie_secure")
    return _secrets(config)


def _secrets(config: EdgeConfig) -> Secrets:
    signs = config.visits is not None or any(form.item_field for form in config.forms.values())
    key = metrics = events = b""
    if signs or config.public_url or config.signing_key_env or config.signing_key_file:
        key = read_signing_key(config)
    if config.metrics_token_env or config.metrics_token_file:
        metrics = read_secret("edge", "metrics_token", config.metrics_token_env, config.metrics_token_file)
    if config.events is not None:
        events = read_secret("edge.events", "token", config.events.token_env, config.events.token_file)
    hooks = {
        name: read_secret(f"edge.hooks.{name}", "token", hook.token_env, hook.token_file)
        for name, hook in config.hooks.items()
    }
    telegram = {
        name: read_secret(f"edge.telegram.{name}", "secret", one.secret_env, one.secret_file)
        for name, one in config.telegram.items()
    }
    chats = {
        name: read_secret(f"edge.chats.{name}", "token", one.token_env, one.token_file)
        for name, one in config.chats.items()
    }
    voice, texts = phone_secrets(config.public_url, config.voice, config.texts)
    return Secrets(key, metrics, events, hooks, telegram, chats, voice, texts)


def read_signing_key(config: EdgeConfig) -> bytes:
    """What links are signed with. Raises OperatorError."""
    return read_secret("edge", "signing_key", config.signing_key_env, config.signing_key_file, KEY_BYTES_MIN)


def _check_public_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isascii()
        good = good and not (parts.query or parts.fragment or parts.username or parts.port == 0)
    except ValueError:
        good = False
    if url and (not good or " " in url):
        raise OperatorError(
            f"edge.public_url: {url!r}: write where browsers reach the edge, such as https://edge.shop.example"
        )


def _check_hook(where: str, hook: HookConfig) -> None:
    _check_types(f"{where}.on", [hook.on], RAISABLE)
    _check_picks(where, {"item": hook.item} | {f"payload.{name}": at for name, at in hook.payload.items()})


def _check_picks(where: str, paths: Mapping[str, str]) -> None:
    for setting, path in paths.items():
        try:
            read_pick(path)
        except ValueError as error:
            raise OperatorError(f"{where}.{setting}: {error}") from None


def _check_form(where: str, form: FormConfig) -> None:
    _check_types(f"{where}.on", [form.on], FORM_EVENTS)
    if not form.origins:
        raise OperatorError(
            f'{where}.origins: name the pages that may post it, such as "https://shop.example"'
        )
    for origin in form.origins:
        parts = urlsplit(origin)
        if origin != "*" and f"{parts.scheme}://{parts.netloc}" != origin:
            raise OperatorError(f'{where}.origins: {origin!r} is no origin such as "https://shop.example"')
    targets = [read_target(f"{where}.fields.{name}", to) for name, to in form.fields.items()]
    if not form.item_field and not any(one.part == "client" and one.name == "email" for one in targets):
        raise OperatorError(
            f"{where}: whose form is it? Set item_field, or a field whose target is client.email"
        )
    taken = [name for name in (form.item_field, form.honeypot) if name and name in form.fields]
    if taken:
        raise OperatorError(f"{where}.fields.{taken[0]}: this field has its own purpose")
    if form.redirect and urlsplit(form.redirect).scheme not in ("http", "https"):
        raise OperatorError(f"{where}.redirect: write a whole address, https://…")


def _check_types(where: str, types: tuple[str, ...] | list[str], known: tuple[str, ...]) -> None:
    for one in types:
        if one not in known:
            raise OperatorError(f"{where}: {one!r} can't be raised here; use one of {', '.join(known)}")


def read_target(where: str, text: str) -> Target:
    """Raises OperatorError, which begins with `where`."""
    path, _, kind = text.partition(":")
    part, _, name = path.partition(".")
    kind = kind or "text"
    if kind not in KINDS:
        raise OperatorError(f"{where}: {kind!r} is none of {', '.join(KINDS)}")
    if not name or part not in ("item", "client", "payload"):
        raise OperatorError(f"{where}: write item.FIELD, client.email or payload.NAME")
    if part == "client" and (name not in CLIENT_PARTS or kind != "text"):
        raise OperatorError(f"{where}: of a client there are {', '.join(CLIENT_PARTS)}, which are text")
    if (part, name) == ("payload", "client"):
        raise OperatorError(f"{where}: 'client' of a payload is made of the client's parts")
    return Target(part, name, kind)


def listen_address(listen: str) -> tuple[str, int]:
    """Host and port. Raises OperatorError."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    try:
        ipaddress.ip_address(host)
        number = int(port)
    except ValueError:
        number = -1
    if not 0 <= number <= 65_535:
        raise OperatorError(f"edge.listen: {listen!r}: write ADDRESS:PORT, such as 127.0.0.1:7480")
    return host, number
