"""Byte order is the order we need: keys as bytes compare as what they stand for."""

import pytest
from hypothesis import assume, given, strategies as st

from stagewheel.server.store import keys

numbers = st.integers(0, 2**64 - 1)
small_numbers = st.integers(0, 2**32 - 1)
item_keys = st.one_of(st.binary(min_size=1, max_size=6), st.text("ab:\x00ÿ", min_size=1).map(str.encode))
names = st.text("ab:\x00ÿ", max_size=4)


@given(numbers, numbers)
def test_numbers_order_as_bytes(first: int, second: int) -> None:
    assert (keys.u64(first) < keys.u64(second)) == (first < second)
    assert keys.read_u64(b"xyz" + keys.u64(first), 3) == first


@given(numbers, item_keys, small_numbers)
def test_a_timer_key_is_split_into_what_it_was_made_of(due_ms: int, item: bytes, step_no: int) -> None:
    assert keys.split_timer_key(keys.timer_key(due_ms, item, step_no)) == (due_ms, item, step_no)


@given(numbers, item_keys, small_numbers, numbers, item_keys, small_numbers)
def test_timers_stand_in_due_order(
    due_ms: int, item: bytes, step_no: int, other_due_ms: int, other: bytes, other_no: int
) -> None:
    assume(due_ms < other_due_ms)
    assert keys.timer_key(due_ms, item, step_no) < keys.timer_key(other_due_ms, other, other_no)


@given(item_keys, numbers, numbers)
def test_one_items_messages_stand_in_number_order(item: bytes, first: int, second: int) -> None:
    assume(first < second)
    assert keys.mailbox_key(item, first) < keys.mailbox_key(item, second)
    assert keys.split_mailbox_key(keys.mailbox_key(item, first)) == (item, first)


@given(item_keys, item_keys, numbers)
def test_a_mailbox_row_is_within_its_own_items_range_and_no_others(
    item: bytes, other: bytes, number: int
) -> None:
    prefix = keys.mailbox_prefix(item)
    end = keys.prefix_end(prefix)
    assert end is not None
    assert prefix <= keys.mailbox_key(item, number) < end
    assert (prefix <= keys.mailbox_key(other, number) < end) == (item == other)


@given(names, names, names, names, numbers)
def test_a_stage_row_is_within_its_own_stages_range_and_no_others(
    pipeline: str, stage: str, other_pipeline: str, other_stage: str, position: int
) -> None:
    prefix = keys.stage_prefix(pipeline, stage)
    end = keys.prefix_end(prefix)
    assert end is not None
    row = keys.stage_key(other_pipeline, other_stage, position)
    assert (prefix <= row < end) == ((pipeline, stage) == (other_pipeline, other_stage))


@given(st.binary(max_size=4), st.binary(max_size=6))
def test_prefix_end_is_above_all_keys_with_the_prefix_and_not_above_others(prefix: bytes, key: bytes) -> None:
    end = keys.prefix_end(prefix)
    if end is None:
        assert prefix.strip(b"\xff") == b""
        assert prefix + key >= prefix
    else:
        assert prefix + key < end
        assert (prefix <= key < end) == key.startswith(prefix)


@given(numbers, numbers)
def test_answers_of_one_producer_stand_in_sequence_order(first: int, second: int) -> None:
    assume(first < second)
    producer = keys.producer_key("crm")
    assert keys.answer_key(producer, first) < keys.answer_key(producer, second)


def test_a_producers_own_bytes_are_its_key_and_a_name_is_digested_alike_everywhere() -> None:
    own = bytes(range(16))
    assert keys.producer_key(own) == own
    assert keys.producer_key("crm").hex() == "472ec13e47da9c57f784abb7b5abfdf2"
    assert len(keys.producer_key("a name of many more than sixteen characters")) == keys.PRODUCER_BYTES
    with pytest.raises(ValueError, match="16"):
        keys.producer_key(b"crm")
