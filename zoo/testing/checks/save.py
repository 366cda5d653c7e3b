"""Checks of saving."""

from __future__ import annotations

import copy
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from zoo.models.freeze import digest_frozen
from zoo.runs.folder import MODEL
from zoo.runs.model_file import make_header, save_model
from zoo.runs.upstream_code import CALL, has_call, list_code
from zoo.testing.backbone_under_test import NUM_CLASSES, SEED, BackboneUnderTest, generate_images
from zoo.testing.checks.forward import are_close
from zoo.testing.isolation.constructors import build_without_zoo
from zoo.testing.isolation.fresh_process import reopen_in_fresh_process
from zoo.testing.results.result import CannotCheck, CheckFailed, NotApplicable, describe_with_place

#: Smallest difference between the logits of two images with which a network can be compared with another one, as a
#: fraction of the largest logit.
MIN_SPREAD = 1e-3
#: Standard deviation of the noise that is added to vectors and scalars.
NOISE = 0.1


def roundtrip(backbone: BackboneUnderTest) -> None:
    """Save the model as zoo saves a run, and load it in a process that has not built anything yet."""
    model = backbone.network.model
    logits, digest = backbone.run(backbone.images[:1]), digest_frozen(model, ())
    with TemporaryDirectory() as folder:
        path = Path(folder, MODEL)
        _save(backbone, model, path)
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


def card(backbone: BackboneUnderTest) -> None:
    """Run the code of the model card on a saved model, in a process where zoo cannot be imported."""
    spec = backbone.spec
    if spec.constructor is None:
        raise NotApplicable("it declares no constructor")
    model, images = _perturb(copy.deepcopy(backbone.network.model)), generate_images(spec.input.size)
    with torch.no_grad():
        wanted = model(images)
    spread = (wanted[0] - wanted[1]).abs().max().item()
    if not wanted.isfinite().all() or spread < MIN_SPREAD * max(wanted.abs().max().item(), 1e-20):
        raise CannotCheck(
            "with random weights, its logits are not finite or hardly depend on the image, so comparing them would "
            "prove nothing"
        )
    with TemporaryDirectory() as folder:
        _save(backbone, model, Path(folder, MODEL))
        code, call = list_code(spec, NUM_CLASSES, spec.input.size), CALL if has_call(spec) else "model"
        found = _run_code(code, images, Path(folder), call=call)
    if found.shape != wanted.shape or not are_close(found, wanted, 1e-5):
        raise CheckFailed(
            "the network of its constructor returns different logits with the same parameters; the constructor must "
            "pass the same options and register the same hooks as build."
        )


def _perturb(model: nn.Module) -> nn.Module:
    """Change the vectors and scalars of a model, such as biases and layer scales.

    As initialized, many of them are near 0. They then hide the layers before them, such as a different activation.
    """
    generator = torch.Generator().manual_seed(SEED)
    for parameter in model.parameters():
        if parameter.ndim <= 1 and (parameter.is_floating_point() or parameter.is_complex()):
            parameter.data.add_(NOISE * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def _save(backbone: BackboneUnderTest, model: nn.Module, path: Path) -> None:
    """Save a network as zoo saves a run."""
    save_model(model, make_header(backbone.network, [*map(str, range(NUM_CLASSES))]), path)


def _run_code(code: list[str], images: Tensor, folder: Path, *, call: str) -> Tensor:
    """Run the code in a folder that contains the saved model, and return the logits that ``call`` computes."""
    save_file({"images": images}, folder / "images.safetensors")
    build_without_zoo(
        [
            f"import os; os.chdir({str(folder)!r})",
            *code,
            "import torch; from safetensors.torch import save_file",
            "with torch.no_grad():",
            f"    logits = {call}(load_file('images.safetensors')['images'])",
            "if not isinstance(logits, torch.Tensor):",
            f"    raise TypeError(f'{call} returns a {{type(logits).__name__}}, not logits')",
            "save_file({'logits': logits.contiguous()}, 'logits.safetensors')",
        ],
        on_meta_device=False,
    )
    return load_file(folder / "logits.safetensors")["logits"]
