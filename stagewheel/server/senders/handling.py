"""A job of an application action as its HTTP handler gets it: as the decision had it, done as it is
registered now (H8).
"""

import msgspec

from stagewheel.protocol.messages import ActionSpec
from stagewheel.server.core.app_actions import PARAMETERS
from stagewheel.server.core.effects import OutboxRow
from stagewheel.server.rules.app import AppContent


def handled(content: AppContent, handler: ActionSpec, row: OutboxRow) -> AppContent:
    """With parameters of the row, and address and time-out of the registration."""
    return msgspec.structs.replace(
        content, parameters=row.roots.get(PARAMETERS) or {}, url=handler.url, timeout_ms=handler.timeout_ms
    )
