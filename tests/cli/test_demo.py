"""The demo's sample says what must come, and every deviation is noticed; the long form runs the demo."""

import json
from email.message import EmailMessage

import pytest

from stagewheel.cli.demo_sample import (
    BY_MAIL,
    FIRST,
    SECOND,
    TEMPLATES,
    WEB_FORM,
    Lead,
    differences,
    expected,
    sample,
    template_of,
)
from stagewheel.cli.main import main
from stagewheel.cli.sink import SunkMail

WORDS = {
    WEB_FORM: ("Thank you, Ada", "thank you"),
    BY_MAIL: ("We got your message", "we got it"),
    FIRST: ("Still interested?", "a week ago you asked"),
    SECOND: ("Still interested?", "This is our last reminder"),
}


def mail(lead: Lead, template: str, number: int = 0) -> SunkMail:
    """A mail as the server takes it."""
    subject, text = WORDS[template]
    message = EmailMessage()
    message["Subject"] = subject
    message.set_content(f"{text} – über alles")
    headers = {"Subject": subject, "Message-ID": f"<{lead.key}-{template}-{number}>"}
    return SunkMail("desk@shop.example", (lead.address,), headers, 100, 0, bytes(message))


def right(leads: list[Lead]) -> tuple[list[SunkMail], dict[str, str]]:
    """What must come of a sample."""
    mails = [mail(lead, template) for lead in leads for template in lead.mails()]
    return mails, {lead.key: lead.ends() for lead in leads}


def test_the_sample_has_every_kind_of_lead() -> None:
    leads = sample(300)
    assert len({lead.address for lead in leads}) == 300
    assert {lead.way for lead in leads} == {"web form", "mail", "fair"}
    assert {lead.taken_over for lead in leads} == {0, 1, 2}
    assert sum(lead.refused for lead in leads) == 5
    assert all(expected(leads)[template] > 50 for template in TEMPLATES)
    assert sample(300) == leads


def test_what_a_lead_must_get_follows_from_its_story() -> None:
    lead = Lead(1, "Ada", "web form", "Oak", "ada@client.example", 0)
    assert (lead.mails(), lead.ends()) == ([WEB_FORM, FIRST, SECOND], "done")
    lead = Lead(1, "Ada", "mail", "Message", "ada@client.example", 2)
    assert (lead.mails(), lead.ends()) == ([BY_MAIL, FIRST], "stopped")
    lead = Lead(1, "Ada", "fair", "Oak", "ada@client.example", 1)
    assert (lead.mails(), lead.ends()) == ([], "stopped")
    lead = Lead(1, "Ada", "web form", "Oak", "ada@gone.example", 0)
    assert (lead.mails(), lead.ends()) == ([], "failed")


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_mail_tells_its_template(template: str) -> None:
    assert template_of(mail(sample(20)[0], template)) == template


def test_what_the_sample_demands_has_no_differences() -> None:
    leads = sample(60)
    assert differences(leads, *right(leads)) == []


def test_every_deviation_is_noticed() -> None:
    leads = sample(60)
    mails, ended = right(leads)
    plain = next(lead for lead in leads if lead.mails() == [WEB_FORM, FIRST, SECOND])
    assert len(differences(leads, mails[1:], ended)) == 1
    assert any("came twice" in one for one in differences(leads, [*mails, mails[0]], ended))
    stranger = mail(Lead(99, "Zeno", "fair", "", "zeno@other.example", 0), FIRST)
    assert differences(leads, [*mails, stranger], ended) == [
        "zeno@other.example is no lead and got ['follow-up 1']"
    ]
    assert differences(leads, mails, {**ended, plain.key: "stopped"}) == [
        f"the workflow of {plain.key} is stopped, not done"
    ]
    del ended[plain.key]
    assert differences(leads, mails, ended) == [f"the workflow of {plain.key} is not ended, not done"]


@pytest.mark.slow
def test_the_demo_ends_by_itself_with_every_count_as_demanded(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--json", "--leads", "120"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is True
    assert told["mails"][SECOND]["sent"] == expected(sample(120))[SECOND]
