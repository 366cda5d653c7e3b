"""A module that takes long to import."""

from __future__ import annotations

import numpy as np

__all__ = ["np"]
