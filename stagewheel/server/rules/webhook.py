"""Webhooks of the document, as plans (H6)."""

import re
from typing import Final

from stagewheel.server.core.plan_actions import ActionPlan, Value
from stagewheel.server.rules.channel_plan import channel_plan
from stagewheel.server.rules.channels_doc import WebhookDocument
from stagewheel.server.rules.document_actions import WebhookDoc
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
    headers: dict[str, Made] = {}
    for name, text in doc.headers.items():
        if not HEADER_NAME.fullmatch(name):
            where.work.log.mistake(where.place / "headers" / name, f"{shown(name)} is no name of a header")
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
