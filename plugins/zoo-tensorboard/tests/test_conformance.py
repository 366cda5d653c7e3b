"""The plugin can be listed without torch, and keeps the other promises of a plugin."""

from __future__ import annotations

import pytest

pytest.importorskip("zoo_tensorboard", reason="the plugin is not installed")

from zoo.testing import conformance

test_conformance = conformance("tensorboard")
