"""Deliveries that leave together, by a virtual clock (H7)."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
import trio
import trio.testing

from stagewheel.server.channels.ad_hashes import (
    google_email,
    google_phone,
    meta_email,
    meta_phone,
    sha256,
)
from stagewheel.server.channels.base import Delivered, Outcome, RefusedForGood, Retry, Unknown
from stagewheel.server.channels.batches import Batches


class Desk:
    """What was sent, and when; a row that begins with "bad" is refused."""

    def __init__(self, count_max: int = 10, wait_s: float = 5.0, takes_s: float = 1.0) -> None:
        self.sent: list[tuple[float, str, str, list[str]]] = []
        self.ended: dict[str, Outcome] = {}
        self.batches = Batches[str](self.send, count_max, wait_s)
        self.takes_s = takes_s

    async def send(self, list_: str, operation: str, rows: Sequence[str]) -> Sequence[Outcome]:
        self.sent.append((trio.current_time(), list_, operation, list(rows)))
        with trio.move_on_after(self.takes_s):
            await trio.sleep_forever()
        return [RefusedForGood(row) if row.startswith("bad") else Delivered({"row": row}) for row in rows]

    async def deliver(self, at_s: float, list_: str, operation: str, row: str) -> None:
        with trio.move_on_at(at_s):
            await trio.sleep_forever()
        self.ended[row] = await self.batches.deliver(list_, operation, row)


async def run(
    desk: Desk, *deliveries: tuple[float, str, str, str]
) -> list[tuple[float, str, str, list[str]]]:
    """The batches, with the seconds since the beginning, each with its rows in order of their names."""
    began_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        for at_s, list_, operation, row in deliveries:
            nursery.start_soon(desk.deliver, began_s + at_s, list_, operation, row)
    return [
        (round(at_s - began_s, 3), list_, operation, sorted(rows))
        for at_s, list_, operation, rows in desk.sent
    ]


async def test_what_comes_in_time_for_one_list_leaves_together(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """H7: batched by time, one batch a list and operation."""
    desk = Desk()
    sent = await run(
        desk, (0, "1", "add", "a"), (4, "1", "add", "b"), (4, "2", "add", "c"), (7, "1", "add", "d")
    )
    assert sent == [(5, "1", "add", ["a", "b"]), (9, "2", "add", ["c"]), (12, "1", "add", ["d"])]


async def test_a_full_batch_does_not_wait(autojump_clock: trio.testing.MockClock) -> None:
    """H7: batched by count."""
    desk = Desk(count_max=2)
    sent = await run(desk, *[(0.1 * n, "1", "add", f"r{n}") for n in range(5)])
    assert sent == [
        (0.1, "1", "add", ["r0", "r1"]),
        (1.1, "1", "add", ["r2", "r3"]),
        (5.4, "1", "add", ["r4"]),
    ]


async def test_each_row_has_its_own_outcome(autojump_clock: trio.testing.MockClock) -> None:
    desk = Desk()
    await run(desk, (0, "1", "add", "a"), (1, "1", "add", "bad b"), (2, "1", "add", "c"))
    assert desk.ended == {
        "a": Delivered({"row": "a"}),
        "bad b": RefusedForGood("bad b"),
        "c": Delivered({"row": "c"}),
    }


async def test_to_add_and_to_remove_happen_in_the_order_in_which_they_came(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """H7: who was added and then removed is not on the list."""
    desk = Desk(takes_s=30)
    turns = [(0, "add", "a"), (1, "remove", "b"), (1.5, "add", "c"), (2, "add", "d"), (40, "remove", "e")]
    sent = await run(desk, *[(at_s, "1", operation, row) for at_s, operation, row in turns])
    assert [(operation, rows) for _, _, operation, rows in sent] == [
        ("add", ["a"]),
        ("remove", ["b"]),
        ("add", ["c", "d"]),
        ("remove", ["e"]),
    ]
    begins = [at_s for at_s, *_ in sent]
    assert all(later >= one + 30 for one, later in pairwise(begins))


async def test_a_batch_whose_sender_is_stopped_was_not_taken_or_nobody_knows(
    autojump_clock: trio.testing.MockClock,
) -> None:
    for stop_s, kind in ((2, Retry), (5.5, Unknown)):
        desk = Desk()

        async def leads(desk: Desk = desk, stop_s: float = stop_s) -> None:
            with trio.move_on_after(stop_s):
                await desk.batches.deliver("1", "add", "a")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(leads)
            nursery.start_soon(desk.deliver, trio.current_time() + 1, "1", "add", "b")
        assert isinstance(desk.ended["b"], kind)
        assert await desk.batches.deliver("1", "add", "c") == Delivered({"row": "c"})


@pytest.mark.parametrize(
    ("made", "of"),
    [
        (meta_email("  Ada.B@Example.COM "), "ada.b@example.com"),
        (meta_email("a.b+c@gmail.com"), "a.b+c@gmail.com"),
        (google_email(" Cloudy.SanFrancisco+shopping@gmail.com"), "cloudysanfrancisco@gmail.com"),
        (google_email("a.b@googlemail.com"), "ab@googlemail.com"),
        (google_email("user.name+NYC@Example. com"), "user.name+nyc@example.com"),
        (meta_phone("(616) 954-7888", "US"), "16169547888"),
        (meta_phone("+39 06 5550 0101", ""), "390655500101"),
        (google_phone("(800)555-0100", "US"), "+18005550100"),
        (google_phone("06 55500101", "IT"), "+390655500101"),
    ],
)
def test_a_value_is_hashed_in_the_form_that_its_network_prescribes(made: str, of: str) -> None:
    """H7: e-mail and phone, hashed."""
    assert made == sha256(of)
    assert len(made) == 64


@pytest.mark.parametrize("text", ["", "nobody", "@example.com", "ada@", "   "])
def test_what_can_be_nobody_has_no_hash(text: str) -> None:
    assert meta_email(text) == google_email(text) == ""
    assert meta_phone(text, "IT") == google_phone(text, "IT") == ""
    assert google_phone("0655500101", "") == ""
    assert google_email("+x@gmail.com") == ""
