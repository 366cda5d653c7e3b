"""Checks of saving."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from zoo.models.freeze import digest_frozen
from zoo.runs.model_file import make_header, save_model
from zoo.testing.backbone_under_test import BackboneUnderTest
from zoo.testing.checks.forward import are_close
from zoo.testing.isolation.fresh_process import reopen_in_fresh_process
from zoo.testing.results.result import CheckFailed, describe_with_place


def roundtrip(backbone: BackboneUnderTest) -> None:
    """Save the model as zoo saves a run, and load it in a process that has not built anything yet."""
    model = backbone.network.model
    logits, digest = backbone.run(backbone.images[:1]), digest_frozen(model, ())
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        save_model(model, make_header(backbone.network, [str(index) for index in range(logits.shape[1])]), path)
        try:
            found_digest, found_logits = reopen_in_fresh_process(backbone, path)
        except Exception as error:
            raise CheckFailed(f"a fresh process cannot load the saved model: {describe_with_place(error)}") from error
    if found_digest != digest:
        raise CheckFailed(
            "a fresh process has different parameters or buffers; buffers that are not saved must have the same values "
            "in every build."
        )
    if not are_close(found_logits, logits, 1e-5):
        raise CheckFailed(
            "the same parameters and buffers produce different logits in a fresh process; "
            "register all values that forward() reads as parameters or buffers."
        )
