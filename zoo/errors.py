"""Every error that a user or a plugin can cause.

    ZooError
    ├── OptionError        an option has an unknown or unsupported value
    ├── SettingsError      a registry.toml or --config file cannot be used
    ├── NameNotFound       no backbone, weights tag, block or data set has that name
    ├── PluginError        a plugin breaks its contract
    ├── WeightsError       a weights file is missing, is damaged or does not match
    │   └── DownloadError  weights or data could not be downloaded
    ├── DataError          images are missing or cannot be used
    ├── RunError           a run folder cannot be written or read
    ├── ExportError        a run cannot be exported, or its export gives other probabilities
    ├── CacheError         the cache folder is full or cannot be written
    ├── TrainingError      training cannot continue
    │   ├── FrozenMoved    a frozen parameter or buffer changed
    │   ├── NotFinite      a loss or a gradient is not finite
    │   └── NotEnoughMemory  one of several processes is out of memory
    └── PeerError          another process of the same run ended
        └── ReportedByPeer ... and that process reports why

Each message says what was asked, what exists, and what to do. The command line prints it as one line and exits with
status 1. Any other exception is a bug in zoo and keeps its traceback.
"""


class ZooError(Exception):
    """Base class of all errors that a user or a plugin can cause."""


class OptionError(ZooError):
    """An option has an unknown or unsupported value."""


class SettingsError(ZooError):
    """A settings file cannot be read or contains an unknown key."""


class NameNotFound(ZooError):
    """No backbone, weights tag, block or data set has that name."""


class PluginError(ZooError):
    """A plugin breaks its contract."""


class WeightsError(ZooError):
    """A weights file is missing, is damaged or does not match the backbone."""


class DownloadError(WeightsError):
    """Weights or data could not be downloaded."""


class DataError(ZooError):
    """Images are missing or cannot be used."""


class RunError(ZooError):
    """A run folder cannot be written or read."""


class ExportError(ZooError):
    """A run cannot be exported, or its export gives other probabilities than the run."""


class CacheError(ZooError):
    """The cache folder is full or cannot be written."""


class TrainingError(ZooError):
    """Training cannot continue."""


class FrozenMoved(TrainingError):
    """A frozen parameter or buffer changed during training."""


class NotFinite(TrainingError):
    """A loss or a gradient is not finite. The optimizer step was not taken."""


class NotEnoughMemory(TrainingError):
    """A process is out of memory in a step that the other processes cannot repeat. The step was not taken."""


class PeerError(ZooError):
    """Another process of the same run ended, so this one cannot continue."""

    def __init__(self, text: str, *, is_reported_by_first: bool = False) -> None:
        super().__init__(text)
        #: Whether the first process is still running and reports the same error.
        self.is_reported_by_first = is_reported_by_first


class ReportedByPeer(PeerError):
    """Another process of the same run ended and reports why, so this one does not."""


#: Substrings of the out-of-memory errors of cuBLAS, cuDNN and the CPU, which do not have torch's own type.
_OUT_OF_MEMORY = (
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED",
    "unable to find an engine to execute this computation",
    "Unable to find a valid cuDNN algorithm",
    "can't allocate memory",
    "not enough memory",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that a GPU or this machine is out of memory."""
    # torch's type is recognized by its name, because this module never imports torch.
    if isinstance(error, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
        return True
    return isinstance(error, RuntimeError) and any(message in str(error) for message in _OUT_OF_MEMORY)
