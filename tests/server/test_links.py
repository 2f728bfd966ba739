"""Links of the edge that messages carry: what they hold, who takes them, and when there are none."""

import pytest

from stagewheel.errors import CallerError, OperatorError
from stagewheel.server.edge.config import EdgeConfig
from stagewheel.server.edge.signing import BadSignature
from stagewheel.server.links import CLICK, Clicked, Links, Origin, open_links, read_link

KEY = b"k" * 32
LINKS = Links("https://edge.shop.example/", KEY)
ORIGIN = Origin("deal:7", "send-invoice", 12)


def signed_of(url: str) -> str:
    return url.rpartition("/")[2]


def test_a_link_gives_back_what_it_was_made_of_to_its_own_route_alone() -> None:
    url = LINKS.click(ORIGIN, "https://shop.example/caf\u00e9?a=1&b=2")
    assert url.startswith("https://edge.shop.example/c/")
    clicked = read_link(Clicked, KEY, CLICK, signed_of(url), 0)
    assert clicked == Clicked(ORIGIN, "https://shop.example/caf\u00e9?a=1&b=2")
    for key, route in ((KEY, "u"), (b"x" * 32, CLICK)):
        with pytest.raises(BadSignature):
            read_link(Clicked, key, route, signed_of(url), 0)


def test_an_action_makes_the_same_link_at_every_attempt() -> None:
    assert LINKS.open(ORIGIN) == LINKS.open(Origin("deal:7", "send-invoice", 12))


def test_a_link_that_could_not_be_read_is_not_made() -> None:
    with pytest.raises(CallerError, match="characters"):
        LINKS.click(ORIGIN, "https://shop.example/" + "x" * 4_000)


def test_without_a_public_address_there_are_no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_KEY", KEY.decode())
    assert open_links(None) is None
    assert open_links(EdgeConfig()) is None
    links = open_links(EdgeConfig(public_url="https://edge.shop.example", signing_key_env="EDGE_KEY"))
    assert links is not None
    assert links.open(ORIGIN) == LINKS.open(ORIGIN)
    assert KEY.decode() not in repr(links)


def test_links_without_a_key_are_an_operators_mistake() -> None:
    with pytest.raises(OperatorError, match="signing_key"):
        open_links(EdgeConfig(public_url="https://edge.shop.example"))
