"""A server with an HTTP edge that the tests share, each with items and under an address of its own."""

import ssl
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest

from stagewheel.client.blocking import Client
from stagewheel.server.channels.email import EmailSettings
from stagewheel.server.channels.gateway import GatewaySettings
from stagewheel.server.channels.phone import CallSettings, SmsSettings
from stagewheel.server.channels.twilio import TwilioSettings
from stagewheel.server.edge.config import EdgeConfig, EventsConfig, FormConfig, HookConfig, VisitsConfig
from stagewheel.server.edge.config_phone import TextsConfig, VoiceConfig
from stagewheel.server.senders.config import ChannelsConfig
from tests.server.harness import Served

KEY = "a signing key of more than thirty-two bytes"
HOOK_TOKEN = "hook-token-of-the-tests"
EVENTS_TOKEN = "events-token-of-the-tests"
METRICS_TOKEN = "metrics-token-of-the-tests"
TWILIO_TOKEN = "twilio-token-of-the-tests"
SHOP = "https://shop.example"
BURST = 8
NO_TLS = ssl.SSLContext(
    ssl.PROTOCOL_TLS_CLIENT
)  # made once: reading the certificates takes longer than a test
ENVIRONMENT = {
    "EDGE_KEY": KEY,
    "EDGE_HOOK": HOOK_TOKEN,
    "EDGE_EVENTS": EVENTS_TOKEN,
    "EDGE_METRICS": METRICS_TOKEN,
    "EDGE_TWILIO": TWILIO_TOKEN,
}

RULES = """
ruleset: shop
entities: {deal: {fields: {size: number, urgent: boolean, note: text}}}
sources:
  brief: {on: form_submitted, form: lead, on_unmatched: create, pipeline: deals, source: web,
          title: "From {{ trigger.name }}"}
pipelines:
  deals:
    entity: deal
    stages:
      - id: new
      - id: visited
        triggers: [{id: looked, on: site_visit, page: /pricing}]
      - id: back
        triggers: [{id: returned, on: returning_visitor, page: /pricing}]
      - id: called
        triggers: [{id: call, on: callback_form, form: call}, {id: rang, on: call_missed, line: "+100"}]
      - id: briefed
        triggers: [{id: form, on: form_submitted, form: brief, when: {size: {gt: 10}}}]
      - id: calling
        rules:
          - {id: ring, action: {do: call, say: {text: Hello}}}
          - {id: after, after_previous: true, action: {do: add_history, text: answered}}
      - id: gating
        rules: [{id: gate, action: {do: call, say: {text: Hello}, provider: gate}}]
      - id: unreached
        triggers: [{id: failed, on: sms_failed, rule: remind, when: {trigger.error_code: {is: "30003"}}}]
      - id: paid
        triggers: [{id: payment, on: webhook, code: payments, when: {trigger.amount: {gt: 99}}}]
"""

CONFIG = EdgeConfig(
    listen="127.0.0.1:0",
    public_url="https://edge.shop.example",
    trusted_proxies=("127.0.0.1",),
    body_bytes_max=4_096,
    rate_per_minute=1,
    burst=BURST,
    signing_key_env="EDGE_KEY",
    metrics_token_env="EDGE_METRICS",
    hooks={
        "payments": HookConfig(
            "body.order.deal", "deal:", token_env="EDGE_HOOK", payload={"amount": "body.sum"}
        ),
        "calls": HookConfig("query.deal", token_env="EDGE_HOOK", on="call_missed", code="+100"),
    },
    forms={
        "brief": FormConfig(
            (SHOP,),
            item_field="ticket",
            fields={"size": "item.size:number", "urgent": "item.urgent:boolean", "why": "payload.why"},
            required=("size",),
            honeypot="website",
            redirect="https://shop.example/thanks",
        ),
        "lead": FormConfig(
            (SHOP, "https://www.shop.example"),
            fields={
                "email": "client.email",
                "who": "client.name",
                "name": "payload.name",
                "size": "item.size:number",
            },
        ),
        "call": FormConfig(("*",), on="callback_form", item_field="ticket"),
    },
    events=EventsConfig(token_env="EDGE_EVENTS"),
    visits=VisitsConfig(cookie_secure=False),
    voice={
        "desk": VoiceConfig(
            token_env="EDGE_TWILIO",
            answer="forward",
            forward_to="+390655500177",
            ring_s=25,
            text="Call <later>",
        ),
        "closed": VoiceConfig(token_env="EDGE_TWILIO", line="night"),
        "tape": VoiceConfig(
            token_env="EDGE_TWILIO", answer="say", text="Write us", language="en-GB", voice="alice"
        ),
    },
    texts={"line": TextsConfig(token_env="EDGE_TWILIO", stop_reply="No more", start_reply="Again")},
)


TWILIO = TwilioSettings(account="AC" + "0" * 32, token_env="EDGE_TWILIO", from_number="+390655500199")
GATE = GatewaySettings(
    url="https://gate.example/calls",
    callback_status="call.state",
    callback_done=("answered", "voicemail"),
    callback_failed=("busy", "lost"),
    callback_error="call.why",
)


def channels(folder: Path) -> ChannelsConfig:
    """Providers whose call-backs come to the edge."""
    return ChannelsConfig(
        email=EmailSettings(spool=str(folder / "spool")),
        sms=SmsSettings(providers={"main": TWILIO}),
        call=CallSettings(provider="main", providers={"main": TWILIO, "gate": GATE}),
    )


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with every route and the rules above."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in ENVIRONMENT.items():
            environment.setenv(name, value)
        folder = tmp_path_factory.mktemp("edge")
        with Served(folder, senders=0, edge=CONFIG, channels=channels(folder)) as served:
            served.wait_ready("edge-0")
            with served.client() as client:
                client.put_ruleset("shop", {"rules.yaml": RULES})
            yield served


@pytest.fixture(scope="module")  # so that a module may have another server
def client(served: Served) -> Iterator[Client]:
    """To look at what became of a request."""
    with served.client() as client:
        yield client


@pytest.fixture(scope="session")
def addresses() -> Iterator[int]:
    """Numbers of the addresses that requests come from."""
    return count(1)


@pytest.fixture
def web(served: Served, addresses: Iterator[int]) -> Iterator[httpx.Client]:
    """Somebody in the web, who asks from an address of his own through our proxy."""
    above, below = divmod(next(addresses), 250)
    headers = {"X-Forwarded-For": f"198.51.{100 + above}.{1 + below}"}
    with httpx.Client(base_url=served.edge, headers=headers, timeout=30, verify=NO_TLS) as web:
        yield web
