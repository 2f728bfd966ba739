"""One suite for the three shells, against the reference server over real sockets, restarts included. (M6)"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from stagewheel.client import CommandFailed, Fenced, NotTaken, QueryRefused, TimedOut
from stagewheel.errors import CallerError, OperatorError
from stagewheel.protocol import messages as m
from tests.client.served import SHELLS, Scenario, Served

Run = Callable[..., None]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path) as server:
        yield server


@pytest.fixture(params=sorted(SHELLS))
def run(request: pytest.FixtureRequest, served: Served) -> Run:
    def within(scenario: Scenario, **options: Any) -> None:
        SHELLS[request.param](scenario, served.address, **options)

    return within


def moves(*items: str) -> list[m.AnyCommand]:
    return [m.ChangeStage(item, stage="NEW") for item in items]


def test_a_batch_is_applied_in_order_and_answered_in_order(run: Run, served: Served) -> None:
    async def scenario(client: Any) -> None:
        results = await client.submit(moves("a", "?b", "c"))
        assert [type(result) for result in results] == [m.Applied, m.Failed, m.Applied]
        assert await client.submit([]) == []

    run(scenario)
    assert [item for _, item in served.server.applied] == ["a", "c"]


def test_many_batches_are_under_way_at_once(run: Run, served: Served) -> None:
    async def scenario(client: Any) -> None:
        tickets = [client.send(moves(*(f"{n}.{k}" for k in range(100)))) for n in range(200)]
        for ticket in tickets:
            assert len(await ticket.results()) == 100

    run(scenario)
    wanted = [f"{n}.{k}" for n in range(200) for k in range(100)]
    assert [item for _, item in served.server.applied] == wanted


def test_waiting_until_applied_gets_the_completion(run: Run, served: Served) -> None:
    async def scenario(client: Any) -> None:
        assert await client.submit(moves("hasty!")) == [m.Accepted()]
        ticket = client.send(moves("patient!"), wait_applied=True)
        await client.statistics()  # behind the batch, so that was taken
        served.stop()
        served.server.resume()
        served.start()
        assert await ticket.results() == [m.Applied(2)]

    run(scenario)


def test_a_restarted_server_gets_what_it_had_not_answered_and_nothing_twice(run: Run, served: Served) -> None:
    async def scenario(client: Any) -> None:
        await client.submit(moves("a"))
        served.deaf = True
        tickets = [client.send(moves(f"b{n}")) for n in range(5)]
        served.stop()
        tickets.append(client.send(moves("c")))
        served.deaf = False
        served.start()
        for ticket in tickets:
            assert isinstance((await ticket.results())[0], m.Applied)

    run(scenario)
    assert [item for _, item in served.server.applied] == ["a", "b0", "b1", "b2", "b3", "b4", "c"]


def test_each_verb_is_its_command(run: Run, served: Served) -> None:
    async def scenario(client: Any) -> None:
        await client.create_item("k", "sales", fields={"amount": 5}, by=7)
        await client.update_item("k", {"amount": 6}, title="New")
        await client.change_stage("k", "WON", at_ms=9)
        await client.raise_event("k", "form_submitted", "contact", {"page": 1})
        await client.start_workflow("k", "welcome", {"round": 1})
        await client.pause("k")
        await client.resume("k", restart=True)
        await client.stop("k", dedupe_key="once")
        await client.delete_item("k")
        await client.put_employee(m.Employee(7, "Ada Example"))
        await client.put_ruleset("sales", {"main.yaml": "pipelines: {}"}, "first")
        await client.retry_dead_letter(1)
        await client.drop_dead_letter(1)
        await client.advance_clock(5)

    run(scenario)
    causes = [record.cause for record in served.server.records]
    assert causes == [
        *("CreateItem", "UpdateItem", "ChangeStage", "RaiseEvent", "StartWorkflow"),
        *("HoldItem", "HoldItem", "HoldItem", "DeleteItem", "PutEmployee", "PutRuleset"),
        *("RetryDeadLetter", "DropDeadLetter", "AdvanceClock"),
    ]
    assert served.server.records[2].at_ms == 9


def test_a_failed_command_raises_where_one_was_asked_for(run: Run) -> None:
    async def scenario(client: Any) -> None:
        with pytest.raises(CommandFailed, match="unknown_item: no item has this key") as caught:
            await client.change_stage("?", "WON")
        assert caught.value.code == "unknown_item"

    run(scenario)


def test_questions_are_answered_page_by_page(run: Run) -> None:
    async def scenario(client: Any) -> None:
        await client.submit(moves(*"abcdefgh", "a"))
        assert [key async for key in client.items_of_stage("sales", "NEW")] == [*"abcdefgh", "a"]
        assert [position for position, _ in await client.timeline("a")] == [9, 1]
        assert len(await client.timeline("a", limit=1)) == 1
        view = await client.item("b")
        assert (view.key, view.fields) == ("b", {"amount": 5})
        assert await client.item("nobody") is None
        assert [step.rule for step in await client.waiting("b")] == ["welcome"]
        assert await client.waiting("nobody") == []
        assert await client.statistics() == {"applied": 9}
        with pytest.raises(QueryRefused, match="bad_query"):
            await client.versions()

    run(scenario)


def test_a_subscription_goes_on_after_a_restart_from_where_it_was(run: Run, served: Served) -> None:
    async def scenario(client: Any) -> None:
        await client.submit(moves(*(f"i{n}" for n in range(3000))))
        seen = []
        async for position, record in client.subscribe(cursor=2):
            seen.append((position, record.item))
            if position == 1500:
                served.stop()
                served.start()
            if position == 3000:
                break
        assert seen == [(n + 1, f"i{n}") for n in range(2, 3000)]

    run(scenario)


@pytest.mark.parametrize("shell", ["trio", "asyncio"])
def test_several_tasks_may_wait_for_one_ticket_and_one_that_gives_up_disturbs_none(
    served: Served, shell: str
) -> None:
    async def scenario(client: Any) -> None:
        ticket = client.send(moves("a"))
        if shell == "trio":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ticket.results)
                nursery.start_soon(ticket.results)
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await ticket.results()
        else:
            given_up = asyncio.create_task(ticket.results())
            await asyncio.sleep(0)
            given_up.cancel()
            await asyncio.gather(ticket.results(), ticket.results())
        assert ticket.done

    SHELLS[shell](scenario, served.address, timeout_s=5)


def test_a_subscription_may_ask_for_one_item(run: Run) -> None:
    async def scenario(client: Any) -> None:
        await client.submit(moves("a", "b", "a"))
        positions = []
        async for position, _ in client.subscribe(item="a"):
            positions.append(position)
            if position == 3:
                break
        assert positions == [1, 3]

    run(scenario)


def test_a_name_goes_on_where_its_last_client_stopped(run: Run) -> None:
    async def scenario(client: Any) -> None:
        welcome = await client.connect()
        before = client.next_seq
        assert welcome.next_seq == before
        await client.submit(moves("a", "b"))
        assert client.next_seq == before + 2

    run(scenario, name="erp")
    run(scenario, name="erp")
    run(scenario, name="a name of 16 byt")


def test_two_of_one_name_cannot_both_go_on(run: Run, served: Served) -> None:
    async def scenario(client: Any) -> None:
        await client.submit(moves("a"))

        async def second(other: Any) -> None:
            await other.submit(moves("b"))

        SHELLS["blocking"](second, served.address, name="erp")
        with pytest.raises(Fenced, match="a newer session"):
            await client.submit(moves("c"))
        with pytest.raises(Fenced):
            await client.item("a")
        with pytest.raises(Fenced):
            await client.connect()

    run(scenario, name="erp")
    assert [item for _, item in served.server.applied] == ["a", "b"]


def test_a_time_out_says_what_is_known_and_the_client_goes_on(run: Run, served: Served) -> None:
    async def scenario(client: Any) -> None:
        await client.connect()
        served.deaf = True
        ticket = client.send(moves("a"))
        with pytest.raises(TimedOut, match=r"0\.2 s .*open.*; of 1 commands 0 were answered, 1 were sent"):
            await ticket.results()
        served.stop()
        with pytest.raises(TimedOut, match=r"no server is there.*StatisticsQuery goes on being asked"):
            await client.statistics()

    run(scenario, timeout_s=0.2)


def test_without_a_server_connecting_times_out(run: Run, served: Served) -> None:
    async def scenario(client: Any) -> None:
        with pytest.raises(TimedOut, match="no server is there"):
            await client.connect()

    served.stop()
    run(scenario, timeout_s=0.05)


def test_what_cannot_be_sent_is_refused_before_it_is_sent(run: Run, served: Served) -> None:
    async def scenario(client: Any) -> None:
        for value in (object(), 1 << 70, "\ud800"):
            with pytest.raises(CallerError, match="cannot be sent"):
                await client.submit([*moves("a"), m.UpdateItem("b", fields={"x": value})])

    run(scenario)
    assert served.server.applied == []


def test_a_reader_asks_and_does_not_submit(run: Run) -> None:
    async def scenario(client: Any) -> None:
        assert await client.statistics() == {"applied": 0}
        with pytest.raises(NotTaken, match="the role read sends no commands"):
            await client.submit(moves("a"))

    run(scenario, role="read")


@pytest.mark.parametrize("name", ["", "x" * 64, "a\0b"])
def test_a_name_that_cannot_be_is_refused(run: Run, name: str) -> None:
    async def scenario(client: Any) -> None:
        raise AssertionError("there is no client")

    with pytest.raises(CallerError, match="1 to 63 bytes"):
        run(scenario, name=name)


def test_an_address_that_is_none_is_the_operators_error() -> None:
    async def scenario(client: Any) -> None:
        raise AssertionError("there is no client")

    for shell in SHELLS.values():
        with pytest.raises(OperatorError, match="no address to connect to"):
            shell(scenario, "smoke://signals")


def test_an_error_in_the_users_block_comes_out_as_it_is(run: Run) -> None:
    async def scenario(client: Any) -> None:
        await client.connect()
        raise KeyError("of the user")

    with pytest.raises(KeyError, match="of the user"):
        run(scenario)
