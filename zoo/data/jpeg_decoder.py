"""Find torchvision's JPEG decoder without importing torchvision."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

#: Names of the library with torchvision's image operators, the newest first.
_LIBRARIES = ("image_stable", "image")


@cache
def find_jpeg_decoder() -> Callable[..., Tensor] | None:
    """Load the library that registers ``torch.ops.image.decode_jpeg``, and return this operator.

    It is libjpeg-turbo. The public function for it in ``torchvision.io`` has been deprecated since 0.29, and the
    warning is an error in strict test suites. Importing torchvision would load the same library, but takes nearly as
    long as importing torch, because it also imports all of its networks.

    Returns:
        The operator, or None if torchvision was built without it or does not fit the installed torch.
    """
    package = importlib.util.find_spec("torchvision")
    folders = [*package.submodule_search_locations] if package and package.submodule_search_locations else []
    for name in _LIBRARIES:
        found = importlib.machinery.PathFinder.find_spec(name, folders)
        if found and found.origin:
            try:
                torch.ops.load_library(found.origin)  # type: ignore[no-untyped-call]  # torch's own
            except OSError:  # It was built for another version of torch.
                continue
            break
    return getattr(torch.ops.image, "decode_jpeg", None)
