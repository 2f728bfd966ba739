"""From a form on a page to the money: the whole of examples/story, over real sockets and processes."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
import trio

from stagewheel.cli.main import main
from stagewheel.protocol import journal as j
from stagewheel.protocol.messages import Moved, TaskFilter
from tests.story.world import PUBLIC, SECRETS, SHOP, STORY, World, fields_of, open_world

INVOICE = b"%PDF-1.7 an invoice of 4800 euro\n%%EOF\n"
FORM = {
    "name": "Ada",
    "email": "ada@client.example",
    "phone": "+39 06 555 00101",
    "need": "A kitchen",
    "size": "12.5",
}


async def asked_by_form(world: World) -> str:
    """A form post makes a lead, and the answer comes by mail; the lead's key."""
    answered = await world.web.post("/forms/contact", data=FORM, headers={"Origin": SHOP})
    assert (answered.status_code, answered.headers["location"]) == (303, f"{SHOP}/thanks")
    lead = (await world.journal.until(lambda fact: isinstance(fact, j.ItemCreated))).item
    mail = await world.mail(1)
    assert (mail["To"], mail["Subject"]) == ("ada@client.example", "Thank you, Ada")
    assert mail["From"] == "Rosa Lind <rosa@shop.example>", "automatic: the responsible, by the first address"
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    assert "we have your request: A kitchen. Until Rosa Lind answers" in text.get_content()
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    await world.journal.done("thank")
    [link] = re.findall(rf'href="({PUBLIC}/c/[^"]+)"', html.get_content())
    assert await world.click(link) == f"{SHOP}/offers/kitchens"
    return lead


async def invited_into_a_chat(world: World, lead: str) -> str:
    """The click has moved the lead, a text message invites into the chat; the key of the deal made then."""
    text = fields_of(await world.twilio.next())
    assert text["To"] == "+390655500101"
    start = re.fullmatch(r"Ada, ask us anything: https://t\.me/shop_bot\?start=([\w-]{1,64})", text["Body"])
    assert start is not None
    await world.journal.done("invite")
    await world.write_to_bot(1, f"/start {start[1]}")
    welcome = msgspec.json.decode((await world.bot.next()).body)
    assert welcome == {"chat_id": 4242, "text": "Welcome, Ada. Rosa Lind answers you here."}
    await world.journal.done("sell")
    view = await world.client.item(lead)
    assert view is not None
    assert (view.stage, [one.chat for one in view.chats]) == ("converted", ["4242"])
    deal = (await world.journal.until(is_deal)).item
    await world.write_to_bot(2, "When do you come?")
    asked = await world.journal.until(lambda fact: isinstance(fact, j.ChatReceived) and not fact.first)
    assert asked.item == deal, "its lead is closed"
    await world.client.write_chat(deal, "Tomorrow", by=7)
    assert msgspec.json.decode((await world.bot.next()).body) == {"chat_id": 4242, "text": "Tomorrow"}
    return deal


async def prepared_by_a_program(world: World, deal: str) -> None:
    """The task of the deal is done by a program of the CRM, which has stored the invoice before."""
    await world.journal.done("prepare")
    [task] = [one async for one in world.client.tasks(TaskFilter(item=deal))]
    assert (task.name, task.responsible, len(task.checklist)) == ("Prepare A kitchen for Ada", 7, 3)
    assert task.description == "A kitchen, size 12.5"
    stored = await world.client.put_file(INVOICE, name="Invoice 7.pdf", file=f"{deal}/invoice")
    await world.client.update_item(
        deal, {"total": {"amount": 4800, "currency": "EUR"}, "invoice_file": stored.value()}
    )
    done = await world.client.update_task(deal, task.number, status="completed", by=7)
    assert done == Moved("project", "invoice", "prepared", 2)


async def billed_and_called(world: World) -> None:
    """The invoice goes out with its file, then the call, which is done when somebody answers."""
    mail = await world.mail(2)
    assert mail["Subject"] == "Invoice for A kitchen for Ada"
    assert mail["List-Unsubscribe"] is None, "it is transactional"
    [attached] = mail.iter_attachments()
    assert (attached.get_filename(), attached.get_content_type()) == ("Invoice 7.pdf", "application/pdf")
    assert attached.get_content() == INVOICE
    request = await world.twilio.next()
    call = fields_of(request)
    assert call["To"] == "+390655500101"
    [say] = ElementTree.fromstring(call["Twiml"])
    assert say.attrib == {"language": "en-GB", "voice": "Polly.Amy"}
    assert "".join(say.itertext()).startswith("Good day Ada, your invoice of ")
    await world.tell_status(request, CallSid="CA1", CallStatus="ringing")
    assert not any(end.rule == "call" for end in world.journal.facts(j.StepEnded))
    await world.tell_status(request, CallSid="CA1", CallStatus="in-progress")
    await world.journal.done("told")


async def paid_to_the_bank(world: World, deal: str) -> None:
    """A payment of a part wins nothing, the rest does, and is taken once."""
    for amount, result in ((1_000, "not_moved"), (4_800, "moved"), (4_800, "moved")):
        answered = await world.web.post(
            "/hooks/bank",
            json={"reference": deal, "amount": amount, "currency": "EUR"},
            headers={"X-Token": SECRETS["BANK_TOKEN"], "Idempotency-Key": f"payment-{amount}"},
        )
        assert answered.json()["result"] == result, answered.text
    await world.journal.done("receipt")
    assert (await world.mail(3))["Subject"] == "We have your payment, thank you"


def is_deal(fact: object) -> bool:
    """Was a deal made?"""
    return isinstance(fact, j.ItemCreated) and fact.pipeline == "deals"


async def everything_is_explained(
    world: World, lead: str, deal: str, run: Callable[..., Awaitable[str]]
) -> None:
    """The timelines tell each stage with what moved the item there, and each rule what became of it."""
    for item, moves in (
        (lead, [("new", ""), ("interested", "looked"), ("talking", "came"), ("converted", "sell")]),
        (deal, [("project", ""), ("invoice", "prepared"), ("won", "paid")]),
    ):
        told = [fact for _, one in reversed(await world.client.timeline(item)) for fact in one.did]
        entered = [fact for fact in told if isinstance(fact, j.Entered)]
        assert [(one.to_stage, one.trigger or one.rule) for one in entered] == moves
    for rule in ("thank", "invite", "welcome", "sell"):
        assert f"rule {rule} for {lead}: it ran at" in await run("explain", lead, rule)
    for rule in ("prepare", "bill", "call", "told", "cheer", "receipt"):
        assert f"rule {rule} for {deal}: it ran at" in await run("explain", deal, rule)
    assert "it was cancelled at" in await run("explain", deal, "remind")
    timeline = await run("timeline", deal)
    assert "because task.rule was 'prepare' (asked: is 'prepare')" in timeline
    assert "paid: condition: expr was trigger.amount 1000, item.total.amount 4800" in timeline


async def test_a_form_becomes_a_lead_a_chat_a_deal_and_money(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """G3, H1, G10, H5, G7, A5, E5, G8, H3, E4, G12, E1: and nothing fails on the way."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    async with open_world(tmp_path) as world:

        async def run(*arguments: str) -> str:
            """What a command prints."""
            assert await trio.to_thread.run_sync(main, [*arguments, "--server", world.address]) == 0
            return capsys.readouterr().out

        await run("send", "employee", "7", "name=Rosa Lind", "emails=[rosa@shop.example]")
        await run("apply", str(STORY / "rules.yaml"))
        lead = await asked_by_form(world)
        deal = await invited_into_a_chat(world, lead)
        await prepared_by_a_program(world, deal)
        await billed_and_called(world)
        await paid_to_the_bank(world, deal)

        ends = [(end.rule, end.outcome, end.reason) for end in world.journal.facts(j.StepEnded)]
        assert [end for end in ends if end[1] != "done"] == [("remind", "cancelled", "left stage")]
        assert world.journal.facts(j.DeadLettered) == world.journal.facts(j.DeliveryTried) == []
        assert [one async for one in world.client.dead_letters()] == []
        assert [one async for one in world.client.poison()] == []
        assert world.twilio.rest() == world.bot.rest() == []
        await everything_is_explained(world, lead, deal, run)
