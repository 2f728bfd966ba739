"""Frames: golden bytes, and nothing but typed errors, whatever comes in."""

import re
import typing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, strategies as st

from stagewheel.protocol import frames, journal, messages as m
from stagewheel.protocol.codec import (
    TYPE_OF_KIND,
    Kind,
    Message,
    decode_command,
    decode_record,
    encode_payload,
    encode_record,
)
from stagewheel.protocol.codes import REFUSED
from stagewheel.protocol.errors import FrameError, Malformed, Oversize, UnknownKind, UnknownVersion
from tests.protocol import vectors

GOLDEN = vectors.written()
SUBMIT = frames.encode(m.Submit(0, 0, [m.DeleteItem("k")]))


# ---- golden bytes ----


@pytest.mark.parametrize("name", sorted(vectors.MESSAGES))
def test_a_message_has_the_bytes_it_always_had(name: str) -> None:
    header, payload = frames.encode(vectors.MESSAGES[name])
    assert (header.hex(), payload.hex()) == (GOLDEN[name]["header"], GOLDEN[name]["payload"])
    again = frames.decode(header, payload)
    assert frames.encode(again) == (header, payload)
    assert again == vectors.MESSAGES[name] or name in ("journal", "jobs")  # these hold undecoded bytes


def test_the_golden_file_holds_each_example_and_nothing_else() -> None:
    assert vectors.computed() == GOLDEN


def test_every_kind_command_result_query_and_fact_has_an_example() -> None:
    def missing(union: object, examples: typing.Iterable[object]) -> set[type]:
        return set(typing.get_args(union)) - {type(example) for example in examples}

    assert {type(message) for message in vectors.MESSAGES.values()} == set(TYPE_OF_KIND.values())
    assert not missing(m.AnyCommand, vectors.COMMANDS.values())
    assert not missing(m.Result, vectors.RESULTS.values())
    assert not missing(m.AnyQuery, vectors.QUERIES.values())
    assert not missing(journal.Did, vectors.RECORD.did)


def test_a_record_survives_its_bytes_and_travels_undecoded() -> None:
    data = encode_record(vectors.RECORD)
    assert decode_record(data) == vectors.RECORD
    header, payload = frames.encode(vectors.MESSAGES["journal"])
    arrived = frames.decode(header, payload)
    assert isinstance(arrived, m.Journal)
    assert decode_record(arrived.records[0][1]) == vectors.RECORD


def test_commands_encoded_one_by_one_make_the_same_bytes_as_a_whole_submit() -> None:
    whole = m.Submit(7, 3, list(vectors.COMMANDS.values()))
    parts = m.SubmitEncoded(7, 3, [msgspec.Raw(encode_payload(command)) for command in whole.commands])
    assert frames.encode(parts) == frames.encode(whole)


def test_a_newer_peer_may_add_fields_at_the_end_and_an_older_one_leave_them_out() -> None:
    newer = encode_payload([1, 1, b"erp", "", "feed", b"", 0, "a field of tomorrow"])
    older = encode_payload([1, 1, b"erp"])
    header = frames.HEADERS[Kind.HELLO]
    assert frames.decode(header, newer) == frames.decode(header, older) == m.Hello(1, 1, b"erp")


# ---- errors ----


@pytest.mark.parametrize(
    ("header", "payload", "error"),
    [
        pytest.param(b"", b"", Malformed, id="no header"),
        pytest.param(SUBMIT[0] + b"\0", SUBMIT[1], Malformed, id="a long header"),
        pytest.param(b"\0\3\0\1", SUBMIT[1], UnknownVersion, id="version 0"),
        pytest.param(b"\2\3\0\1", SUBMIT[1], UnknownVersion, id="a version of tomorrow"),
        pytest.param(b"\1\0\0\0", b"", UnknownKind, id="kind 0"),
        pytest.param(b"\1\377\0\0", b"", UnknownKind, id="kind 255"),
        pytest.param(b"\1\1\0\1", b"", Malformed, id="a Hello that counts commands"),
        pytest.param(b"\1\3\0\2", SUBMIT[1], Malformed, id="the count is not the payload's"),
        pytest.param(SUBMIT[0], b"", Malformed, id="no payload"),
        pytest.param(SUBMIT[0], SUBMIT[1] + b"\0", Malformed, id="something behind the payload"),
        pytest.param(SUBMIT[0], SUBMIT[1][:-1], Malformed, id="a payload cut short"),
        pytest.param(SUBMIT[0], b"\xdd\xff\xff\xff\xff", Malformed, id="an array that claims 4 billion rows"),
        pytest.param(SUBMIT[0], encode_payload([0, 0, [[99, "k"]]]), Malformed, id="an unknown command"),
        pytest.param(SUBMIT[0], encode_payload([0, 0, [[5, 7]]]), Malformed, id="a key that is no text"),
        pytest.param(SUBMIT[0], b"\x93\0\0\x91\x92\x05\xa1\xff", Malformed, id="text that is no utf-8"),
        pytest.param(
            SUBMIT[0],
            b"\x93\0\0\x91\x97\x02\xa1k\0\0\xa0\x81\xa1x" + b"\x91" * 100_000 + b"\0",
            Malformed,
            id="nested without end",
        ),
        pytest.param(SUBMIT[0], b"x" * 101, Oversize, id="larger than the limit"),
    ],
)
def test_a_bad_frame_is_a_typed_error_with_a_code(
    header: bytes, payload: bytes, error: type[FrameError]
) -> None:
    limit = 100 if error is Oversize else None
    with pytest.raises(error) as caught:
        frames.decode(header, payload, limit)
    assert type(caught.value) is error
    assert caught.value.code in REFUSED
    assert str(caught.value)


@given(st.binary(max_size=8), st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_typed_error(header: bytes, payload: bytes) -> None:
    try:
        frames.decode(header, payload)
    except FrameError:
        pass


@given(st.sampled_from(sorted(vectors.MESSAGES)), st.integers(0), st.integers(0, 255), st.booleans())
def test_a_damaged_message_is_another_message_or_a_typed_error(
    name: str, at: int, byte: int, cut: bool
) -> None:
    header, payload = frames.encode(vectors.MESSAGES[name])
    at %= len(payload)
    damaged = payload[:at] if cut else payload[:at] + bytes([byte]) + payload[at + 1 :]
    try:
        message: Message = frames.decode(header, damaged)
    except FrameError:
        return
    frames.encode(message)  # what was decoded can be said


def test_more_commands_than_a_header_counts_are_not_framed() -> None:
    with pytest.raises(Oversize, match="65536 commands"):
        frames.encode(m.Submit(0, 0, [m.DeleteItem("k")] * 65_536))


@pytest.mark.parametrize("decode", [decode_record, decode_command])
def test_stored_bytes_that_are_broken_are_a_typed_error(decode: typing.Callable[[bytes], object]) -> None:
    with pytest.raises(Malformed, match="this is no"):
        decode(b"\x91\x01")


def test_a_command_survives_its_bytes() -> None:
    for command in vectors.COMMANDS.values():
        assert decode_command(encode_payload(command)) == command


# ---- the page for clients in other languages ----


def test_the_documentation_names_every_kind_with_its_fields(repository: Path) -> None:
    text = (repository / "docs" / "protocol.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (\w+) \| \w+ \| (.+) \|$", text, re.MULTILINE)
    listed = {int(number): (name, fields.split(", ")) for number, name, fields in rows}
    assert "| 13–16 | Pull, Jobs, Reports, ReportsTaken |" in text
    for kind, type_ in TYPE_OF_KIND.items():
        if kind < Kind.PULL:
            assert listed[kind] == (type_.__name__, list(type_.__struct_fields__))
