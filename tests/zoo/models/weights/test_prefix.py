"""Files in which the names of a model's tensors have a prefix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from published import ONE
from recording_progress import RecordingProgress
from zoo.errors import WeightsError
from zoo.models.build import build_backbone
from zoo.models.weights.choose import WeightsSource
from zoo.models.weights.load import load_tensors
from zoo.plugin import BackboneSpec

FILE = WeightsSource("weights.safetensors", file=Path("weights.safetensors"))
HEAD = "classifier.3"


def add(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def project(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Replace the head with the projection head of a contrastive method."""
    backbone = {name: tensor for name, tensor in tensors.items() if not name.startswith(HEAD)}
    return backbone | {f"{HEAD}.0.weight": torch.rand(12, 12), f"{HEAD}.2.weight": torch.rand(6, 12)}


def load(acme: BackboneSpec, tensors: dict[str, Tensor]) -> tuple[nn.Module, list[str]]:
    model = acme.build(None)
    return model, list(load_tensors(acme, model, FILE, tensors).notes)


def refusal(acme: BackboneSpec, tensors: dict[str, Tensor]) -> str:
    model = acme.build(None)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_tensors(acme, model, FILE, tensors)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    return str(caught.value)


def is_loaded(model: nn.Module, source: dict[str, Tensor], *, head: bool = True) -> bool:
    state = model.state_dict()
    return all(torch.equal(state[name], source[name]) for name in state if head or not name.startswith(HEAD))


@pytest.mark.parametrize(
    "prefix", ["module.", "encoder.", "model.", "backbone.", "_orig_mod.", "module.encoder.", "any.name.0.at_all."]
)
def test_a_prefix_of_all_names_is_removed_and_noted(acme: BackboneSpec, source: dict[str, Tensor], prefix: str) -> None:
    model, notes = load(acme, add(prefix, source))
    assert is_loaded(model, source)
    assert notes == [f"using the tensors of weights.safetensors under {prefix!r}, without this prefix"]


def test_the_note_is_shown_when_a_backbone_is_built(
    acme: BackboneSpec, source: dict[str, Tensor], tmp_path: Path
) -> None:
    save_file(add("module.", source), tmp_path / "net.safetensors")
    progress = RecordingProgress()
    model, weights = build_backbone(acme, WeightsSource("net.safetensors", file=tmp_path / "net.safetensors"), progress)
    assert is_loaded(model, source)
    assert weights.prefix == "module."
    assert progress.lines == ["note: using the tensors of net.safetensors under 'module.', without this prefix"]


def test_the_only_part_of_a_file_that_matches_is_used(acme: BackboneSpec, source: dict[str, Tensor]) -> None:
    others = {"predictor.0.weight": torch.rand(3, 3), "queue": torch.rand(3, 3), "module.x": torch.rand(1)}
    model, notes = load(acme, add("module.encoder.", source) | others)
    assert is_loaded(model, source)
    (note,) = notes
    assert note == (
        "using the tensors of weights.safetensors under 'module.encoder.', without this prefix; "
        "the other tensors are not used: predictor.0.weight, queue, module.x"
    )


@pytest.mark.parametrize("prefix", ["", "module.encoder."])
def test_a_projection_head_is_left_out_and_noted(acme: BackboneSpec, source: dict[str, Tensor], prefix: str) -> None:
    model, notes = load(acme, add(prefix, project(source)))
    assert is_loaded(model, source, head=False)
    assert notes[-1] == (
        "these weights have a different head (classifier.3.0.weight, classifier.3.2.weight); "
        "the head is initialized randomly, like any new head"
    )
    assert len(notes) == (2 if prefix else 1)


def test_a_head_of_a_different_size_below_a_prefix_is_kept(acme: BackboneSpec, source: dict[str, Tensor]) -> None:
    source |= {f"{HEAD}.weight": torch.rand(7, 12), f"{HEAD}.bias": torch.rand(7)}
    model, notes = load(acme, add("encoder_q.", source))
    assert is_loaded(model, source)
    assert notes[-1] == "the head of these weights has 7 classes"


@pytest.mark.parametrize("names", [("encoder_q.", "encoder_k."), ("student.backbone.", "teacher.backbone.")])
def test_two_parts_that_match_are_an_error_that_lists_them(
    acme: BackboneSpec, source: dict[str, Tensor], names: tuple[str, str]
) -> None:
    message = refusal(acme, add(names[0], source) | add(names[1], project(source)) | {"queue": torch.rand(2)})
    first, second = sorted(names)
    assert f"several models that match the backbone, under {first!r} and {second!r}; choose one" in message
    assert message.endswith(f"zoo convert weights.safetensors OUTPUT.safetensors --prefix {first}")


@pytest.mark.parametrize("lacking", ["nothing", HEAD])
def test_a_second_model_beside_upstream_s_names_is_not_used(
    acme: BackboneSpec, source: dict[str, Tensor], lacking: str
) -> None:
    average = {name: tensor + 1 for name, tensor in source.items()}
    plain = {name: tensor for name, tensor in source.items() if not name.startswith(lacking)}
    message = refusal(acme, plain | add("ema.", average))
    assert "it has the unknown tensors ema.stem.0.weight" in message


@pytest.mark.parametrize("prefix", ["module.", "a.b."])
def test_half_of_a_model_below_a_prefix_is_an_error_that_names_what_is_missing(
    acme: BackboneSpec, source: dict[str, Tensor], prefix: str
) -> None:
    half = {name: tensor for name, tensor in source.items() if not name.startswith("layer1")}
    assert f"under {prefix!r}, it lacks layer1.0.weight, layer1.0.bias" in refusal(acme, add(prefix, half))


def test_a_wrong_shape_below_a_prefix_is_an_error_with_the_model_s_name(
    acme: BackboneSpec, source: dict[str, Tensor]
) -> None:
    source["stem.0.weight"] = torch.zeros(8, 4, 3, 3)
    message = refusal(acme, add("module.", source))
    assert "under 'module.', it has different shapes: stem.0.weight is (8, 4, 3, 3)" in message


def test_nan_below_a_prefix_is_refused(acme: BackboneSpec, source: dict[str, Tensor]) -> None:
    source["stem.1.running_var"][2] = float("nan")
    message = refusal(acme, add("module.", source))
    assert "under 'module.', it has non-finite values in stem.1.running_var" in message


def test_an_unknown_tensor_below_a_prefix_is_an_error(acme: BackboneSpec, source: dict[str, Tensor]) -> None:
    message = refusal(acme, add("module.", source | {"layer3.0.weight": torch.zeros(1)}))
    assert "under 'module.', it has the unknown tensors layer3.0.weight" in message


def test_a_few_names_of_the_model_in_another_network_are_not_taken_for_a_prefix(
    acme: BackboneSpec, source: dict[str, Tensor]
) -> None:
    message = refusal(acme, {"layer9.stem.0.weight": source["stem.0.weight"], "x.weight": torch.rand(1)})
    assert "does not match the backbone: it lacks stem.0.weight" in message


def test_the_prefix_of_published_weights_is_an_error_of_their_plugin(
    published: BackboneSpec, source: dict[str, Tensor]
) -> None:
    chosen = WeightsSource("ONE", "ONE", weights=ONE)
    with pytest.raises(WeightsError, match=r"it lacks stem\.0\.weight.* Report this to the author of its plugin"):
        load_tensors(published, published.build(None), chosen, add("module.", source))


def test_names_below_a_prefix_that_differ_from_the_model_s_are_converted(
    published: BackboneSpec, source: dict[str, Tensor]
) -> None:
    def rename(_tag: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name.replace("old_stem", "stem"): tensor for name, tensor in tensors.items()}

    spec = replace(published, convert=rename)
    model = spec.build(None)
    old = {name.replace("stem", "old_stem"): tensor for name, tensor in source.items()}
    (note,) = load_tensors(spec, model, FILE, add("module.", old)).notes
    assert is_loaded(model, source)
    assert "under 'module.'" in note
