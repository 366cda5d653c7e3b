"""Run a model whose forward pass reads the values of tensors, without computing any."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch._subclasses import fake_tensor

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def fake_tensors() -> Iterator[None]:
    """Return a context in which tensors have a device but no values.

    Unlike tensors on the meta device, transformers knows them, and does not read their values. torch logs each
    operation that fails, such as those of images with a size that a model does not accept.
    """
    log = logging.getLogger(fake_tensor.__name__)
    was_disabled, log.disabled = log.disabled, True
    try:
        with fake_tensor.FakeTensorMode():
            yield
    finally:
        log.disabled = was_disabled
