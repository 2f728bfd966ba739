"""What the edge decides without a socket: signatures, paths, rates, whose key an address is, what settings
mean.
"""

import base64
from pathlib import Path

import pytest

from stagewheel.errors import CallerError, OperatorError
from stagewheel.server.config import load
from stagewheel.server.edge.contact import KEY_BYTES_MAX, contact_key
from stagewheel.server.edge.picks import Sent, key_text, picked, read_pick
from stagewheel.server.edge.rate import Rates, address_of, is_local
from stagewheel.server.edge.signing import BadSignature, SignatureEnded, read_signed, same_secret, sign

KEY = b"a key of thirty-two bytes at least"

# ---- signatures ----


def test_a_signed_value_is_read_until_its_end_and_for_its_purpose_only() -> None:
    signed = sign(KEY, "visit", "deal:7", 1_000)
    assert read_signed(KEY, "visit", signed, 999.5) == "deal:7"
    assert read_signed(KEY, "visit", sign(KEY, "visit", "ключ:é", 0), 9e12) == "ключ:é"
    with pytest.raises(SignatureEnded):
        read_signed(KEY, "visit", signed, 1_000.5)
    for key, purpose in ((KEY, "form:a"), (b"another key of thirty-two bytes!!", "visit")):
        with pytest.raises(BadSignature):
            read_signed(key, purpose, signed, 0)


def test_no_change_of_any_character_of_a_signed_value_passes() -> None:
    signed = sign(KEY, "visit", "deal:7", 1_000)
    for at in range(len(signed)):
        for other in "Ag_-.=\n~":
            if signed[at] != other:
                with pytest.raises(BadSignature):
                    read_signed(KEY, "visit", signed[:at] + other + signed[at + 1 :], 0)
    left, right = signed.split(".")
    longer = base64.urlsafe_b64encode(b"9" + base64.urlsafe_b64decode(left + "==")).decode().rstrip("=")
    for other in (
        "",
        ".",
        left,
        f"{left}.",
        f".{right}",
        f"{longer}.{right}",
        f"{signed}=",
        "é" + signed,
        "A" * 2000,
    ):
        with pytest.raises(BadSignature):
            read_signed(KEY, "visit", other, 0)


def test_a_value_and_its_purpose_cannot_be_cut_elsewhere() -> None:
    assert sign(KEY, "form:a", "b", 0).partition(".")[2] != sign(KEY, "form:", "ab", 0).partition(".")[2]
    with pytest.raises(CallerError, match="at most"):
        sign(KEY, "visit", "x" * 4_000, 0)


def test_secrets_are_compared_as_a_whole() -> None:
    assert same_secret("tulip-of-sixteen", b"tulip-of-sixteen")
    for wrong in ("", "tulip-of-sixtee", "tulip-of-sixteenn", "é", "\ud800"):
        assert not same_secret(wrong, b"tulip-of-sixteen")


# ---- paths ----


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("body.order.id", 17),
        ("body.lines.1.price", 5),
        ("body.lines.7", None),
        ("body.lines.x", None),
        ("body.order.id.more", None),
        ("query.deal", "8"),
        ("query.none", None),
        ("header.X-Kind", "paid"),
    ],
)
def test_a_value_is_picked_from_where_its_path_leads(path: str, value: object) -> None:
    body = {"order": {"id": 17}, "lines": [{"price": 4}, {"price": 5}]}
    assert picked(read_pick(path), Sent(body, {"deal": "8"}, {"x-kind": "paid"})) == value


@pytest.mark.parametrize(
    "path", ["", "order.id", "query", "query.a.b", "body..x", "header.Authorization", "header.x-token"]
)
def test_a_path_that_leads_nowhere_or_to_a_secret_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"write|secret"):
        read_pick(path)


def test_only_texts_and_whole_numbers_are_keys() -> None:
    values: list[object] = ["  a ", 7, True, 1.5, None, [1], {}]
    assert [key_text(one) for one in values] == ["a", "7", "", "", "", "", ""]


# ---- rates ----


def test_an_address_has_its_burst_then_its_rate_and_others_have_theirs() -> None:
    rates = Rates(60, 3)
    assert [rates.wait_s("a", 0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]
    assert rates.wait_s("b", 0.0) == 0.0
    assert rates.wait_s("a", 0.5) == 0.5
    assert rates.wait_s("a", 1.0) == 0.0
    assert rates.wait_s("a", 0.2) == 1.0, "a clock that jumps back adds nothing"
    assert [rates.wait_s("a", 1e6) for _ in range(4)] == [0.0, 0.0, 0.0, 1.0], "never more than the burst"


def test_addresses_are_forgotten_from_the_one_that_asked_longest_ago() -> None:
    rates = Rates(60, 1, addresses_max=3)
    for address in ("a", "b", "c", "a", "d"):
        rates.wait_s(address, 0.0)
    assert len(rates) == 3
    assert rates.wait_s("a", 0.0) > 0, "who floods is remembered"
    assert rates.wait_s("b", 0.0) == 0.0


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "address"),
    [
        ("203.0.113.9", ["198.51.100.1"], set(), "203.0.113.9"),
        ("127.0.0.1", ["198.51.100.1, 203.0.113.9"], {"127.0.0.1"}, "203.0.113.9"),
        ("127.0.0.1", ["203.0.113.9", "10.0.0.2"], {"127.0.0.1", "10.0.0.2"}, "203.0.113.9"),
        ("127.0.0.1", [], {"127.0.0.1"}, "127.0.0.1"),
        ("127.0.0.1", ["unknown"], {"127.0.0.1"}, "127.0.0.1"),
        ("2001:db8::1:2:3:4", [], set(), "2001:db8::/64"),
        ("::ffff:203.0.113.9", [], set(), "203.0.113.9"),
    ],
)
def test_who_asks_is_whom_our_own_proxies_name(
    peer: str, forwarded: list[str], trusted: set[str], address: str
) -> None:
    assert address_of(peer, forwarded, frozenset(trusted)) == address


def test_local_is_a_program_of_this_machine_without_a_proxy_between() -> None:
    assert is_local("127.0.0.1", {})
    assert is_local("::1", {})
    assert not is_local("203.0.113.9", {})
    assert not is_local("127.0.0.1", {"x-forwarded-for": "203.0.113.9"})
    assert not is_local("127.0.0.1", {"forwarded": "for=203.0.113.9"})


# ---- whose address ----


def test_an_address_has_one_key_however_it_is_written() -> None:
    assert contact_key(" Ada@Example.COM ") == contact_key("ada@example.com") == "contact:ada@example.com"
    for wrong in ("", "ada", "@example.com", "a@b@c", "a b@c.example", "a@b,c@d", "<a@b>"):
        assert contact_key(wrong) == ""
    long = contact_key("a" * 60 + "@" + "b" * 200)
    assert long.startswith("contact:")
    assert len(long) <= KEY_BYTES_MAX


# ---- settings ----


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("listen = 'here'", "edge.listen"),
        ("listn = '127.0.0.1:1'", "listn"),
        ("body_bytes_max = 1", "body_bytes_max"),
        ("trusted_proxies = ['proxy']", "edge.trusted_proxies"),
        ("[edge.hooks.pay]\nitem = 'query.deal'", "edge.hooks.pay: set either token_env or token_file"),
        ("[edge.hooks.pay]\nitem = 'deal'\ntoken_env = 'EDGE_TOKEN'", "edge.hooks.pay.item"),
        ("[edge.hooks.pay]\nitem = 'query.deal'\ntoken_env = 'EDGE_NONE'", "EDGE_NONE is not set"),
        ("[edge.hooks.pay]\nitem = 'query.deal'\ntoken_env = 'EDGE_SHORT'", "edge.hooks.pay.token_env"),
        ("[edge.hooks.pay]\nitem = 'query.deal'\ntoken_file = '/none'", "edge.hooks.pay.token_file"),
        ("[edge.hooks.pay]\nitem = 'query.deal'\ntoken_env = 'EDGE_TOKEN'\non = 'paid'", "edge.hooks.pay.on"),
        ("[edge.hooks.'a b']\nitem = 'query.deal'", "hooks"),
        ("[edge.forms.f]\norigins = []\nitem_field = 'i'", "edge.forms.f.origins"),
        ("[edge.forms.f]\norigins = ['shop.example']\nitem_field = 'i'", "edge.forms.f.origins"),
        ("[edge.forms.f]\norigins = ['*']", "client.email"),
        ("[edge.forms.f]\norigins = ['*']\nitem_field = 'i'", "edge: set either signing_key_env"),
        ("[edge.forms.f]\norigins = ['*']\nfields = {a = 'deal.x'}", "edge.forms.f.fields.a"),
        ("[edge.forms.f]\norigins = ['*']\nfields = {a = 'item.x:date'}", "edge.forms.f.fields.a"),
        ("[edge.forms.f]\norigins = ['*']\nfields = {a = 'client.age'}", "edge.forms.f.fields.a"),
        ("[edge.events]\ntoken_env = 'EDGE_TOKEN'\ntypes = ['x']", "edge.events.types"),
        ("[edge.visits]\ncookie_same_site = 'none'\ncookie_secure = false", "cookie_same_site"),
    ],
)
def test_a_bad_setting_is_refused_at_start_with_file_and_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, named: str
) -> None:
    monkeypatch.setenv("EDGE_TOKEN", "tulip-of-sixteen")
    monkeypatch.setenv("EDGE_SHORT", "daisy")
    path = tmp_path / "server.toml"
    path.write_text(f"[edge]\n{text}\n")
    with pytest.raises(OperatorError) as raised:
        load(str(path), {})
    assert named in str(raised.value)
    assert str(path) in str(raised.value)
    assert "tulip" not in str(raised.value)
    assert "daisy" not in str(raised.value)
