from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from zoo.data.images import open_images
from zoo.errors import DataError, FrozenMoved, NameNotFound, OptionError, RunError, TrainingError, WeightsError
from zoo.export.tensors import load_header
from zoo.finetuning import Run, finetune
from zoo.loading import Plugin, load_plugin
from zoo.plugin import BackboneSpec, BlockSpec, hookimpl
from zoo.progress import Silent
from zoo.registry import Registry
from zoo.settings import Settings

#: Enough to tell blue from red.
LEARNS: dict[str, Any] = {
    "weights": "none",
    "train": "all",
    "epochs": 4,
    "batch_size": 6,
    "lr": 0.02,
    "workers": 0,
    "device": "cpu",
}
#: One epoch of three steps.
QUICK: dict[str, Any] = {**LEARNS, "epochs": 1, "batch_size": 8}

FILES = ["README.md", "history.jsonl", "model.safetensors", "report.html", "run.json"]


@dataclass
class Told(Silent):
    lines: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "run"


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def registry_of(spec: BackboneSpec, hooks: Mapping[str, Callable[..., Any]] | None = None) -> Registry:
    """Make a registry with one plugin, loaded as an installed one is."""
    module = ModuleType("zoo_acme")
    module.ZOO_API = 1  # type: ignore[attr-defined]
    for name, function in {"zoo_backbones": lambda: [spec], **(hooks or {})}.items():
        setattr(module, name, hookimpl(function))
    plugin = Plugin("acme", "zoo-acme", "1.0")
    load_plugin(plugin, lambda: module)
    assert plugin.state == "ok", plugin.reason
    return Registry([plugin], Settings())


# A whole run.


def test_it_learns_and_the_run_folder_is_complete(registry: Registry, photos: Path, output: Path) -> None:
    run = finetune("net", photos, output=output, registry=registry, **LEARNS)
    assert run.path == output == Path(os.fspath(run))
    assert sorted(path.name for path in output.iterdir()) == FILES
    assert run.facts["best"]["val_accuracy"] == 1.0
    assert read_json(output / "run.json") == run.facts


def test_run_json_has_what_is_promised(registry: Registry, photos: Path, output: Path) -> None:
    finetune("net", photos, output=output, registry=registry, **{**QUICK, "train": "from:layer2"})
    facts = read_json(output / "run.json")
    assert facts["backbone"] == "acme/net"
    assert facts["classes"] == ["blue", "red"]
    assert facts["best"]["epoch"] == 1
    assert 0 <= facts["best"]["val_accuracy"] <= 1
    assert facts["frozen"]["before"] == facts["frozen"]["after"]
    assert len(facts["frozen"]["before"]) == 64
    assert facts["epochs"] == 1
    assert [block["learns"] for block in facts["blocks"]] == [False, False, True, True]
    assert facts["data"]["asked"] == str(photos)
    assert facts["recipe"]["train"] == "from:layer2"
    assert (facts["recipe"]["lr"], facts["recipe"]["weight_decay"]) == (0.02, 0.01)  # given, and by optimizer


def test_history_has_a_line_for_every_epoch_and_the_best_is_one_of_them(
    registry: Registry, photos: Path, output: Path
) -> None:
    run = finetune("net", photos, output=output, registry=registry, **LEARNS)
    lines = [json.loads(line) for line in (output / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    best = run.facts["best"]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert best["val_accuracy"] == max(line["val_accuracy"] for line in lines)
    assert lines[best["epoch"] - 1]["val_loss"] == best["val_loss"]


def test_the_model_file_is_that_of_the_best_epoch(registry: Registry, photos: Path, tmp_path: Path) -> None:
    best = finetune("net", photos, output=tmp_path / "long", registry=registry, **{**LEARNS, "schedule": "constant"})
    epochs = best.facts["best"]["epoch"]
    again = finetune(
        "net",
        photos,
        output=tmp_path / "short",
        registry=registry,
        **{**LEARNS, "schedule": "constant", "epochs": epochs},
    )
    assert again.facts["best"]["epoch"] == epochs
    assert are_equal(load_file(best.path / "model.safetensors"), load_file(again.path / "model.safetensors"))


def test_the_model_file_tells_its_backbone_head_and_classes(registry: Registry, photos: Path, output: Path) -> None:
    finetune("net", photos, output=output, registry=registry, **{**QUICK, "head": "mlp:6"})
    header = load_header(output / "model.safetensors")
    assert (header.backbone, header.head, header.classes) == ("acme/net", "mlp:6", ("blue", "red"))
    assert (header.weights, header.weights_licence) == ("none", "none")


def test_what_is_frozen_is_in_the_file_as_it_was_in_the_weights(
    acme: BackboneSpec, registry: Registry, photos: Path, tmp_path: Path, output: Path
) -> None:
    torch.manual_seed(5)
    source = {name: tensor.clone() for name, tensor in acme.build(None).state_dict().items()}
    save_file(source, tmp_path / "start.safetensors")
    weights = str(tmp_path / "start.safetensors")
    finetune("net", photos, output=output, registry=registry, **{**QUICK, "weights": weights, "train": "from:hidden"})
    found = load_file(output / "model.safetensors")
    learnt = {name for name in found if not (name in source and torch.equal(found[name], source[name]))}
    assert learnt == {f"classifier.{n}.{kind}" for n in (0, 3) for kind in ("weight", "bias")}


def test_it_says_what_was_chosen_what_learns_and_what_came_out(registry: Registry, photos: Path, output: Path) -> None:
    told = Told()
    finetune("net", photos, output=output, registry=registry, progress=told, **{**QUICK, "train": "from:layer2"})
    assert told.lines[0] == "net -> acme/net@none"
    assert any(line.endswith("-> 24 train, 10 val images of 2 classes") for line in told.lines)
    assert any(line.startswith("learns: layer2 to hidden and the head (linear)") for line in told.lines)
    assert any(line.startswith("best: epoch 1, validation accuracy ") for line in told.lines)


def test_random_frozen_weights_are_pointed_out(registry: Registry, photos: Path, output: Path) -> None:
    told = Told()
    finetune("net", photos, output=output, registry=registry, progress=told, **{**QUICK, "train": "head"})
    assert "note: random weights are frozen here; with --train all they would learn" in told.lines


@pytest.mark.parametrize("schedule", ["onecycle", "constant"])
def test_single_images_keep_the_statistics_of_batch_norms(
    registry: Registry, photos: Path, output: Path, schedule: str
) -> None:
    told = Told()
    options = {**QUICK, "batch_size": 1, "schedule": schedule}
    finetune("net", photos, output=output, registry=registry, progress=told, **options)
    assert any("batch norms keep the statistics" in line for line in told.lines)
    assert torch.equal(load_file(output / "model.safetensors")["stem.1.running_mean"], torch.zeros(8))


# Repeating.


def are_equal(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(tensor, two[name]) for name, tensor in one.items())


def test_the_same_seed_gives_the_same_run_whatever_the_caller_drew_before(
    registry: Registry, photos: Path, tmp_path: Path
) -> None:
    runs = []
    for number, workers in enumerate((0, 2)):
        torch.manual_seed(number)
        runs.append(
            finetune("net", photos, output=tmp_path / f"{number}", registry=registry, **{**QUICK, "workers": workers})
        )
    weights = [load_file(run.path / "model.safetensors") for run in runs]
    assert are_equal(*weights)
    assert runs[0].facts["best"] == runs[1].facts["best"]


def test_another_seed_gives_another_run(registry: Registry, photos: Path, tmp_path: Path) -> None:
    weights = []
    for seed in (0, 1):
        run = finetune("net", photos, output=tmp_path / f"{seed}", registry=registry, **{**QUICK, "seed": seed})
        weights.append(load_file(run.path / "model.safetensors"))
    assert not are_equal(*weights)


@pytest.mark.parametrize("fails", [False, True])
def test_the_callers_random_numbers_are_left_alone(
    registry: Registry,
    photos: Path,
    output: Path,
    *,
    fails: bool,
) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    options = {**QUICK, "train": "from:nowhere" if fails else "all"}
    if fails:
        with pytest.raises(NameNotFound):
            finetune("net", photos, output=output, registry=registry, **options)
    else:
        finetune("net", photos, output=output, registry=registry, **options)
    assert torch.equal(torch.get_rng_state(), before)


# The run folder.


def test_without_output_runs_are_numbered(
    registry: Registry, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = [finetune("acme/net", photos, registry=registry, **QUICK) for _ in range(2)]
    assert [run.path for run in runs] == [Path("runs/net-photos-1"), Path("runs/net-photos-2")]


def test_a_used_output_is_refused_before_anything_else(registry: Registry, output: Path) -> None:
    output.mkdir()
    (output / "model.safetensors").touch()
    with pytest.raises(RunError, match="holds another run"):
        finetune("no-such-net", "no-such-data", output=output, registry=registry, **QUICK)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"backbone": "nett"}, NameNotFound),
        ({"data": "no-such-data"}, DataError),
        ({"weights": "no-such.safetensors"}, WeightsError),
        ({"weights": None}, OptionError),
        ({"train": "from:layer9"}, NameNotFound),
        ({"train": "backwards"}, OptionError),
        ({"head": "mlp:0"}, OptionError),
        ({"epochs": 0}, OptionError),
        ({"epoch": 1}, OptionError),
        ({"precision": "fp16"}, OptionError),
    ],
)
def test_a_wrong_option_is_an_error_and_leaves_no_folder(
    registry: Registry, photos: Path, output: Path, change: dict[str, Any], kind: type[Exception]
) -> None:
    options = {**QUICK, "backbone": "net", "data": photos, **change}
    with pytest.raises((kind, NameNotFound) if "data" in change else kind):
        finetune(options.pop("backbone"), options.pop("data"), output=output, registry=registry, **options)
    assert not output.exists()


@pytest.mark.parametrize("option", ["weights", "head", "train"])
def test_an_option_of_another_type_is_an_error_of_the_user(
    registry: Registry, photos: Path, output: Path, option: str
) -> None:
    with pytest.raises(OptionError, match=option):
        finetune("net", photos, output=output, registry=registry, **{**QUICK, option: 4096})


# The test split.


@pytest.fixture
def tested(photos: Path) -> Path:
    """The photos with a test split, whose labels are all wrong, so that it cannot be mixed up with val."""
    for name, other in (("blue", "red"), ("red", "blue")):
        shutil.copytree(photos / "val" / name, photos / "test" / other)
    return photos


def test_the_test_split_is_measured_with_the_best_weights(registry: Registry, tested: Path, output: Path) -> None:
    run = finetune("net", tested, output=output, registry=registry, **LEARNS)
    assert run.facts["best"]["val_accuracy"] == 1.0
    assert run.facts["test"]["accuracy"] == 0.0
    assert run.facts["test"]["images"] == 10
    assert run.facts["test"]["confusion"] == [[0, 5], [5, 0]]


def test_the_test_split_is_not_measured_with_the_last_weights(tested: Path, output: Path, acme: BackboneSpec) -> None:
    class Fades(nn.Module):
        """Perfect in the first epoch, and blind afterwards: its scale sinks with each pass of training."""

        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 2, bias=False)
            self.register_buffer("passes", torch.zeros((), dtype=torch.int64))
            with torch.no_grad():
                self.fc.weight.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))

        def forward(self, images: Tensor) -> Tensor:
            if self.training:
                self.passes += 1
            logits: Tensor = self.fc(images.mean((2, 3))) * (1 if self.passes <= 3 else -1)
            return logits

    spec = replace(
        acme, name="acme/fades", build=lambda _tag: Fades(), head=("fc",), classifier=None, num_classes=2,
        blocks=(BlockSpec("passes", ("passes",)),), params=6,
    )  # fmt: skip
    options = {**QUICK, "epochs": 2, "lr": 0.5, "schedule": "constant"}
    run = finetune("fades", tested, output=output, registry=registry_of(spec), **options)
    best = run.facts["best"]
    assert (best["epoch"], best["val_accuracy"]) == (1, 1.0)
    assert load_file(output / "model.safetensors")["passes"] == 3
    assert run.facts["test"]["accuracy"] == 0.0


def test_a_test_loss_that_is_no_number_does_not_lose_a_finished_run(
    photos: Path, output: Path, acme: BackboneSpec
) -> None:
    class Bright(nn.Module):
        """Divides by the brightness: of a black image it says nothing."""

        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(3, 3)
            self.fc = nn.Linear(3, 2)

        def forward(self, images: Tensor) -> Tensor:
            means = images.mean((2, 3)) + 1  # black is -1
            logits: Tensor = self.fc(self.body(means / means.sum(1, keepdim=True)))
            return logits

    for name in ("blue", "red"):
        (photos / "test" / name).mkdir(parents=True)
        Image.new("RGB", (16, 16)).save(photos / "test" / name / "black.png")
    spec = replace(
        acme, name="acme/bright", build=lambda _tag: Bright(), head=("fc",), classifier=None, num_classes=2,
        blocks=(BlockSpec("body", ("body",)),), params=20,
    )  # fmt: skip
    finetune("bright", photos, output=output, registry=registry_of(spec), **QUICK)
    assert (output / "run.json").exists()


def test_without_a_test_split_there_are_no_test_figures(registry: Registry, photos: Path, output: Path) -> None:
    assert "test" not in finetune("net", photos, output=output, registry=registry, **QUICK).facts


# What goes wrong on the way.


class Sneaky(nn.Module):
    """Counts its passes in a buffer, frozen or not."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3)
        self.body.register_buffer("seen", torch.zeros(()))
        self.fc = nn.Linear(4, 10)

    def forward(self, images: Tensor) -> Tensor:
        self.body.seen += 1
        logits: Tensor = self.fc(self.body(images).mean((2, 3)))
        return logits


def test_a_network_that_moves_its_own_frozen_buffer_is_caught_and_leaves_no_model(
    acme: BackboneSpec, photos: Path, output: Path
) -> None:
    spec = replace(
        acme, build=lambda _tag: Sneaky(), head=("fc",), classifier=None, blocks=(BlockSpec("body", ("body",)),)
    )
    with pytest.raises(FrozenMoved, match="frozen parameter or buffer changed"):
        finetune("net", photos, output=output, registry=registry_of(spec), **{**QUICK, "train": "head"})
    assert [path.name for path in output.iterdir()] == ["history.jsonl"]


def test_a_loss_that_is_not_finite_ends_the_run_without_run_json(
    registry: Registry, photos: Path, output: Path
) -> None:
    options = {**LEARNS, "lr": 100.0, "optimizer": "sgd", "schedule": "constant", "epochs": 60}
    with pytest.raises(TrainingError, match="try a lower --lr"):
        finetune("net", photos, output=output, registry=registry, **options)
    assert not (output / "run.json").exists()


@pytest.mark.parametrize("after", [1, 2])
def test_ctrl_c_leaves_the_best_epoch_so_far_and_no_run_json(
    acme: BackboneSpec, photos: Path, output: Path, after: int
) -> None:
    def zoo_epoch_ended(epoch: Mapping[str, Any]) -> None:
        if epoch["epoch"] == after:
            raise KeyboardInterrupt

    registry = registry_of(acme, {"zoo_epoch_ended": zoo_epoch_ended})
    with pytest.raises(KeyboardInterrupt):
        finetune("net", photos, output=output, registry=registry, **LEARNS)
    left = {path.name for path in output.iterdir()}
    assert left == {"history.jsonl"} | ({"model.safetensors"} if after > 1 else set())


def test_a_run_that_ended_before_its_first_epoch_leaves_an_output_that_is_refused(
    acme: BackboneSpec, registry: Registry, photos: Path, output: Path
) -> None:
    def zoo_run_started() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(
            "net", photos, output=output, registry=registry_of(acme, {"zoo_run_started": zoo_run_started}), **QUICK
        )
    assert {path.name: path.read_bytes() for path in output.iterdir()} == {"history.jsonl": b""}
    with pytest.raises(RunError, match=r"run holds other files; choose another --output, or remove it first\."):
        finetune("net", photos, output=output, registry=registry, **QUICK)


# Plugins that listen.


def test_plugins_hear_of_the_start_every_epoch_and_the_end(acme: BackboneSpec, photos: Path, output: Path) -> None:
    heard: list[Any] = []

    def zoo_run_started(run: Mapping[str, Any]) -> None:
        heard.append(run["backbone"])

    def zoo_epoch_ended(epoch: Mapping[str, Any]) -> None:
        heard.append(epoch["epoch"])

    def zoo_run_finished(run: Mapping[str, Any]) -> None:
        heard.append(run["best"]["epoch"])

    hooks = {function.__name__: function for function in (zoo_run_started, zoo_epoch_ended, zoo_run_finished)}
    options = {**QUICK, "epochs": 2}
    run = finetune("net", photos, output=output, registry=registry_of(acme, hooks), **options)
    assert heard == ["acme/net", 1, 2, run.facts["best"]["epoch"]]


def test_every_event_tells_where_the_run_is(acme: BackboneSpec, photos: Path, output: Path) -> None:
    heard: list[str] = []

    def hear(run: Mapping[str, Any]) -> None:
        heard.append(run["path"])

    hooks = dict.fromkeys(("zoo_run_started", "zoo_epoch_ended", "zoo_run_finished"), hear)
    run = finetune("net", photos, output=output, registry=registry_of(acme, hooks), **QUICK)
    assert heard == [str(output)] * 3
    assert "path" not in run.facts


def test_the_run_is_complete_on_disk_when_plugins_hear_of_its_end(
    acme: BackboneSpec, photos: Path, output: Path
) -> None:
    seen: list[str] = []

    def zoo_run_finished() -> None:
        seen.extend(sorted(path.name for path in output.iterdir()))

    finetune("net", photos, output=output, registry=registry_of(acme, {"zoo_run_finished": zoo_run_finished}), **QUICK)
    assert seen == FILES


@pytest.mark.parametrize("event", ["zoo_run_started", "zoo_epoch_ended", "zoo_run_finished"])
@pytest.mark.parametrize("error", [ConnectionError, SystemExit])
def test_a_tracker_that_fails_does_not_stop_the_run(
    acme: BackboneSpec, photos: Path, output: Path, event: str, error: type[BaseException]
) -> None:
    def fail(run: Mapping[str, Any]) -> None:
        raise error(f"no server for {run['backbone']}")

    told = Told()
    registry = registry_of(acme, {event: fail})
    run = finetune("net", photos, output=output, registry=registry, progress=told, **QUICK)
    assert read_json(run.path / "run.json")["best"]
    (warning,) = [line for line in told.lines if line.startswith("warning: ")]
    assert f"plugin acme failed in {event}" in warning
    assert f"{error.__name__}: no server for acme/net" in warning


# Names of classes.


@pytest.mark.parametrize(
    "names",
    [
        ("ä ö", "猫"),
        ('"quoted"', "it's"),
        ("<b>bold<b>", "a|b"),
        ("{classes}", "%s"),
        ("back\\slash", "`code`"),
    ],
)
def test_any_class_name_that_can_be_shown_comes_back_as_it_was(
    registry: Registry, photos: Path, output: Path, names: tuple[str, str]
) -> None:
    for split in ("train", "val"):
        for old, new in zip(("blue", "red"), names, strict=True):
            (photos / split / old).rename(photos / split / new)
    finetune("net", photos, output=output, registry=registry, **QUICK)
    assert read_json(output / "run.json")["classes"] == sorted(names)
    assert load_header(output / "model.safetensors").classes == tuple(sorted(names))


@pytest.mark.parametrize("name", [b"caf\xe9", b"caf\n", b"caf\x1b[31m", b"caf\x7f"])
def test_a_class_name_that_cannot_be_shown_is_refused_before_the_training(
    registry: Registry, photos: Path, output: Path, name: bytes
) -> None:
    for split in ("train", "val"):
        (photos / split / "blue").rename(photos / split / os.fsdecode(name))
    with pytest.raises(DataError, match=r"the folder 'caf\\.* has a name that cannot be shown; rename it\."):
        finetune("net", photos, output=output, registry=registry, **QUICK)
    assert not output.exists()


def test_what_was_left_out_is_in_run_json(registry: Registry, photos: Path, output: Path) -> None:
    (photos / "train" / "red" / "broken.png").write_bytes(b"no image")
    run = finetune("net", photos, output=output, registry=registry, **QUICK)
    (item,) = run.facts["data"]["left_out"]
    assert item["path"].endswith("broken.png")
    assert run.facts["data"]["images"]["train"] == 24


def test_the_data_of_the_run_is_fingerprinted(registry: Registry, photos: Path, output: Path) -> None:
    run = finetune("net", photos, output=output, registry=registry, **QUICK)
    images = open_images(photos, registry=registry, seed=0, progress=Silent())
    assert run.facts["data"]["fingerprint"] == images.fingerprint


def test_a_run_is_a_path(output: Path) -> None:
    assert Path(Run(output, {})) == output


@pytest.mark.parametrize(
    ("data", "options", "reason"),
    [("nope", {}, "no data set 'nope'"), ("", {}, "no data is given"), (None, {"train": "from:zzz"}, "no block 'zzz'")],
)
def test_what_is_misspelt_is_said_before_weights_are_looked_for(
    data: str | None, options: dict[str, Any], reason: str, photos: Path, registry: Registry
) -> None:
    with pytest.raises((DataError, NameNotFound), match=reason):
        finetune("acme/net", photos if data is None else data, weights="gone.safetensors", registry=registry, **options)


def test_memory_that_is_too_short_is_one_line(photos: Path, registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="memory is too short"):
        finetune(
            "acme/net", photos, weights="none", head="mlp:9999999,9999999", registry=registry, output=tmp_path / "run"
        )
