"""`stagewheel alias` (`erase.py`)."""

from stagewheel.cli.erase import alias as command

__all__ = ["command"]
