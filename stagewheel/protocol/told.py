"""What a process beside the shard tells of itself, for statistics alone.

Import these names from `messages.py`.
"""

from stagewheel.protocol.base import Command


class TellCounts(Command, tag=45):
    """The process `process` (as `inbound`) has done so much since it began. It is kept in memory and decides
    nothing.
    """

    process: str = ""
    counts: dict[str, int] = {}
