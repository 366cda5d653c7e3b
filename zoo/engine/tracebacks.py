"""Release of the memory that the traceback of an error keeps in use."""

from __future__ import annotations

import traceback

from zoo.errors import is_out_of_memory


def free_tensors(error: BaseException) -> None:
    """Clear the local variables of all frames in the traceback of an error, so that their tensors are freed.

    Deleting the error is not enough, because it can be part of a reference cycle, which only the garbage collector
    frees. With Python 3.12, this is the case for every error that has passed through a generator-based context manager.

    Args:
        error: Error of a failed attempt. The errors that caused it are included. An error that was handled before, such
            as one that the caller handles, is not.
    """
    traceback.clear_frames(error.__traceback__)
    cause = error.__cause__ or error.__context__
    if cause is not None and (cause is error.__cause__ or is_out_of_memory(cause)):
        traceback.clear_frames(cause.__traceback__)
