"""A run stops before NaN or Inf can change its weights, wherever it comes from."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from acme import INPUT
from made_registries import registry_of
from recording_progress import RecordingProgress
from spoiling import INF, NAN, OPTIONS, SPEC, TAKEN, LeftFiles, Speaking, Spoil, times
from zoo.data.decode import decode_image
from zoo.data.transform import build_eval_transform
from zoo.engine.features.extractor import NUM_VERIFIED
from zoo.engine.learner import Learner
from zoo.engine.step import NotFinite
from zoo.registry.registry import Registry
from zoo.runs.checkpoints import Checkpoints
from zoo.training.finetune import finetune

LARGE = 3e38


def spoil_images(learner: Learner, value: float) -> None:
    learner.model.register_forward_pre_hook(lambda _module, given: times(given[0], value))


def spoil_output_of(path: str) -> Spoil:
    def spoil(learner: Learner, value: float) -> None:
        module = learner.model.get_submodule(path)
        module.register_forward_hook(lambda _module, _given, output: times(output, value))

    return spoil


def spoil_gradient_of(path: str) -> Spoil:
    return lambda learner, value: learner.model.get_parameter(path).register_hook(lambda found: times(found, value))


def set_gradients_of(*paths: str) -> Spoil:
    def spoil(learner: Learner, value: float) -> None:
        for path in paths:
            learner.model.get_parameter(path).register_hook(lambda found: torch.full_like(found, value))

    return spoil


def spoil_other_logits(learner: Learner, value: float) -> None:
    """Spoil the logits of the wrong classes, which matter only with label smoothing."""
    criterion = learner.criterion
    compute = criterion._compute_mean
    criterion._compute_mean = lambda logits, labels, weights: compute(  # type: ignore[method-assign]  # spoiled
        logits.scatter(1, 1 - labels[:, None], value), labels, weights
    )


def spoil_loss(learner: Learner, value: float) -> None:
    criterion = learner.criterion
    compute = criterion._compute_mean
    criterion._compute_mean = lambda logits, labels, weights: times(  # type: ignore[method-assign]  # spoiled
        compute(logits, labels, weights), value
    )


def spoil_class_weight(learner: Learner, value: float) -> None:
    weight = learner.criterion._class_weights
    assert weight is not None
    weight[-1] = value


def spoil_shares(learner: Learner, value: float) -> None:
    mix = learner.mix

    def spoiled_mix(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        mixed, found = mix(images, labels)
        return mixed, times(found, value)

    learner.mix = spoiled_mix


#: By name: a function that spoils something, its value, and the options of the run.
PLACES: dict[str, tuple[Spoil, float, dict[str, Any]]] = {
    **{
        f"{name} {value}": (spoil, value, options)
        for value in (NAN, INF)
        for name, (spoil, options) in {
            "pixel": (spoil_images, {}),
            "activation": (spoil_output_of("stem.0"), {}),
            "logit": (spoil_output_of("fc"), {}),
            "auxiliary logit": (spoil_output_of("aux"), {}),
            "loss": (spoil_loss, {}),
            "class weight": (spoil_class_weight, {"balance": "loss"}),
            "mixed share": (spoil_shares, {"mixup": 0.4}),
            **{
                f"gradient of {path}": (spoil_gradient_of(path), {})
                for path in (
                    "stem.0.weight", "stem.1.weight", "stem.1.bias", "hidden.weight", "fc.weight", "fc.bias", "aux.bias"
                )
            },
        }.items()
    },
    "smoothed label": (spoil_other_logits, -INF, {"label_smoothing": 0.1}),
    "sum of the gradients of parts": (set_gradients_of("fc.bias"), LARGE, {"accumulate": 3}),
    "norm of finite gradients": (set_gradients_of("fc.bias", "aux.bias"), LARGE, {}),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_step_that_is_not_finite_changes_nothing(
    run: Callable[..., None], interrupted: Callable[..., LeftFiles], output: Path, place: str
) -> None:
    spoil, value, options = PLACES[place]
    with pytest.raises(NotFinite) as caught:
        run(output, lambda learner: spoil(learner, value), **options)
    found = re.fullmatch(
        r"loss (\S+) with gradient norm (\S+), learning rate 0\.02 at step 2 of epoch 2; try a lower `lr`\. "
        r"The step was not taken\. Images in the batch: (.+)",
        str(caught.value),
    )
    assert found
    assert {found[1], found[2]} & {"nan", "inf"}
    assert sum(Path(path).is_file() for path in found[3].split(", ")) == OPTIONS["batch_size"]
    left, expected = LeftFiles.of(output), interrupted(**options)
    assert left.model == expected.model
    assert left.state is not None
    assert expected.state is not None
    assert left.state.facts["state"]["steps"] == TAKEN
    assert left.state.tensors.keys() == expected.state.tensors.keys()
    assert all(torch.equal(tensor, expected.state.tensors[name]) for name, tensor in left.state.tensors.items())


def test_logits_of_other_classes_do_not_matter_without_label_smoothing(run: Callable[..., None], output: Path) -> None:
    run(output, lambda learner: spoil_other_logits(learner, -INF))
    assert LeftFiles.of(output).model


def test_the_message_names_the_images_of_the_batch(run: Callable[..., None], output: Path) -> None:
    seen: list[Tensor] = []

    def spoil(learner: Learner) -> None:
        learner.model.register_forward_pre_hook(lambda _module, given: seen.append(given[0].clone()))
        spoil_images(learner, NAN)

    with pytest.raises(NotFinite) as caught:
        run(output, spoil)
    see = build_eval_transform(INPUT)
    paths = str(caught.value).partition("Images in the batch: ")[2].split(", ")
    assert torch.equal(torch.stack([see(decode_image(Path(path))) for path in paths]), seen[0])


@pytest.mark.parametrize("value", [NAN, INF])
def test_initial_weights_that_are_not_finite_are_never_saved(photos: Path, output: Path, value: float) -> None:
    def build(_tag: str | None) -> Speaking:
        model = Speaking()
        model.hidden.weight.data[0, 0] = value
        return model

    progress = RecordingProgress()
    with pytest.raises(NotFinite, match=r"^loss \S+ .* at step 1 of epoch 1; .* Images in the batch: .*\.png"):
        finetune(
            "net", photos, output=output, registry=registry_of(replace(SPEC, build=build)), progress=progress, **OPTIONS
        )
    assert progress.lines[-1].startswith(
        "warning: no checkpoint was saved: model.hidden.weight is not finite after 0 steps"
    )
    assert not list(output.rglob("*.safetensors"))


@pytest.mark.parametrize("value", [NAN, INF])
def test_cached_features_that_are_not_finite_are_not_trained_on(
    photos: Path, registry: Registry, tmp_path: Path, own_cache: Path, value: float
) -> None:
    options = {**OPTIONS, "train": "head"}
    finetune("net", photos, output=tmp_path / "first", registry=registry, **options)
    ((path, rows),) = [(path, load_file(path)) for path in own_cache.rglob("*.safetensors")]
    (features,) = rows.values()
    files = sorted(photos.rglob("*.png"), key=lambda file: sha256(file.read_bytes()).digest())
    place = next(place for place, file in enumerate(files) if place >= NUM_VERIFIED and "train" in file.parts)
    features[place, -1] = value
    with safe_open(path, "pt") as file:
        about = file.metadata()
    digest = sha256(features.view(torch.uint8).numpy().tobytes()).hexdigest()
    save_file(rows, path, {**about, "sha256": digest})
    with pytest.raises(
        NotFinite, match=rf"^loss \S+ .* of epoch 1; .* Images in the batch: .*{re.escape(str(files[place]))}"
    ):
        finetune("net", photos, output=tmp_path / "run", registry=registry, **options)
    state, _ = Checkpoints(tmp_path / "run" / "checkpoints").load()
    assert state is not None
    assert all(tensor.isfinite().all() for tensor in state.tensors.values())
