"""Webhooks of the document, as plans (H6).

Laws: the host is written out, so that no field of an item chooses where its data goes. `sign` and `auth` name
secrets of the server's configuration; a ruleset holds none.
"""

import re
from typing import Final

from stagewheel.server.core.plan_actions import ActionPlan, Value
from stagewheel.server.rules.channel_plan import channel_plan
from stagewheel.server.rules.channels_doc import PROVIDER_NAME, SECRETS, WebhookDocument
from stagewheel.server.rules.document_actions import WebhookDoc
from stagewheel.server.rules.mistakes import nearest
from stagewheel.server.rules.reader import shown
from stagewheel.server.rules.templates import Made
from stagewheel.server.rules.where import Where

LITERAL_HOST: Final = re.compile(r"https?://[^/\s{}@?#]+([/?#].*)?", re.DOTALL)
HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")


def webhook(doc: WebhookDoc, where: Where) -> ActionPlan:
    roots: set[str] = set()
    if not LITERAL_HOST.fullmatch(doc.url):
        where.mistake(
            "url",
            "expected an address that begins with http:// or https:// and a host that is written out; "
            "templates may stand behind the host",
        )
    if doc.body is not None and doc.json is not None:
        where.mistake("json", "a request has 'body' or 'json', not both")
    if (doc.body is not None or doc.json is not None) and doc.method == "GET":
        where.mistake("method", "a GET has no body; put what it asks for into the url")
    for key, name in (("sign", doc.sign), ("auth", doc.auth)):
        _check_secret(key, name, where)
    headers: dict[str, Made] = {}
    for name, text in doc.headers.items():
        if not HEADER_NAME.fullmatch(name):
            where.work.log.mistake(where.place / "headers" / name, f"{shown(name)} is no name of a header")
        if doc.auth and name.lower() == "authorization":
            where.work.log.mistake(where.place / "headers" / name, "'auth' makes this header")
        headers[name] = where.work.templates.sent(text, where.place / "headers" / name, where.names)
        roots.update(headers[name].roots)
    json: Value | None = None
    if doc.json is not None:
        json, more = where.work.templates.sent_value(doc.json, where.place / "json", where.names)
        roots.update(more)
    body: Made | None = None
    if doc.body is not None:
        body = where.work.templates.sent_body(doc.body, where.place / "body", where.names)
        roots.update(body.roots)
    url = where.work.templates.sent(doc.url, where.place / "url", where.names)
    roots.update(url.roots)
    document = WebhookDocument(
        method=doc.method,
        url=url.text,
        headers={name: made.text for name, made in headers.items()},
        body=body.text if body is not None else None,
        json=json,
        sign=doc.sign,
        auth=doc.auth,
    )
    return channel_plan(
        "webhook",
        document,
        roots,
        where,
        expires=doc.expires,
        on_unknown=doc.on_unknown,
        to_client=False,
        hours=doc.hours,
    )


def _check_secret(key: str, name: str, where: Where) -> None:
    """A mistake for what can't be the name of a secret, or is none of the server that the ruleset is for."""
    if not name:
        return
    if not PROVIDER_NAME.fullmatch(name):
        where.mistake(
            key, f"'{key}' is the name of a secret of the server's configuration, not the secret itself"
        )
        return
    known = where.work.served.get(SECRETS) if where.work.served is not None else None
    if known is not None and name not in known:
        hint = nearest(name, known) or f"; configure [channels.webhook.secrets.{name}]"
        where.mistake(key, f"the server has no secret '{name}' for webhooks{hint}")
