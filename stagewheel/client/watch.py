"""One descriptor to sleep on, for the sockets of one shard or of several.

With one socket it is its own; with several, that of a poller which watches them all. A shell looks at
`fd` after every pump: another number is another descriptor.
"""

import select
from collections.abc import Sequence


class Watch:
    """See the module."""

    def __init__(self, descriptors: Sequence[int]) -> None:
        self._poller: select.epoll | None = None
        self.fd = descriptors[0]
        self.follow(descriptors)

    def follow(self, descriptors: Sequence[int]) -> None:
        """Watch these from now on."""
        old, self._poller = self._poller, None
        if len(descriptors) > 1:
            self._poller = select.epoll()
            for descriptor in descriptors:
                self._poller.register(descriptor, select.EPOLLIN)
        self.fd = descriptors[0] if self._poller is None else self._poller.fileno()
        if old is not None:
            old.close()  # last, so that the new one has another number

    def close(self) -> None:
        """The sockets are closed by their owners."""
        if self._poller is not None:
            self._poller.close()
            self._poller = None
