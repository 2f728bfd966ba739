"""Messages of chats: the directory knows whose a chat is, the shards know their items and clients."""

from stagewheel.protocol.messages import (
    AnyCommand,
    ChangeStage,
    Client,
    CreateItem,
    DeleteItem,
    Failed,
    Forwarded,
    PutClient,
    ReceiveChat,
    Result,
)
from stagewheel.server.store.tables import Table
from tests.actors.shards import Cluster

RULES = """
ruleset: sales
timezone: Europe/Rome
entities: {deal: {fields: {n: number}}}
pipelines:
  deals:
    entity: deal
    stages:
      - {id: new}
      - {id: hurry, triggers: [{id: urgent, on: chat_message, when: {trigger.text: {contains: urgent}}}]}
      - {id: won, final: success}
sources: {chat: {on: chat_message, channel: shop, on_unmatched: create, pipeline: deals, title: Chat}}
"""


def said(chat: str, text: str, channel: str = "shop") -> ReceiveChat:
    return ReceiveChat("", channel=channel, chat=chat, text=text, name="Ada")


def talk(count: int) -> tuple[list[Result], list[object], Cluster]:
    """Chats that make items, find them, find them closed, and of clients that have several."""
    cluster = Cluster(count, RULES)
    results: list[Result] = []

    def tell(command: AnyCommand) -> Result:
        results.append(cluster.submit(command))
        return results[-1]

    for n in range(6):
        chat = str(n)
        created = tell(said(chat, "Hi"))
        assert isinstance(created, Forwarded)
        tell(said(chat, "still there?"))
        tell(said(chat, "it is urgent"))
        tell(ChangeStage(created.created, stage="won"))
        tell(said(chat, "thanks"))
    for n in range(6):
        deal, chat = f"deal:{n}", f"o{n}"
        tell(
            CreateItem(
                deal, pipeline="deals", client=Client("Bo", key="contact:7"), chats=[("other", chat, "Bo")]
            )
        )
        tell(said(chat, "urgent", "other"))
        tell(DeleteItem(deal))
        tell(said(chat, "gone", "other"))
    tell(PutClient("contact:8", client=Client("Cy")))
    keys = [f"deal:contact-shop-{n}-{made}" for n in range(6) for made in (1, 2)]
    return results, [(cluster.item(key).stage, cluster.item(key).chats) for key in keys], cluster


def test_a_chat_finds_its_items_and_clients_wherever_they_live() -> None:
    results, items, _ = talk(1)
    assert {type(one).__name__ for one in results} >= {"Forwarded", "Moved", "NotMoved", "Failed"}
    assert Failed in map(type, results), "a chat of nobody is told so, from another shard as well"
    for count in (2, 3):
        elsewhere, theirs, cluster = talk(count)
        assert elsewhere == results
        assert theirs == items
        assert [node.count(Table.CHATS) > 0 for node in cluster.nodes] == [True] + [False] * (count - 1)
        assert cluster.is_quiet()
