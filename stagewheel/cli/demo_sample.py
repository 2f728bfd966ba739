"""The leads of the demo, and what must become of each: worked out from the sample alone, without the engine.

Laws: the sample depends on its size and nothing else; what is demanded of a lead follows from where it came
from, whether a person takes it over and when, and whether its mail server refuses it: by the words of
`examples/lead-auto-reply/rules.yaml`, not by its code.
"""

from collections import Counter
from email import message_from_bytes, policy
from typing import Final, Literal

from msgspec import Struct

from stagewheel.cli.sink import SunkMail
from stagewheel.protocol.messages import Address, Client, CreateItem, Employee, UpdateItem

WEB_FORM, BY_MAIL, FIRST, SECOND = "web-form", "by-mail", "follow-up 1", "follow-up 2"
TEMPLATES: Final = (WEB_FORM, BY_MAIL, FIRST, SECOND)
TOOK_OVER: Final = "somebody took over"
REFUSING: Final = "gone.example"
RESPONSIBLE: Final = 7
COLLEAGUE: Final = 8

NAMES: Final = (
    *("Ada", "Bruno", "Cleo", "Dario", "Elif", "Femke", "Goran", "Hana", "Ivo", "Jana", "Kofi", "Lena"),
    *("Mina", "Nils", "Olga", "Pavel", "Quinn", "Rosa", "Sami", "Tara", "Udo", "Vera", "Wim", "Yara", "Zeno"),
)
WISHES: Final = ("Oak kitchen", "Bookcase", "Wardrobe", "Staircase", "Bay window", "Dining table", "Parquet")


class Lead(Struct, frozen=True):
    """A lead of the sample."""

    number: int
    name: str
    way: Literal["web form", "mail", "fair"]
    title: str
    address: str
    taken_over: int  # in which week a person takes it over; 0: never

    @property
    def key(self) -> str:
        return f"lead:{self.number}"

    @property
    def refused(self) -> bool:
        """Does the mail server of the client refuse everything?"""
        return self.address.endswith(REFUSING)

    def create(self) -> CreateItem:
        """As the web site or mailbox reports it."""
        return CreateItem(
            self.key,
            pipeline="leads",
            title=self.title,
            source="web_form" if self.way == "web form" else self.way,
            client=Client(self.name, [Address(self.address, "work")]),
            responsible=RESPONSIBLE,
        )

    def take_over(self) -> UpdateItem:
        """A colleague begins to work on it."""
        return UpdateItem(self.key, COLLEAGUE, fields={"status": "in_work"}, responsible=COLLEAGUE)

    def mails(self) -> list[str]:
        """The templates it must be sent, in order."""
        if self.refused:
            return []
        answer = {"web form": [WEB_FORM], "mail": [BY_MAIL], "fair": []}[self.way]
        follow_ups = {0: [FIRST, SECOND], 1: [], 2: [FIRST]}[self.taken_over]
        return answer + follow_ups

    def ends(self) -> str:
        """How its workflow must end."""
        if self.refused:
            return "failed"
        return "stopped" if self.taken_over else "done"


def sample(size: int) -> list[Lead]:
    """The leads: two in five by web form, a third by mail, the rest from a fair."""
    leads = []
    for number in range(1, size + 1):
        way: Literal["web form", "mail", "fair"] = "fair"
        if number % 20 < 15:
            way = "web form" if number % 20 < 8 else "mail"
        name = NAMES[number % len(NAMES)]
        wish = WISHES[number % len(WISHES)]
        refused = number % 60 == 1
        week = 1 if number % 5 == 2 else 2 if number % 7 == 3 else 0
        host = REFUSING if refused else "client.example"
        leads.append(
            Lead(
                number,
                name,
                way,
                f"Message from {name}: {wish}" if way == "mail" else wish,
                f"{name.lower()}.{number}@{host}",
                0 if refused else week,
            )
        )
    return leads


def employees() -> list[Employee]:
    """Who answers the leads."""
    return [
        Employee(RESPONSIBLE, "Rosa Lind", [Address("rosa@shop.example", "work")], supervisor=9),
        Employee(COLLEAGUE, "Nils Berg", [Address("nils@shop.example", "work")], supervisor=9),
        Employee(9, "Vera Holm", [Address("vera@shop.example", "work")]),
    ]


def expected(leads: list[Lead]) -> Counter[str]:
    """How many mails there must be of each template."""
    return Counter(template for lead in leads for template in lead.mails())


def template_of(mail: SunkMail) -> str:
    """Which template a mail was made of, by its words."""
    if mail.subject.startswith("Thank you,"):
        return WEB_FORM
    if mail.subject == "We got your message":
        return BY_MAIL
    text = message_from_bytes(mail.content, policy=policy.default).get_content()
    if mail.subject == "Still interested?":
        return FIRST if "a week ago" in text else SECOND
    return f"unknown: {mail.subject}"


def differences(leads: list[Lead], mails: list[SunkMail], ended: dict[str, str]) -> list[str]:
    """What is not as the sample demands, as sentences; empty when all is."""
    got: dict[str, list[str]] = {}
    for mail in mails:
        for recipient in mail.recipients:
            got.setdefault(recipient, []).append(template_of(mail))
    wrong = []
    for lead in leads:
        sent = got.pop(lead.address, [])
        if sent != lead.mails():
            wrong.append(f"{lead.key} got {sent or 'no mail'}, not {lead.mails() or 'none'}")
        outcome = ended.get(lead.key, "not ended")
        if outcome != lead.ends():
            wrong.append(f"the workflow of {lead.key} is {outcome}, not {lead.ends()}")
    wrong += [f"{address} is no lead and got {sent}" for address, sent in got.items()]
    twice = [key for key, count in Counter(mail.message_id for mail in mails).items() if count > 1]
    return wrong + [f"the mail {key} came twice" for key in twice]
