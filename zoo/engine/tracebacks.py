"""Release of the memory that the traceback of an error keeps in use."""

from __future__ import annotations

import traceback


def free_tensors(error: BaseException) -> None:
    """Clear the local variables of all frames in the traceback of an error, so that their tensors are freed.

    Deleting the error is not enough, because it can be part of a reference cycle, which only the garbage collector
    frees. With Python 3.12, this is the case for every error that has passed through a generator-based context manager.
    """
    linked: BaseException | None = error
    while linked is not None:
        traceback.clear_frames(linked.__traceback__)
        linked = linked.__cause__ or linked.__context__
