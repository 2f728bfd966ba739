"""Twilio's requests for calls and text messages over real HTTP: answers, events (G2, G16, G7)."""

from urllib.parse import urlencode
from xml.etree import ElementTree

import httpx
import pytest

from stagewheel.client.blocking import Client
from stagewheel.errors import OperatorError
from stagewheel.protocol.journal import ChatReceived, EventForwarded
from stagewheel.protocol.messages import Address, Client as Person
from stagewheel.server.channels.statuses import twilio_signature
from stagewheel.server.edge.config import EdgeConfig, check
from stagewheel.server.edge.config_phone import TextsConfig, VoiceConfig
from tests.edge.conftest import KEY, TWILIO_TOKEN

PUBLIC = "https://edge.shop.example"
LINE = "+390655500199"
RULES = """
ruleset: phones
entities: {talk: {fields: {}}}
sources:
  rang: {on: incoming_call, line: "+39 06 5550 0199", on_unmatched: create, pipeline: talks, source: phone,
         title: "Call of {{ client.name }}"}
  wrote: {on: chat_message, channel: line, on_unmatched: create, pipeline: talks, title: "{{ trigger.text }}"}
pipelines:
  talks:
    entity: talk
    stages:
      - id: new
      - id: rang
        triggers: [{id: in, on: incoming_call, line: "+39 06 5550 0199", allow_backwards: true}]
      - id: missed
        triggers: [{id: lost, on: call_missed, line: ["+39 06 5550 0199", night, tape]}]
      - id: called
        triggers:
          - {id: out, on: outgoing_call, line: "+390655500199", when: {trigger.status: {is: completed}}}
      - id: texted
        triggers: [{id: text, on: chat_message, channel: line, message: any}]
"""


@pytest.fixture(scope="module")
def phones(client: Client) -> Client:
    client.put_ruleset("phones", {"rules.yaml": RULES})
    return client


def ask(web: httpx.Client, path: str, fields: dict[str, str], token: str = TWILIO_TOKEN) -> httpx.Response:
    """As Twilio does it."""
    signature = twilio_signature(token, PUBLIC + path, list(fields.items()))
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
    return web.post(path, content=urlencode(fields), headers=headers)


def call(web: httpx.Client, path: str, sid: str, number: str, **fields: str) -> ElementTree.Element:
    """What the caller is answered, as XML."""
    given = {"CallSid": sid, "From": number, "To": LINE, "CallStatus": "ringing", "Direction": "inbound"}
    answer = ask(web, path, given | fields)
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/xml")
    return ElementTree.fromstring(answer.text)


def shape(answer: ElementTree.Element) -> list[tuple[str, dict[str, str], str]]:
    return [(one.tag, dict(one.attrib), one.text or "") for one in answer.iter()][1:]


def talk(client: Client, number: str, key: str) -> None:
    person = Person("Ada", phones=[Address(number)], key=f"contact:{number}")
    client.create_item(key, "talks", client=person)


def place(client: Client, key: str) -> str:
    view = client.item(key)
    assert view is not None
    return view.stage


def raised(client: Client, number: str) -> list[tuple[str, str]]:
    """What was an event of a number's contact, in order."""
    records = [did for _, record in client.timeline(f"contact:{number}") for did in record.did]
    return [(one.type, one.code) for one in records[::-1] if isinstance(one, EventForwarded)]


def test_an_incoming_call_is_an_event_of_its_caller_and_is_forwarded(
    web: httpx.Client, phones: Client
) -> None:
    """G2. Whom nobody knows is made a client with an item; the same request again does nothing twice."""
    for _ in range(2):
        answer = call(web, "/voice/desk?from=abroad", "CA1", "+390655500101", CallerName="Ada")
        end = f"{PUBLIC}/voice/desk/end"
        assert shape(answer) == [
            ("Dial", {"timeout": "25", "action": end, "method": "POST"}, ""),
            ("Number", {}, "+390655500177"),
        ]
    person = phones.client("contact:+390655500101")
    assert person is not None
    assert [one.address for one in person.client.phones] == ["+390655500101"]
    made = phones.item("talk:contact-+390655500101-1")
    assert made is not None
    assert (made.title, made.source) == ("Call of Ada", "phone")
    talk(phones, "+390655500102", "talk:2")
    call(web, "/voice/desk", "CA2", "+390655500102")
    assert place(phones, "talk:2") == "rang"


def test_a_call_that_nobody_took_is_missed_whoever_tells_it(web: httpx.Client, phones: Client) -> None:
    """G16. The end of the forwarding and the status of the call may both tell it: it counts once."""
    number = "+390655500103"
    talk(phones, number, "talk:3")
    call(web, "/voice/desk", "CA3", number)
    end = call(web, "/voice/desk/end", "CA3", number, DialCallStatus="no-answer", CallStatus="in-progress")
    assert shape(end) == [("Say", {}, "Call <later>")]
    given = {"CallSid": "CA3", "From": number, "To": LINE, "Direction": "inbound"}
    assert ask(web, "/voice/desk/status", given | {"CallStatus": "canceled"}).status_code == 204
    assert place(phones, "talk:3") == "missed"
    assert raised(phones, number) == [("incoming_call", LINE), ("call_missed", LINE)]


def test_a_call_that_was_taken_is_not_missed(web: httpx.Client, phones: Client) -> None:
    """G16. A call of which only the status is told (another application answered it) came in as well."""
    number = "+390655500104"
    talk(phones, number, "talk:4")
    end = call(web, "/voice/desk/end", "CA4", number, DialCallStatus="completed")
    assert shape(end) == [("Hangup", {}, "")]
    assert raised(phones, number) == []
    given = {"CallSid": "CA4", "From": number, "To": LINE, "Direction": "inbound"}
    assert ask(web, "/voice/desk/status", given | {"CallStatus": "ringing"}).status_code == 204
    assert raised(phones, number) == []
    assert ask(web, "/voice/desk/status", given | {"CallStatus": "completed"}).status_code == 204
    assert raised(phones, number) == [("incoming_call", LINE)]


def test_a_line_that_rejects_or_speaks_misses_every_call(web: httpx.Client, phones: Client) -> None:
    """G16. `line` is the section's."""
    talk(phones, "+390655500105", "talk:5")
    assert shape(call(web, "/voice/closed", "CA5", "+390655500105")) == [("Reject", {"reason": "busy"}, "")]
    assert place(phones, "talk:5") == "missed"
    assert raised(phones, "+390655500105") == [("incoming_call", "night"), ("call_missed", "night")]
    said = call(web, "/voice/tape", "CA6", "+390655500106")
    assert shape(said) == [("Say", {"voice": "alice", "language": "en-GB"}, "Write us")]


def test_a_call_that_somebody_of_ours_made_is_an_outgoing_call_of_its_client(
    web: httpx.Client, phones: Client
) -> None:
    """G16. The client is who was called, the line who called."""
    talk(phones, "+390655500107", "talk:7")
    given = {"CallSid": "CA7", "From": LINE, "To": "+390655500107", "Direction": "outbound-dial"}
    assert ask(web, "/voice/desk/status", given | {"CallStatus": "completed"}).status_code == 204
    assert place(phones, "talk:7") == "called"


def test_a_hidden_number_is_answered_and_is_no_event(web: httpx.Client, phones: Client) -> None:
    for number in ("anonymous", "+266696687", "sip:ada@example.com"):
        assert shape(call(web, "/voice/closed", "CA8", number))[0][0] == "Reject"
        assert phones.client(f"contact:{number}") is None


def test_who_is_not_twilio_is_refused(web: httpx.Client, phones: Client) -> None:
    number = "+390655500109"
    given = {"CallSid": "CA9", "From": number, "To": LINE, "CallStatus": "ringing", "MessageSid": "SM9"}
    for path in ("/voice/desk", "/voice/desk/end", "/voice/desk/status", "/texts/line", "/voice/none"):
        assert ask(web, path, given, token="another token of somebody").status_code == 403
    assert web.post("/texts/line", data=given).status_code == 403
    assert phones.client(f"contact:{number}") is None


def text(web: httpx.Client, sid: str, number: str, body: str, **more: str) -> str:
    answer = ask(web, "/texts/line", {"MessageSid": sid, "From": number, "To": LINE, "Body": body} | more)
    assert answer.status_code == 200
    return "".join(ElementTree.fromstring(answer.text).itertext())


def test_who_writes_stop_is_sent_no_text_messages_until_he_writes_start(
    web: httpx.Client, phones: Client
) -> None:
    """8.8 for text messages, and for the open channel of the same number."""
    number = "+390655500110"

    def kinds() -> list[tuple[str, str]]:
        found = [*phones.suppressed("sms", number), *phones.suppressed("chat", f"line:{number}")]
        return [(one.channel, one.kind) for one in found]

    assert text(web, "SM1", number, " Stop. ") == "No more"
    assert kinds() == [("sms", "unsubscribed"), ("chat", "unsubscribed")]
    assert text(web, "SM2", number, "START") == "Again"
    assert kinds() == []
    text(web, "SM3", number, "basta", OptOutType="STOP")
    assert kinds() == [("sms", "unsubscribed"), ("chat", "unsubscribed")]
    assert text(web, "SM4", number, "do not stop") == ""
    assert len(kinds()) == 2
    text(web, "SM5", number, "sì", OptOutType="START")
    assert kinds() == []


def test_any_other_text_is_a_message_of_an_open_channel(web: httpx.Client, phones: Client) -> None:
    """G7. Its contact is that of the number, as for calls; what comes again is taken once."""
    number = "+390655500111"
    talk(phones, number, "talk:11")
    for _ in range(2):
        assert text(web, "SM6", number, "How much?", NumMedia="1", MediaContentType0="image/png") == ""
    assert place(phones, "talk:11") == "texted"
    told = [d for _, r in phones.timeline("talk:11") for d in r.did if isinstance(d, ChatReceived)]
    assert [(one.chat, one.text, one.files) for one in told] == [(number, "How much?", ["image/png"])]
    text(web, "SM7", "+390655500112", "Hello")
    made = phones.item("talk:contact-+390655500112-1")
    assert made is not None
    assert made.title == "Hello"


@pytest.mark.parametrize(
    ("voice", "why"),
    [
        (VoiceConfig(token_env="EDGE_TWILIO", answer="forward", forward_to="0655500101"), "forward_to"),
        (VoiceConfig(token_env="EDGE_TWILIO", forward_to="+390655500101"), "goes with answer"),
        (VoiceConfig(token_env="EDGE_TWILIO", answer="say"), "text"),
        (VoiceConfig(token_env="EDGE_TWILIO", text="Hello"), "nothing is said"),
        (VoiceConfig(), "token_env"),
    ],
)
def test_a_line_that_can_not_work_is_told_at_start(
    voice: VoiceConfig, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_TWILIO", TWILIO_TOKEN)
    monkeypatch.setenv("EDGE_KEY", KEY)
    with pytest.raises(OperatorError, match=why):
        check(EdgeConfig(public_url=PUBLIC, signing_key_env="EDGE_KEY", voice={"desk": voice}))


def test_texts_that_can_not_work_are_told_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_TWILIO", TWILIO_TOKEN)
    good = TextsConfig(token_env="EDGE_TWILIO")
    with pytest.raises(OperatorError, match="public_url"):
        check(EdgeConfig(texts={"line": good}))
    both = TextsConfig(token_env="EDGE_TWILIO", start_words=("Stop",))
    with pytest.raises(OperatorError, match="both a stop word"):
        check(EdgeConfig(texts={"line": both}))
