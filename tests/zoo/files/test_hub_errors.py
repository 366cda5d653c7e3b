from __future__ import annotations

import errno
import json

import pytest

from zoo.errors import DownloadError, RunError
from zoo.files.hub_errors import Attempt

errors = pytest.importorskip("huggingface_hub.errors")


def attempt(error: Exception, cause: Exception | None = None, *, is_upload: bool = False) -> None:
    with Attempt("me/first", is_upload=is_upload):
        raise error from cause


@pytest.mark.parametrize("bug", [TypeError("x"), ValueError("x"), RuntimeError("x"), KeyError("x"), MemoryError("x")])
def test_a_bug_keeps_its_type(bug: Exception) -> None:
    with pytest.raises(type(bug)) as caught:
        attempt(bug)
    assert caught.value is bug


@pytest.mark.parametrize(
    "error", [ConnectionResetError("lost"), errors.HTTPError("lost"), errors.EntryNotFoundError("lost")]
)
def test_errors_of_the_disk_the_connection_and_the_library_are_download_errors(error: Exception) -> None:
    with pytest.raises(DownloadError, match=r"Cannot fetch hf://me/first: lost\. Try again\."):
        attempt(error)


def test_an_error_that_the_library_caught_is_recognized() -> None:
    with pytest.raises(DownloadError, match=r"Cannot push to me/first: lost\. Try again\."):
        attempt(RuntimeError("Error while uploading"), errors.HTTPError("lost"), is_upload=True)


def test_a_plain_error_of_code_that_is_not_python_is_recognized_by_its_caller() -> None:
    with pytest.raises(DownloadError, match="CAS service error"), Attempt("me/first"):
        exec("raise RuntimeError('CAS service error')", {"__name__": "huggingface_hub.file_download"})


def test_a_page_in_place_of_json_is_a_download_error() -> None:
    with pytest.raises(DownloadError, match="Expecting value"), Attempt("me/first"):
        json.loads("<html>")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_not_worth_another_attempt(code: int) -> None:
    with pytest.raises(DownloadError) as caught:
        attempt(OSError(code, "No space left on device"))
    assert str(caught.value).endswith("left on device. Free disk space, or set HF_HOME to a folder on another disk.")


def test_a_refused_name_is_a_run_error() -> None:
    with pytest.raises(RunError, match="cannot be a repository on the Hub: bad"):
        attempt(errors.HFValidationError("bad"))
