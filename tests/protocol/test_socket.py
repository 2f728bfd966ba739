"""The two sockets over real ipc: nothing blocks, everything that can fail says so. (M4)"""

import select
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from stagewheel.errors import OperatorError
from stagewheel.protocol.socket import DealerSocket, RouterSocket

FRAME_BYTES_MAX = 1000


@pytest.fixture
def router(tmp_path: Path) -> Iterator[RouterSocket]:
    with RouterSocket([f"ipc://{tmp_path}/s"], FRAME_BYTES_MAX) as socket:
        yield socket


@pytest.fixture
def dealer(router: RouterSocket) -> Iterator[DealerSocket]:
    with DealerSocket(router.last_address, FRAME_BYTES_MAX) as socket:
        until(socket, lambda: socket.connected())
        yield socket


def until(socket: DealerSocket | RouterSocket, done: Callable[[], bool]) -> None:
    """Sleep on the descriptor as a shell does: look first, and never longer than the watchdog."""
    for _ in range(100):
        if done():
            return
        select.select([socket.fd], [], [], 0.1)
    raise AssertionError("nothing happened for ten seconds")


def test_a_message_goes_there_and_back(router: RouterSocket, dealer: DealerSocket) -> None:
    assert dealer.send_nowait(b"head", b"payload")
    until(router, router.readable)
    [(route, header, payload)] = router.drain(bytes_max=100, frames_max=10)
    assert (header, payload) == (b"head", b"payload")
    assert router.send_nowait(route, b"back", b"again")
    until(dealer, lambda: dealer.look()[0])
    assert dealer.drain(10) == [(b"back", b"again")]
    assert dealer.drain(10) == []


def test_draining_stops_at_either_bound(router: RouterSocket, dealer: DealerSocket) -> None:
    for _ in range(9):
        dealer.send_nowait(b"head", b"x" * 10)
    taken = 0
    for bytes_max, frames_max, most in [(25, 10, 3), (1000, 2, 2)]:
        until(router, router.readable)
        got = len(router.drain(bytes_max, frames_max))
        assert 0 < got <= most
        taken += got

    def rest() -> bool:
        nonlocal taken
        taken += len(router.drain(1000, 100))
        return taken == 9

    until(router, rest)


def test_a_route_that_nobody_has_is_told_at_once(router: RouterSocket) -> None:
    assert not router.send_nowait(b"nobody", b"", b"")


def test_without_a_server_nothing_is_sent_and_nothing_queued(tmp_path: Path) -> None:
    with DealerSocket(f"ipc://{tmp_path}/none", FRAME_BYTES_MAX) as dealer:
        assert dealer.look() == (False, False)
        assert not dealer.send_nowait(b"head", b"")


def test_a_lost_connection_is_noticed_without_sending(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/s"
    router = RouterSocket([address], FRAME_BYTES_MAX)
    with DealerSocket(address, FRAME_BYTES_MAX) as dealer:
        until(dealer, dealer.connected)
        router.close()
        router.close()
        until(dealer, lambda: not dealer.connected())


def test_messages_of_other_shapes_come_as_empty_ones(router: RouterSocket) -> None:
    context = zmq.Context()
    with context, context.socket(zmq.DEALER) as stranger:
        stranger.setsockopt(zmq.LINGER, 0)
        stranger.connect(router.last_address)
        stranger.send_multipart([b"1"])
        stranger.send_multipart([b"1", b"2", b"3"])
        stranger.send_multipart([b"x"] * 50)
        stranger.send_multipart([b"1", b"2"])
        seen: list[tuple[bytes, bytes]] = []

        def four() -> bool:
            seen.extend(frame[1:] for frame in router.drain(1000, 10))
            return len(seen) == 4

        until(router, four)
    assert seen == [(b"", b"")] * 3 + [(b"1", b"2")]


def test_beyond_twice_the_limit_the_connection_is_closed_and_others_stand(
    router: RouterSocket, dealer: DealerSocket
) -> None:
    with DealerSocket(router.last_address, FRAME_BYTES_MAX) as large:
        until(large, large.connected)
        large.send_nowait(b"head", b"x" * (2 * FRAME_BYTES_MAX + 1))
        until(large, lambda: not large.connected())
    dealer.send_nowait(b"head", b"x" * 2 * FRAME_BYTES_MAX)
    until(router, router.readable)
    [(_, _, payload)] = router.drain(10_000, 10)
    assert len(payload) == 2 * FRAME_BYTES_MAX


def test_an_address_that_cannot_be_is_the_operators_error(router: RouterSocket, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot listen on"):
        RouterSocket([f"ipc://{tmp_path}/no/such/folder/s"], FRAME_BYTES_MAX)
    with pytest.raises(OperatorError, match="no address to connect to"):
        DealerSocket("nonsense", FRAME_BYTES_MAX)


def test_a_free_port_is_told(tmp_path: Path) -> None:
    with RouterSocket([f"ipc://{tmp_path}/s", "tcp://127.0.0.1:*"], FRAME_BYTES_MAX) as router:
        assert router.last_address.startswith("tcp://127.0.0.1:")
        with DealerSocket(router.last_address, FRAME_BYTES_MAX) as dealer:
            until(dealer, dealer.connected)
