"""Every error that a user or a plugin can cause.

    ZooError
    ├── OptionError        an option's value that does not exist or does not fit
    ├── SettingsError      a registry.toml or --config file that cannot be used
    ├── NameNotFound       no backbone, weights tag, block or data set of that name
    ├── PluginError        a plugin that breaks its contract
    ├── WeightsError       a weights file that is missing, damaged or does not fit
    │   └── DownloadError  something that could not be fetched, weights or data
    ├── DataError          images that are not there or cannot be used
    ├── RunError           a run folder that cannot be written or read
    ├── CacheError         the cache folder has no room or cannot be written
    ├── TrainingError      training that cannot go on
    │   ├── FrozenMoved    a frozen tensor that changed all the same
    │   └── NotFinite      a loss or a gradient that is no number
    └── LostProcess        another process of the same run is gone
        └── SaidElsewhere  ... and says itself what happened

Each message says what was asked, what exists, and what to do. The command line prints it as one line and exits with 1;
anything else that is raised is our own fault and keeps its traceback.
"""


class ZooError(Exception):
    """Base of all errors above."""


class OptionError(ZooError):
    """An option's value does not exist or does not fit."""


class SettingsError(ZooError):
    """A settings file cannot be read or holds something unknown."""


class NameNotFound(ZooError):
    """No backbone, weights tag, block or data set has that name."""


class PluginError(ZooError):
    """A plugin breaks its contract."""


class WeightsError(ZooError):
    """A weights file is missing, damaged or does not fit the backbone."""


class DownloadError(WeightsError):
    """Something could not be fetched."""


class DataError(ZooError):
    """Images are not there or cannot be used."""


class RunError(ZooError):
    """A run folder cannot be written or read."""


class CacheError(ZooError):
    """The cache folder has no room or cannot be written."""


class TrainingError(ZooError):
    """Training cannot go on."""


class FrozenMoved(TrainingError):
    """A frozen parameter or buffer changed during training."""


class NotFinite(TrainingError):
    """A loss or a gradient is not finite; the step that it belongs to was not taken."""


class LostProcess(ZooError):
    """Another process of the same run is gone, so that this one cannot go on."""

    def __init__(self, text: str, *, is_first_there: bool = False) -> None:
        super().__init__(text)
        #: Whether the first process is still there, and says the same.
        self.is_first_there = is_first_there


class SaidElsewhere(LostProcess):
    """Another process of the same run says what happened."""


#: What messages say when memory is short, besides torch's own error type: by cuBLAS, by cuDNN, and for processors.
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
    """Tell whether an error says that memory is short."""
    # torch's type by its name: this module never imports torch.
    if isinstance(error, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
        return True
    return isinstance(error, RuntimeError) and any(message in str(error) for message in _OUT_OF_MEMORY)
