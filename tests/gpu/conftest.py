"""The device under test, and the recording of test results.

`run.sh` sets the device in ``ZOO_TEST_DEVICE``. Without this variable, these tests use the GPU, or are skipped if no
GPU is available.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from acme import draw_photos
from results import FAILED, PASSED, SKIPPED, VARIABLE, Result, record

_OUTCOMES = {"passed": PASSED, "failed": FAILED, "skipped": SKIPPED}


@pytest.fixture(scope="session")
def device() -> torch.device:
    """The device under test."""
    asked = os.environ.get("ZOO_TEST_DEVICE") or ("cuda" if torch.cuda.is_available() else "")
    if not asked:
        pytest.skip("no GPU is available; set ZOO_TEST_DEVICE to use a different device")
    if asked == "cuda":
        assert torch.cuda.is_available(), "CUDA is not available"
        return torch.device("cuda", 0)
    return torch.device(asked)


@pytest.fixture(scope="session")
def network() -> str:
    """The backbone to train: ResNet18, or with ``--quick`` the smallest backbone."""
    return "tiny/tiny" if os.environ.get("ZOO_TEST_QUICK", "1") else "torchvision/resnet18"


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of blue and red images, with 24 images per class in train and 8 in val."""
    folder = tmp_path_factory.mktemp("photos")
    draw_photos(folder / "train", per_class=24, seed=1)
    draw_photos(folder / "val", per_class=8, seed=2)
    return folder


@pytest.fixture(params=["fp32", "bf16", "fp16"])
def precision(request: pytest.FixtureRequest, device: torch.device) -> str:
    """Each precision that the device supports."""
    name: str = request.param
    if name == "fp16" and device.type == "cpu":
        pytest.skip("fp16 needs a GPU")
    return name


@pytest.fixture
def own_environment(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Return the environment of a child process with its own caches."""

    def make(**more: str) -> dict[str, str]:
        return {**os.environ, "ZOO_CACHE": str(tmp_path / "child-cache"), "ZOO_OFFLINE": "1", **more}

    return make


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Record the outcome of each test if `run.sh` started the tests. Only the main process of xdist records."""
    is_final = report.when == "call" or report.outcome != "passed"
    if not is_final or VARIABLE not in os.environ or "PYTEST_XDIST_WORKER" in os.environ:
        return
    reason = ""
    if report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
    elif report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        reason = (crash.message if crash else str(report.longrepr)).strip().partition("\n")[0]
    name = report.nodeid.rpartition("/")[2].replace(".py::test_", ": ").replace("_", " ")
    record(Result("correctness", name, _OUTCOMES[report.outcome], reason))
