from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from published import ONE, TWO
from zoo.errors import NameNotFound, OptionError, WeightsError
from zoo.models.weights.choose import WeightsSource, choose_weights, input_for
from zoo.models.weights.load import load_tensors
from zoo.plugin import BackboneSpec
from zoo.registry.resolved import Resolved

FILE = WeightsSource("weights.safetensors", file=Path("weights.safetensors"))


@pytest.mark.parametrize(
    ("tag", "asked", "label"),
    [
        (None, None, "ONE"),
        (None, "DEFAULT", "ONE"),
        (None, "TWO", "TWO"),
        ("TWO", None, "TWO"),
        ("TWO", "ONE", "ONE"),  # the option wins over the name
        ("TWO", "DEFAULT", "ONE"),
    ],
)
def test_weights_are_chosen_by_tag(published: BackboneSpec, tag: str | None, asked: str | None, label: str) -> None:
    chosen = choose_weights(Resolved("net", published, tag), asked)
    assert (chosen.label, chosen.tag, chosen.weights) == (label, label, ONE if label == "ONE" else TWO)
    assert not chosen.is_random


@pytest.mark.parametrize("tag", [None, "TWO"])
def test_none_keeps_random_weights_and_the_architecture_of_the_tag(published: BackboneSpec, tag: str | None) -> None:
    chosen = choose_weights(Resolved("net", published, tag), "none")
    assert chosen == WeightsSource("none", tag)
    assert chosen.is_random


@pytest.mark.parametrize("file", ["best.safetensors", "runs/one/best.safetensors", "old.pth", "x.bin", "./noend"])
def test_a_value_that_looks_like_a_path_is_a_file(acme: BackboneSpec, file: str) -> None:
    chosen = choose_weights(Resolved("net", acme, None), file)
    assert chosen == WeightsSource(Path(file).name, None, file=Path(file))
    assert not chosen.is_random


def test_an_unknown_tag_is_an_error_that_lists_the_known_ones(published: BackboneSpec) -> None:
    with pytest.raises(NameNotFound, match=r"'THREE'.*ONE, TWO"):
        choose_weights(Resolved("net", published, None), "THREE")


def test_without_published_weights_the_option_is_required(acme: BackboneSpec) -> None:
    with pytest.raises(
        OptionError, match=r"acme/net has no published weights; set `weights` to a .safetensors file, or to none"
    ):
        choose_weights(Resolved("net", acme, None), None)
    with pytest.raises(NameNotFound, match="acme/net has no weights 'DEFAULT'"):
        choose_weights(Resolved("net", acme, None), "DEFAULT")


def test_weights_can_have_their_own_input(published: BackboneSpec) -> None:
    assert input_for(published, None) == input_for(published, "ONE") == published.input
    assert input_for(published, "TWO") == TWO.input


# Loading.


def test_every_tensor_is_loaded(acme: BackboneSpec, source: dict[str, Tensor]) -> None:
    model = acme.build(None)
    assert load_tensors(acme, model, FILE, source).notes == ()
    assert all(torch.equal(tensor, source[name]) for name, tensor in model.state_dict().items())


def test_a_head_of_a_different_size_is_noted(acme: BackboneSpec, source: dict[str, Tensor]) -> None:
    source |= {"classifier.3.weight": torch.rand(7, 12), "classifier.3.bias": torch.rand(7)}
    model = acme.build(None)
    assert load_tensors(acme, model, FILE, source).notes == ("the head of these weights has 7 classes",)
    assert all(torch.equal(tensor, source[name]) for name, tensor in model.state_dict().items())


def test_a_head_that_the_file_lacks_stays_random_and_is_noted(acme: BackboneSpec, source: dict[str, Tensor]) -> None:
    rest = {name: tensor for name, tensor in source.items() if not name.startswith("classifier.3.")}
    model = acme.build(None)
    head = model.get_submodule("classifier.3").weight.detach().clone()
    (note,) = load_tensors(acme, model, FILE, rest).notes
    assert "have no head" in note
    assert torch.equal(model.get_submodule("classifier.3").weight, head)
    assert torch.equal(model.get_submodule("stem.0").weight, source["stem.0.weight"])


def test_what_published_weights_lack_stays_random_and_is_noted(acme: BackboneSpec, source: dict[str, Tensor]) -> None:
    chosen = WeightsSource("ONE", "ONE", weights=replace(ONE, lacks=("classifier.0",)))
    source["classifier.0.weight"] = torch.full((3, 3), float("nan"))  # meaningless, so it must not be checked
    del source["classifier.0.bias"]
    model = acme.build(None)
    before = model.get_submodule("classifier.0").weight.detach().clone()
    (note,) = load_tensors(acme, model, chosen, source).notes
    assert "ONE has no usable values for classifier.0, which stays random" in note
    assert torch.equal(model.get_submodule("classifier.0").weight, before)
    assert torch.equal(model.get_submodule("layer2.0").weight, source["layer2.0.weight"])


def test_a_meaningless_head_is_not_loaded(acme: BackboneSpec, source: dict[str, Tensor]) -> None:
    chosen = WeightsSource("ONE", "ONE", weights=replace(ONE, num_classes=None))
    source["classifier.3.weight"] = torch.full((4, 4), float("nan"))
    model = acme.build(None)
    (note,) = load_tensors(acme, model, chosen, source).notes
    assert "have no head" in note
    assert model.get_submodule("classifier.3").out_features == 10


def drop_one(source: dict[str, Tensor]) -> None:
    del source["layer1.0.weight"]


def drop_many(source: dict[str, Tensor]) -> None:
    for name in [name for name in source if name.startswith("layer1.")]:
        del source[name]


def add_unknown(source: dict[str, Tensor]) -> None:
    source["layer3.0.weight"] = torch.zeros(1)


def reshape_one(source: dict[str, Tensor]) -> None:
    source["stem.0.weight"] = torch.zeros(8, 4, 3, 3)


def add_nan(source: dict[str, Tensor]) -> None:
    source["stem.1.running_var"][2] = float("nan")


def add_inf(source: dict[str, Tensor]) -> None:
    source["classifier.3.bias"][0] = float("inf")


def drop_bias_of_head(source: dict[str, Tensor]) -> None:
    del source["classifier.3.bias"]


FAULTS = [
    (drop_one, r"lacks layer1\.0\.weight\. "),
    (drop_many, r"lacks layer1\.0\.weight, layer1\.0\.bias, layer1\.1\.weight and 3 more"),
    (add_unknown, r"has the unknown tensors layer3\.0\.weight"),
    (reshape_one, r"different shapes: stem\.0\.weight is \(8, 4, 3, 3\), not \(8, 3, 3, 3\)"),
    (add_nan, r"non-finite values in stem\.1\.running_var"),
    (add_inf, r"non-finite values in classifier\.3\.bias"),
    (drop_bias_of_head, r"lacks classifier\.3\.bias"),
]


@pytest.mark.parametrize(("fault", "message"), FAULTS)
def test_a_tensor_that_does_not_match_is_an_error_and_nothing_is_loaded(
    acme: BackboneSpec, source: dict[str, Tensor], fault: object, message: str
) -> None:
    assert callable(fault)
    fault(source)
    model = acme.build(None)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(WeightsError, match=rf"weights\.safetensors does not match.*{message}"):
        load_tensors(acme, model, FILE, source)
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_file_that_does_not_match_leaves_the_model_s_own_head(acme: BackboneSpec, source: dict[str, Tensor]) -> None:
    source |= {"classifier.3.weight": torch.rand(7, 12), "classifier.3.bias": torch.rand(7)}
    drop_one(source)
    model = acme.build(None)
    head = model.get_submodule("classifier.3")
    with pytest.raises(WeightsError):
        load_tensors(acme, model, FILE, source)
    assert model.get_submodule("classifier.3") is head


@pytest.mark.parametrize("weight", [torch.zeros(()), torch.zeros(0, 12)])
def test_a_head_without_classes_is_an_error(acme: BackboneSpec, source: dict[str, Tensor], weight: Tensor) -> None:
    source |= {"classifier.3.weight": weight, "classifier.3.bias": torch.zeros(0)}
    with pytest.raises(WeightsError, match=r"classifier\.3\.weight"):
        load_tensors(acme, acme.build(None), FILE, source)


def test_counters_of_batches_may_be_missing(acme: BackboneSpec, source: dict[str, Tensor]) -> None:
    old = {name: tensor for name, tensor in source.items() if not name.endswith("num_batches_tracked")}
    model = acme.build(None)
    assert len(old) < len(source)
    assert load_tensors(acme, model, FILE, old).notes == ()
    assert torch.equal(model.get_submodule("stem.1").running_mean, source["stem.1.running_mean"])


def test_other_dtypes_are_cast(acme: BackboneSpec, source: dict[str, Tensor]) -> None:
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in source.items()}
    model = acme.build(None)
    load_tensors(acme, model, FILE, half)
    assert model.get_submodule("stem.0").weight.dtype == torch.float32
    assert torch.equal(model.get_submodule("stem.0").weight, source["stem.0.weight"].half().float())


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.again = self.first
        self.fc = nn.Linear(3, 2)


@pytest.mark.parametrize("kept", [("first", "again"), ("first",), ("again",)])
def test_a_file_needs_only_one_name_of_a_tensor_with_two(acme: BackboneSpec, kept: tuple[str, ...]) -> None:
    spec = replace(acme, build=lambda _tag: Tied(), head=("fc",))
    source = {name: tensor.clone() for name, tensor in Tied().state_dict().items()}
    file = {name: tensor for name, tensor in source.items() if name.startswith((*kept, "fc"))}
    model = Tied()
    load_tensors(spec, model, FILE, file)
    assert torch.equal(model.first.weight, source["first.weight"])
    assert model.again.weight is model.first.weight


def test_a_tensor_without_any_of_its_names_is_missing(acme: BackboneSpec) -> None:
    spec = replace(acme, build=lambda _tag: Tied(), head=("fc",))
    file = {name: tensor for name, tensor in Tied().state_dict().items() if name.startswith("fc")}
    with pytest.raises(WeightsError, match=r"lacks first\.weight, first\.bias"):
        load_tensors(spec, Tied(), FILE, file)


def add_prefix(tag: str, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    return {name.removeprefix(f"{tag}."): tensor for name, tensor in tensors.items()}


def refuse(tag: str, _tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    raise AssertionError(tag)


@pytest.mark.parametrize("chosen", [WeightsSource("ONE", "ONE", weights=ONE), FILE])
def test_names_that_differ_from_the_model_s_are_converted(
    published: BackboneSpec, source: dict[str, Tensor], chosen: WeightsSource
) -> None:
    spec = replace(published, convert=add_prefix)
    model = spec.build(None)
    load_tensors(spec, model, chosen, {f"ONE.{name}": tensor for name, tensor in source.items()})
    assert all(torch.equal(tensor, source[name]) for name, tensor in model.state_dict().items())


def test_names_that_match_the_model_s_are_not_converted(published: BackboneSpec, source: dict[str, Tensor]) -> None:
    spec = replace(published, convert=refuse)
    model = spec.build(None)
    load_tensors(spec, model, FILE, source)
    assert torch.equal(model.get_submodule("stem.0").weight, source["stem.0.weight"])


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu])
def test_a_data_type_that_cannot_be_loaded_is_refused(acme: BackboneSpec, dtype: torch.dtype) -> None:
    tensors = acme.build(None).state_dict()
    tensors["stem.0.bias"] = tensors["stem.0.bias"].to(dtype)
    with pytest.raises(WeightsError, match=rf"zoo cannot load \(.*\): stem\.0\.bias \({str(dtype)[6:]}\)"):
        load_tensors(acme, acme.build(None), FILE, tensors)


def test_a_head_with_a_bias_of_another_size_is_refused_on_one_line(acme: BackboneSpec) -> None:
    tensors = acme.build(None).state_dict()
    tensors["classifier.3.bias"] = torch.zeros(7)
    with pytest.raises(WeightsError, match=r"backbone: classifier\.3\.bias is \(7,\), not \(10,\)\.$"):
        load_tensors(acme, acme.build(None), FILE, tensors)


@pytest.mark.parametrize("converts", [False, True])
def test_weights_of_another_backbone_are_named_whether_or_not_the_plugin_converts_names(
    published: BackboneSpec, *, converts: bool
) -> None:
    def convert(_tag: str, _tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        raise WeightsError("these weights do not match (Error(s) in loading state_dict for Net:)")

    backbone = replace(published, convert=convert if converts else None)
    message = r"weights\.safetensors does not match the backbone: it lacks \S+, .*Pass weights for this backbone"
    with pytest.raises(WeightsError, match=message):
        load_tensors(backbone, backbone.build(None), FILE, {"blocks.0.weight": torch.zeros(1)})


@pytest.mark.parametrize("asked", ["r1", "runs/r1", "r1/"])
def test_the_folder_of_a_run_is_refused_with_the_path_of_its_model(
    acme: BackboneSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    monkeypatch.chdir(tmp_path)
    model = Path(asked, "model.safetensors")
    model.parent.mkdir(parents=True)
    model.touch()
    with pytest.raises(WeightsError, match=f"is the folder of a run; pass the model in it, '{model}'"):
        choose_weights(Resolved("net", acme, None), asked)


def test_a_tag_wins_over_the_folder_of_a_run(
    published: BackboneSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("TWO").mkdir()
    Path("TWO", "model.safetensors").touch()
    assert choose_weights(Resolved("net", published, None), "TWO").weights == TWO
