"""The hot path's benchmark gives a figure only for what it read back, and says what differed otherwise.

M7.
"""

import json
from pathlib import Path

import msgspec
import pytest

from bench import __main__ as command, deals, hot_path, proof, report
from bench.deals import COMMANDS_PER_FRAME, STAGES, Changes
from bench.feed import Feeder, wait_any
from bench.reporter import Reporter, feed_and_report
from stagewheel.protocol.messages import ChangeStage

SHORT = ["hot_path", "--seconds", "0.2", "--items", "100", "--pairs", "1", "--latency-rate", "3000"]
decode_commands = msgspec.msgpack.Decoder(list[ChangeStage]).decode


def test_a_short_run_gives_every_figure_and_checks_all_it_sent(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([*SHORT, "--json", "-"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["items"], result["commands_per_frame"], result["items_checked"]) == (100, 64, 100)
    assert result["events"] >= 3 * COMMANDS_PER_FRAME
    assert result["ratio"] == pytest.approx(
        result["events_per_s"] / result["ceiling_events_per_s"], abs=0.002
    )
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p99"]
    assert result["with_delivery_per_s"] > 0
    assert 0 < result["with_senders_ratio"] == result["spread"]["with_senders_ratio"]["min"]
    assert result["with_senders_per_s"] > 0
    assert result["with_senders"]["mails"] % COMMANDS_PER_FRAME == 0
    assert result["with_senders"]["items_checked"] == 100
    assert result["delivery"]["mails"] % COMMANDS_PER_FRAME == 0
    assert result["spread"].keys() >= {"ratio", "events_per_s", "ceiling_events_per_s", "with_delivery_per_s"}
    assert result["machine"]["fdatasync_4k_us"] > 0


def test_there_is_no_figure_when_the_server_decided_something_else(tmp_path: Path) -> None:
    two_days = deals.ruleset(delay="2d")  # the proof wants mails that wait for one
    with pytest.raises(report.Failed, match="what waits for deal:"):
        hot_path.measure_rate(tmp_path, 100, 0.2, pairs=1, latency_rate=3000.0, documents=two_days)


def test_a_deal_that_somebody_else_moved_is_noticed(tmp_path: Path) -> None:
    with hot_path.loaded(tmp_path, items=10) as (served, feeder), served.client() as client:
        feeder.prepare(3)
        feeder.feed(seconds=10.0, frame_count=3)
        proof.counts(client, 10, feeder.events, versions=1, delivering=False)
        assert proof.watched(client, feeder.changes, feeder.answered, delivering=False) == 10
        drawn = feeder.changes.watched[7]
        client.change_stage("deal:7", next(stage for stage in STAGES if stage != drawn[-1].stage))
        with pytest.raises(report.Failed, match=r"stage of deal:7 is .*; it should be"):
            proof.watched(client, feeder.changes, feeder.answered, delivering=False)
        with pytest.raises(report.Failed, match=r"number of commands is 204; it should be 203"):
            proof.counts(client, 10, feeder.events, versions=1, delivering=False)


def test_a_command_that_fails_or_is_refused_ends_the_measurement(tmp_path: Path) -> None:
    with hot_path.loaded(tmp_path, items=1) as (served, _):
        with Feeder(served.address, Changes(1_000_000)) as feeder:
            feeder.prepare(1)
            with pytest.raises(report.Failed, match=r"was not applied: .*unknown_item"):
                feeder.feed(seconds=10.0)
        with Feeder(served.address, Changes(1)) as feeder:
            feeder.sent = 1  # leaves a hole in the numbers
            feeder.prepare(1)
            with pytest.raises(report.Failed, match="not an answer: gap"):
                feeder.feed(seconds=10.0)


def test_a_reporter_whose_session_another_took_over_ends_the_measurement(tmp_path: Path) -> None:
    bare = deals.ruleset(rules=False)
    with hot_path.loaded(tmp_path, 10, bare, deals.ruleset()) as (served, feeder):
        feeder.prepare(1)
        with Reporter(served.address) as one:
            feed_and_report(feeder, one, 1)
            assert one.reported == feeder.events == COMMANDS_PER_FRAME
            with Reporter(served.address):
                one.ask()
                assert wait_any([one.socket], 10.0)
                with pytest.raises(report.Failed, match="neither jobs nor a receipt: hello_first"):
                    one.step()


def test_a_deal_changes_stage_and_amount_with_each_command() -> None:
    changes = Changes(count=5, watched=range(5))
    sent = [decode_commands(bytes(changes.frame())) for _ in range(20)]
    for number in range(5):
        seen = [one for frame in sent for one in frame if one.item == deals.key(number)]
        kept = changes.watched[number]
        assert [(one.stage, one.fields["amount"]) for one in seen] == [(c.stage, c.amount) for c in kept]
        before = (STAGES[0], deals.FIRST_AMOUNT)
        for change in kept:
            assert change.stage != before[0]
            assert change.amount != before[1]
            assert change.amount <= deals.AMOUNT_MAX
            before = (change.stage, change.amount)


def test_percentiles_are_those_of_the_nearest_rank() -> None:
    told = hot_path.percentiles([float(n) for n in range(200, 0, -1)], 1000.0)
    assert (told["p50"], told["p90"], told["p99"], told["p99_9"], told["max"]) == (100, 180, 198, 200, 200)
    assert hot_path.percentiles([3.0], 1000.0)["p50"] == 3.0
