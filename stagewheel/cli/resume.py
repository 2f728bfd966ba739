"""`stagewheel resume`: see `hold.py`, which knows both."""

from stagewheel.cli.hold import resume as command

__all__ = ["command"]
