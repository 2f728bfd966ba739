"""Links of messages in a scenario: there is no edge, so a text shows the address that a link leads to, and an
unsubscribing link says what it would do.
"""

from stagewheel.server.core.scope import LinkMaker
from stagewheel.server.links import Origin

EDGE = "https://edge.example"


class ScenarioLinks:
    """In place of `server.links.Links`."""

    def of(self, origin: Origin) -> LinkMaker:
        """The same for every action."""
        return _Plain()


class _Plain:
    def click(self, url: str) -> str:
        """Where it leads."""
        return url

    def open(self) -> str:
        """No picture."""
        return ""

    def unsubscribe(self, channel: str, address: str) -> str:
        """Whom it would unsubscribe of what."""
        return f"{EDGE}/u/{channel}/{address}"

    def document(self, template: str, file: str) -> str:
        """Which file it shows."""
        return f"{EDGE}/d/{file}"

    def qr(self, url: str, title: str, text: str) -> str:
        """Where it leads."""
        return f"{EDGE}/q/{url or title}"
