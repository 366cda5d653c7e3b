"""Silence transformers while it builds or loads a model."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Return a context without the warnings and the progress bars of transformers.

    It warns about tensors that a file lacks, which zoo reports itself, and about text configurations, which no image
    classifier uses.
    """
    from transformers import utils

    logging: Any = utils.logging  # Its functions have no types.
    level, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if has_bars:
            logging.enable_progress_bar()
