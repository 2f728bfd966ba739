"""Every error of stagewheel, split by whose fault it is; who reads one knows who has to act.

Laws: one root class; a message says what was wrong and what to do, and never holds a secret; foreign
exceptions are mapped to these at the adapter that met them. A subclass that only one room raises may stand
in that room's module.
"""


class StagewheelError(Exception):
    """Root of all our errors: `except StagewheelError` catches what we raise on purpose, and nothing else."""


class CallerError(StagewheelError):
    """The caller's: a wrong argument, an unknown item, an impossible command; repeating does not help."""


class OperatorError(StagewheelError):
    """The operator's: a flag, a configuration value, an address that this server does not accept."""


class PeerError(StagewheelError):
    """The other end of a connection: a malformed frame, a broken protocol rule, a version out of range."""


class RuleError(StagewheelError):
    """The rule author's: a mistake in a ruleset, a template or an expression."""


class ProviderError(StagewheelError):
    """A provider's: a mail server, a webhook's host or another outside service failed or refused."""


class InternalError(StagewheelError):
    """Ours: a law of the house was broken in code. The turn crashes; nothing tries to go on."""


class StorageError(StagewheelError):
    """The data folder's or its disk's."""


class StoreBusy(StorageError):
    """Another process uses this folder; `holder_pid` is its process id where it could be read."""

    def __init__(self, folder: str, holder_pid: int | None) -> None:
        who = f"process {holder_pid}" if holder_pid is not None else "another process"
        super().__init__(
            f"the data folder {folder} is in use by {who}; stop it first or choose another folder"
        )
        self.folder = folder
        self.holder_pid = holder_pid


class StoreFull(StorageError):
    """No room for this transaction, on disk or in the map; nothing of it was stored. Abort, try later."""


class StoreVersion(StorageError):
    """The folder was written in a format that this build does not read."""


class StoreBroken(StorageError):
    """The storage failed and its state is unknown to us: end the process, and look at the disk."""


class StoreMisused(InternalError):
    """The store's interface was used against its laws: two writers, use after its end or after fork."""


def first_of(errors: BaseExceptionGroup[StagewheelError]) -> StagewheelError:
    """Nurseries wrap what ends them; one of our errors is all there is to say."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, StagewheelError)
    return error
