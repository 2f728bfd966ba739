"""stagewheel runs automation rules for items that move through stages: its client and its server."""

from typing import Final

__version__: Final = "0.1.0"
