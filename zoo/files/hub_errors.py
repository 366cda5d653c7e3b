"""What the errors of huggingface_hub mean for the user."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from json import JSONDecodeError
from types import TracebackType

from zoo.errors import DownloadError, RunError, ZooError
from zoo.files.download import is_offline

_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"


class Attempt:
    """A context that turns the errors of requests about a repository into ZooErrors.

    Other exceptions are bugs, and keep their type and their traceback.

    Raises:
        DownloadError: If the server cannot be reached or fails, or if the disk is full.
        RunError: If there is no such repository or revision, if the user has no access to it, or if it changed during
            a push.
    """

    def __init__(self, repo: str, revision: str | None = None, *, is_upload: bool = False) -> None:
        self._repo = repo
        self._revision = revision
        self._is_upload = is_upload

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: TracebackType | None) -> None:
        if isinstance(error, Exception) and not isinstance(error, ZooError) and _is_expected(error):
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
        if status in (401, 403, 412):
            return self._explain_refusal(status)
        if isinstance(error, errors.HFValidationError):
            return RunError(f"{self._repo!r} cannot be a repository on the Hub: {_shorten(error)}.")
        return self._explain_connection(error)

    def _explain_refusal(self, status: int) -> RunError:
        if status == 412:
            return RunError(f"{self._repo} changed during the push, so nothing was pushed; look at it, and push again.")
        return RunError(f"the Hub refuses access to {self._repo} (HTTP {status}); {_LOG_IN}.")

    def _explain_connection(self, error: Exception) -> ZooError:
        from huggingface_hub import constants, errors

        verb = f"push to {self._repo}" if self._is_upload else f"fetch hf://{self._repo}"
        missing = (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled)
        if isinstance(error, missing) and (is_offline() or constants.HF_HUB_OFFLINE):
            variable = "ZOO_OFFLINE" if is_offline() else "HF_HUB_OFFLINE"
            clause = "" if self._is_upload else ", and it is not on this machine"
            return DownloadError(f"Cannot {verb}: {variable} is set{clause}. Unset {variable}.")
        if any(getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT) for cause in _list_causes(error)):
            advice = "Free disk space, or set HF_HOME to a folder on another disk"
            return DownloadError(f"Cannot {verb}: {_shorten(error)}. {advice}.")
        return DownloadError(f"Cannot {verb}: {_shorten(error)}. Try again.")


def _is_expected(error: Exception) -> bool:
    """Return whether the disk, the server or huggingface_hub raised an error, and not a bug."""
    from huggingface_hub import errors

    # One of the bases belongs to the HTTP library, whose name depends on the version.
    kinds = {kind.__module__.partition(".")[0] for kind in errors.HfHubHTTPError.__mro__} - {"builtins"}
    libraries = {*kinds, "hf_xet"}
    return any(
        # A proxy may answer with a page in place of JSON.
        isinstance(cause, (OSError, JSONDecodeError))
        or type(cause).__module__.partition(".")[0] in libraries
        # hf_xet raises plain RuntimeErrors. It is not written in Python, so its caller is the last frame.
        or (isinstance(cause, RuntimeError) and _find_origin(cause) in libraries)
        for cause in _list_causes(error)
    )


def _find_origin(error: Exception) -> str:
    """Return the name of the package whose code raised an error, or an empty string if it was not raised."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0] if trace else ""


def _list_causes(error: BaseException | None) -> Iterator[Exception]:
    """List an error and its causes."""
    while isinstance(error, Exception):
        yield error
        error = error.__cause__


def _shorten(error: Exception) -> str:
    """Return the last cause of an error in one line."""
    *_, error = _list_causes(error)
    text = " ".join(str(error).split())
    return (f"{text:.200}" or type(error).__name__).rstrip(".")
