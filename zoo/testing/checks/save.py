"""Promises of saving."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from zoo.models.freeze import Frozen
from zoo.runs.model_file import make_header, save_model
from zoo.testing.backbone_under_test import BackboneUnderTest
from zoo.testing.checks.forward import are_close
from zoo.testing.isolation.fresh_process import reopen_in_fresh_process
from zoo.testing.results.result import CheckFailed, describe_with_place


def roundtrip(backbone: BackboneUnderTest) -> None:
    """By zoo's own export, into a process that has built nothing yet."""
    model = backbone.network.model
    logits, digest = backbone.first_logits, Frozen(model, ()).digest()
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        save_model(model, make_header(backbone.network, [str(index) for index in range(logits.shape[1])]), path)
        try:
            reopened = reopen_in_fresh_process(backbone, path)
        except Exception as error:
            raise CheckFailed(f"a fresh process cannot load what was saved: {describe_with_place(error)}") from error
    if reopened.digest != digest:
        raise CheckFailed("a fresh process has other parameters or buffers; make the unsaved ones the same every time.")
    if not are_close(reopened.logits, logits, 1e-5):
        raise CheckFailed(
            "the same parameters and buffers give other logits in a fresh process; keep what forward() reads in them."
        )
