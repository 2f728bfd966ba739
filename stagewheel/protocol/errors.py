"""Errors of the wire, and what a client is told of its commands' fate.

Laws: a `FrameError` harms only its message, the connection goes on; its `code` is the one of `codes.REFUSED`
that answers it. An error about commands says what is known of them: not sent, not taken, or unknown.
"""

from typing import ClassVar

from stagewheel.errors import CallerError, PeerError, StagewheelError


class FrameError(PeerError):
    """A frame that is no message of ours."""

    code: ClassVar[str] = "malformed"


class Malformed(FrameError):
    """Not three frames, a header of another length, or a payload that does not fit its kind."""


class UnknownVersion(FrameError):
    """A protocol version that this build does not speak."""

    code = "version"


class UnknownKind(FrameError):
    """A kind of message that this build does not know."""

    code = "unknown_kind"


class Oversize(FrameError):
    """More commands or bytes than one frame may hold."""

    code = "oversize"


class ProtocolBroken(PeerError):
    """The other end did what the protocol does not allow; the session is over."""


class Fenced(CallerError):
    """A newer client with the same name has begun; this one is over, for good.

    Commands that were sent may or may not have been applied; those never sent were not.
    """


class Expired(CallerError):
    """The server knows this producer no more: rows of idle producers are dropped after some days.

    Commands that were sent may or may not have been applied long ago; look at the items before sending again.
    """


class NotTaken(CallerError):
    """The server refused these commands for good; none was taken. `code` is one of `codes.REFUSED`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class TooLarge(CallerError):
    """A command that does not fit into one frame; it was not sent."""


class TooMuchOutstanding(CallerError):
    """More commands wait for their results than a client keeps; take results before sending more."""


class Closed(CallerError):
    """The client was closed; commands not yet answered may or may not have been applied."""


class CommandFailed(CallerError):
    """The server decided that the command fails; nothing changed. `code` is one of `codes.FAILED`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class QueryRefused(CallerError):
    """A query or subscription that the server does not answer. `code` is one of `codes.REFUSED`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class TimedOut(StagewheelError):
    """No answer in time. The message says what is known; what was sent goes on being resent while the client
    lives, so a command may still be applied.
    """
