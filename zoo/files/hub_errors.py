"""What the errors of huggingface_hub mean for the user."""

from __future__ import annotations

from types import TracebackType

from zoo.errors import DownloadError, RunError, ZooError
from zoo.files.download import is_offline

_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"


class Attempt:
    """A context that turns the errors of requests about a repository into ZooErrors.

    Raises:
        DownloadError: If the server cannot be reached or fails.
        RunError: If there is no such repository or revision, or if the user has no access to it.
    """

    def __init__(self, repo: str, revision: str | None = None, *, is_upload: bool = False) -> None:
        self._repo = repo
        self._revision = revision
        self._is_upload = is_upload

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: TracebackType | None) -> None:
        # The library raises exceptions of many types, also from packages that it uses.
        if isinstance(error, Exception) and not isinstance(error, (ZooError, MemoryError)):
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> ZooError:
        from huggingface_hub import errors

        # The library reports some refusals as files that are missing on this machine.
        if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, errors.HfHubHTTPError):
            error = error.__cause__
        if isinstance(error, errors.GatedRepoError):
            return RunError(f"access to {self._repo} must be granted first; ask for it on the Hub, and {_LOG_IN}.")
        status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else 0
        if isinstance(error, errors.RepositoryNotFoundError) or (status == 401 and not self._is_upload):
            return RunError(f"the Hub has no {self._repo}, or it is private; check the name, or {_LOG_IN}.")
        if isinstance(error, errors.RevisionNotFoundError):
            return RunError(f"{self._repo} on the Hub has no revision {self._revision!r}; omit it, or check its name.")
        if status in (401, 403):
            return RunError(f"the Hub refuses access to {self._repo} (HTTP {status}); {_LOG_IN}.")
        if isinstance(error, errors.HFValidationError):
            return RunError(f"{self._repo!r} cannot be a repository on the Hub: {_shorten(error)}.")
        return self._explain_connection(error)

    def _explain_connection(self, error: Exception) -> ZooError:
        from huggingface_hub import constants, errors

        verb = f"push to {self._repo}" if self._is_upload else f"fetch hf://{self._repo}"
        missing = (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled)
        if isinstance(error, missing) and (is_offline() or constants.HF_HUB_OFFLINE):
            variable = "ZOO_OFFLINE" if is_offline() else "HF_HUB_OFFLINE"
            clause = "" if self._is_upload else ", and it is not on this machine"
            return DownloadError(f"Cannot {verb}: {variable} is set{clause}. Unset {variable}.")
        return DownloadError(f"Cannot {verb}: {_shorten(error)}. Try again.")


def _shorten(error: Exception) -> str:
    """Return the last cause of an error in one line."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    text = " ".join(str(error).split())
    return (f"{text:.200}" or type(error).__name__).rstrip(".")
