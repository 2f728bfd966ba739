"""The process of mail in: `server/inbound` with a client of the client library, which only here may meet.

It is started by the supervisor and is no command. The client has a name, so that what it resends after a
restart of the shard is done once; a predecessor that was killed is fenced by the same name.
"""

import functools
import sys

from stagewheel.client.asyncio_client import open_client
from stagewheel.errors import OperatorError
from stagewheel.server.child import run_child, say
from stagewheel.server.config import shard_address
from stagewheel.server.inbound.process import run_inbound
from stagewheel.server.supervisor import Role


def work(role: Role) -> None:
    """Take mails until told to end."""
    config = role.config.inbound
    if config is None:
        raise OperatorError("there is no [inbound] in the configuration")
    addresses = [shard_address(role.config, shard) for shard in range(role.config.shards)]
    open_shard = functools.partial(open_client, addresses, role.name, config.answer_timeout_s)
    run_inbound(
        config,
        open_shard,
        lambda where: say({"ready": role.name, "inbound": where}),
        shards=role.config.shards,
    )


if __name__ == "__main__":
    sys.exit(run_child(work, final=OperatorError))
