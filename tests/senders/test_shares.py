"""Limits of a provider hold over all sender processes together, however many there are."""

from pathlib import Path

import pytest

from stagewheel.server.config import channels_of, load
from stagewheel.server.senders import rate

SETTINGS = """
shards = {shards}
senders = {senders}
[channels.email]
host = "mail.example.net"
default_from = "desk@example.net"
pool_size = 10
rate_per_s = 50.0
[channels.email.providers.bulk]
host = "bulk.example.net"
rate_per_s = 3.0
[channels.webhook]
per_group_max = 3
"""


@pytest.mark.parametrize(("shards", "senders", "processes"), [(1, 1, 1), (1, 2, 2), (3, 2, 6), (2, 0, 1)])
def test_rates_and_sizes_add_up_to_what_was_said(
    shards: int, senders: int, processes: int, tmp_path: Path
) -> None:
    path = tmp_path / "serve.toml"
    path.write_text(SETTINGS.format(shards=shards, senders=senders))
    channels = channels_of(load(str(path), {}))
    assert channels.email.rate_per_s * processes == pytest.approx(50.0)
    assert channels.email.members["bulk"].rate_per_s * processes == pytest.approx(3.0)
    assert channels.email.pool_size == 10 // processes
    assert channels.email.members["bulk"].pool_size == 16 // processes
    assert channels.webhook.per_group_max == max(1, 3 // processes)
    assert channels.email.host == "mail.example.net"


def test_a_share_of_a_rate_is_never_no_limit(tmp_path: Path) -> None:
    path = tmp_path / "serve.toml"
    path.write_text("shards = 16\nsenders = 16\n[channels.webhook]\nrate_per_s = 0.01\n")
    share = channels_of(load(str(path), {})).webhook
    assert rate.full(share.rate_per_s, 0).rate_micro_per_ms == 1
    assert share.pool_size == 1
