"""Networks that return an object, or have no head, train to the same bytes as the plain network."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import zoo
from foreign import FieldNet, FieldTower, MappingNet, PlainNet, ScaledNet, Tower, make_registry
from interrupted_runs import Interrupts, describe
from quick_runs import LEARNS, read_facts
from recording_progress import RecordingProgress
from worlds import get_results
from zoo.engine.saliency import compute_saliency

#: Four epochs of four steps each.
OPTIONS: dict[str, Any] = {**LEARNS, "views": 1}
KINDS = (FieldNet, MappingNet, Tower, FieldTower)
SCOPES = ("head", "from:layer2", "all")
CACHED = "note: frozen features are computed in every epoch"


def train(
    kind: type[nn.Module], photos: Path, output: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> RecordingProgress:
    """Train with a cache of its own, so that no run uses the features of another kind of network."""
    monkeypatch.setenv("ZOO_CACHE", str(output.parent / f"{output.name}-cache"))
    progress = RecordingProgress()
    zoo.finetune(
        "net", photos, output=output, registry=make_registry(kind), progress=progress, **{**OPTIONS, **options}
    )
    return progress


@pytest.fixture(scope="module")
def plain(drawn_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Mapping[str, Any]]:
    """Return a function that trains a part of the plain network, and returns the results."""

    @cache
    def train_plain(scope: str) -> Mapping[str, Any]:
        folder = tmp_path_factory.mktemp("plain")
        with pytest.MonkeyPatch.context() as monkeypatch:
            progress = train(PlainNet, drawn_photos, folder / "run", monkeypatch, train=scope)
        assert not [line for line in progress.lines if line.startswith(CACHED)]
        return describe(folder / "run")

    return train_plain


def list_cases(kinds: Sequence[type[nn.Module]], scopes: Sequence[str]) -> list[Any]:
    """List each kind and each scope at least once. The other combinations are slow tests."""
    every = list(product(range(len(kinds)), range(len(scopes))))
    return [
        pytest.param(kinds[i], scopes[j], marks=() if i % len(scopes) == j else pytest.mark.breadth) for i, j in every
    ]


@pytest.mark.parametrize(("kind", "scope"), list_cases(KINDS, SCOPES))
def test_a_run_has_the_same_results_as_the_plain_network(
    plain: Callable[[str], Mapping[str, Any]],
    *,
    kind: type[nn.Module],
    scope: str,
    drawn_photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    progress = train(kind, drawn_photos, tmp_path / "found", monkeypatch, train=scope)
    assert describe(tmp_path / "found") == plain(scope)
    assert not [line for line in progress.lines if line.startswith(CACHED)]


@pytest.mark.parametrize(("kind", "scope"), list_cases([FieldNet, FieldTower, ScaledNet], ["head", "all"]))
def test_an_interrupted_run_resumes_to_the_same_bytes(
    kind: type[nn.Module], scope: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(kind, photos, tmp_path / "whole", monkeypatch, train=scope)
    Interrupts(monkeypatch, 6)
    with pytest.raises(KeyboardInterrupt):
        train(kind, photos, tmp_path / "interrupted", monkeypatch, train=scope)
    train(kind, photos, tmp_path / "interrupted", monkeypatch, train=scope, resume=True)
    assert describe(tmp_path / "interrupted") == describe(tmp_path / "whole")


@pytest.mark.parametrize("kind", [FieldNet, FieldTower])
def test_a_run_can_be_used_in_every_way(
    kind: type[nn.Module], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, registry = tmp_path / "run", make_registry(kind)
    train(kind, photos, output, monkeypatch, train="from:layer2", ema=0.9)
    classifier = zoo.load(output, registry=registry, device="cpu")
    paths = sorted((photos / "val").rglob("*.png"))
    found = [prediction.label for prediction in classifier.predict(paths)]
    assert found == [path.parent.name for path in paths]
    assert classifier.evaluate(photos, "val")["accuracy"] == 1
    assert classifier.embed(paths).features.shape == (len(paths), 12)
    images = torch.rand(2, 3, 16, 16)
    assert compute_saliency(classifier.model, images).amax((1, 2)).tolist() == [1, 1]
    shown = zoo.inspect(output, registry=registry)
    assert (shown.problem, shown.head, shown.root.outputs) == (None, ("head",), ((1, 2),))


def test_a_run_of_two_processes_has_the_same_results_as_the_plain_network(photos: Path, tmp_path: Path) -> None:
    def work(_rank: int) -> None:
        for kind in (PlainNet, FieldNet, FieldTower):
            train(kind, photos, tmp_path / kind.__name__, pytest.MonkeyPatch(), train="all")

    get_results(2, work)
    expected = describe(tmp_path / "PlainNet")
    assert describe(tmp_path / "FieldNet") == describe(tmp_path / "FieldTower") == expected


@pytest.mark.parametrize("kind", [FieldNet, MappingNet, Tower, FieldTower])
def test_a_model_can_be_built_copied_and_pickled(kind: type[nn.Module]) -> None:
    model = zoo.build("net", num_classes=3, weights="none", registry=make_registry(kind)).eval()
    assert type(model) is kind
    assert model.state_dict().keys() == PlainNet().state_dict().keys()
    images = torch.rand(2, 3, 16, 16)
    expected = model(images)
    assert expected.shape == (2, 3)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(images), expected)
        nn.init.zeros_(other.head.weight)
        assert not torch.equal(other(images), expected)
        assert torch.equal(model(images), expected)


@pytest.mark.parametrize(
    "kind", [MappingNet, *(pytest.param(kind, marks=pytest.mark.breadth) for kind in (FieldNet, FieldTower, Tower))]
)
def test_a_model_can_be_exported_and_compiled(kind: type[nn.Module]) -> None:
    model = zoo.build("net", num_classes=3, weights="none", registry=make_registry(kind)).eval()
    images = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        expected = model(images)
        program = torch.export.export(model, (images,)).module()
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        assert torch.allclose(program(images), expected, atol=1e-6)
        assert torch.allclose(compiled(images), expected, atol=1e-6)
    torch.compiler.reset()


@pytest.mark.parametrize(
    "kind",
    [FieldNet, FieldTower, ScaledNet, *(pytest.param(kind, marks=pytest.mark.breadth) for kind in (MappingNet, Tower))],
)
def test_the_file_of_a_run_is_used_without_zoo_as_the_model_card_says(
    kind: type[nn.Module], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "run"
    train(kind, photos, output, monkeypatch, train="from:layer2")
    code = (output / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    assert "zoo" not in code
    monkeypatch.chdir(output)
    names: dict[str, Any] = {}
    exec(code, names)  # the code of the card is what is tested
    images = torch.rand(2, 3, 16, 16)
    classify = names.get("compute_logits", names["model"])
    loaded = zoo.load(output, registry=make_registry(kind), device="cpu").model
    assert torch.equal(classify(images), loaded(images))


@pytest.mark.parametrize("kind", [Tower, FieldTower])
def test_the_file_of_a_run_loads_upstream_with_exactly_the_head_unexpected(
    kind: type[nn.Module], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(kind, photos, tmp_path / "run", monkeypatch, train="all")
    loaded = kind().load_state_dict(load_file(tmp_path / "run" / "model.safetensors"), strict=False)
    assert loaded.missing_keys == []
    assert {*loaded.unexpected_keys} == {"head.weight", "head.bias"}


def test_a_tower_is_trained_with_an_mlp_head(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (Tower, PlainNet):
        train(kind, photos, tmp_path / kind.__name__, monkeypatch, train="head", head="mlp:6,5")
    assert describe(tmp_path / "Tower") == describe(tmp_path / "PlainNet")


def test_parameters_of_the_head_are_trained_with_it(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "cached"
    progress = train(ScaledNet, photos, output, monkeypatch, train="head")
    assert not [line for line in progress.lines if line.startswith(CACHED)]
    facts = read_facts(output)
    assert facts["params"]["learning"] == 2 * 12 + 2 + 1
    scale = load_file(output / "model.safetensors")["logit_scale"]
    assert scale != 0
    train(ScaledNet, photos, tmp_path / "plain", monkeypatch, train="head", cache=False)
    found, expected = (load_file(tmp_path / name / "model.safetensors") for name in ("cached", "plain"))
    assert all(torch.allclose(found[name].float(), expected[name].float(), atol=1e-5) for name in expected)


def test_parameters_of_the_head_keep_their_values_if_the_head_is_replaced(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(ScaledNet, photos, tmp_path / "first", monkeypatch, train="all")
    file = tmp_path / "first" / "model.safetensors"
    model = zoo.build("net", num_classes=5, weights=file, registry=make_registry(ScaledNet))
    assert len(model.head.weight) == 5
    assert torch.equal(model.logit_scale, load_file(file)["logit_scale"])
    with_mlp = zoo.build("net", num_classes=5, weights=file, head="mlp:4", registry=make_registry(ScaledNet))
    assert torch.equal(with_mlp.logit_scale, load_file(file)["logit_scale"])
