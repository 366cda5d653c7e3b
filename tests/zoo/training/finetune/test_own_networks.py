"""Networks that no plugin provides are trained, resumed, evaluated and used like backbones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from torch import nn

import zoo
from interrupted_runs import describe
from own_networks import NETWORK, write_network
from quick_runs import LEARNS, read_facts
from recording_progress import RecordingProgress
from zoo.cli import cli
from zoo.errors import OptionError, RunError, WeightsError
from zoo.models.own.network_file import NetworkFile

OPTIONS: dict[str, Any] = {name: value for name, value in LEARNS.items() if name != "weights"}
OPTIONS |= {"image_size": 16, "mean": 0.5, "std": 0.5}


@pytest.fixture
def file(tmp_path: Path) -> str:
    return f"{write_network(tmp_path)}:build"


def build(file: str) -> nn.Module:
    found = NetworkFile.find(file)
    assert found is not None
    torch.manual_seed(3)
    return found.build()


def test_a_network_in_a_file_is_trained_and_used(photos: Path, output: Path, file: str) -> None:
    run = zoo.finetune(file, photos, output=output, **OPTIONS)
    assert run.facts["best"]["val_accuracy"] == 1
    network = read_facts(output)["network"]
    assert (network["function"], network["type"], network["head"]) == ("build", "ConvNet", "fc")
    assert network["blocks"] == {"stem": ["stem"], "layer1": ["layer1"]}
    classifier = zoo.load(run, model=file, device="cpu")
    assert [prediction.top[0][0] for prediction in classifier.predict(photos / "val")] == ["blue"] * 5 + ["red"] * 5
    assert classifier.evaluate(photos)["accuracy"] == 1


@pytest.mark.parametrize("train", ["head", "from:layer1", "all"])
def test_a_module_is_trained_from_its_own_weights_and_is_not_changed(
    photos: Path, output: Path, file: str, train: str
) -> None:
    module = build(file)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    zoo.finetune(module, photos, output=output, **{**OPTIONS, "train": train})
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    trained = load_file(output / "model.safetensors")
    assert trained.keys() == before.keys()
    is_kept = [torch.equal(trained[name], before[name]) for name in before if name.startswith("stem")]
    assert all(is_kept) == (train != "all")
    assert len(trained["fc.weight"]) == 2
    assert zoo.load(output, model=module, device="cpu").classes == ("blue", "red")


def test_the_weights_load_into_the_users_own_class(photos: Path, output: Path, file: str) -> None:
    zoo.finetune(file, photos, output=output, **{**OPTIONS, "epochs": 1})
    module = build(file)
    module.fc = nn.Linear(12, 2)
    module.load_state_dict(load_file(output / "model.safetensors"))
    images = torch.randn(2, 3, 16, 16)
    loaded = zoo.load(output, model=file, device="cpu").model
    assert torch.allclose(module.eval()(images), loaded(images), atol=1e-5)


@pytest.mark.breadth
def test_a_run_is_killed_and_resumed_to_the_same_bytes(photos: Path, tmp_path: Path, file: str) -> None:
    options = ["--train", "all", "--epochs", "4", "--batch-size", "6", "--image-size", "16", "--device", "cpu"]
    options += ["--set", "workers=0", "--set", "save_every=1", "--data", str(photos), "--resume"]

    def run(output: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "zoo", "finetune", "net.py:build", *options, "--output", output]
        return subprocess.run(
            command, cwd=tmp_path, env={**os.environ, **environment}, capture_output=True, text=True, check=False
        )

    same = {"epochs": 4, "batch_size": 6, "image_size": 16, "workers": 0, "device": "cpu"}
    zoo.finetune(file, photos, output=tmp_path / "whole", train="all", **same)
    assert run("killed", KILL_AT="7").returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "run.json").exists()
    done = run("killed")
    assert "resuming in epoch" in done.stderr
    assert describe(tmp_path / "killed") == describe(tmp_path / "whole")


def test_without_the_network_a_run_says_which_file_is_needed(photos: Path, output: Path, file: str) -> None:
    zoo.finetune(file, photos, output=output, **{**OPTIONS, "epochs": 1})
    with pytest.raises(
        RunError, match=r"your own network, build in .*net\.py \(SHA-256 \w{16}\.\.\.\).*set `model` to .*"
    ):
        zoo.load(output)
    with pytest.raises(RunError, match="was trained with your own network, build in"):
        zoo.inspect(output)
    zoo.finetune(build(file), photos, output=output / "baseline", **{**OPTIONS, "epochs": 1})
    with pytest.raises(RunError, match=r"a ConvNet that was passed from Python.*set `model` to the same module"):
        zoo.load(output / "baseline")


def test_loading_a_run_does_not_run_the_file(photos: Path, output: Path, file: str) -> None:
    zoo.finetune(file, photos, output=output, **{**OPTIONS, "epochs": 1})
    path = Path(file.rpartition(":")[0])
    path.write_text("raise SystemExit(9)", encoding="utf-8")
    with pytest.raises(RunError, match="zoo never runs code that a run names"):
        zoo.load(output)


def test_a_changed_file_is_reported(photos: Path, output: Path, file: str, tmp_path: Path) -> None:
    zoo.finetune(file, photos, output=output, **{**OPTIONS, "epochs": 1})
    write_network(tmp_path, f"{NETWORK}\n# changed\n")
    progress = RecordingProgress()
    zoo.load(output, model=file, progress=progress)
    assert "is not the file that the run was trained with: its SHA-256 is" in progress.lines[0]
    progress = RecordingProgress()
    write_network(tmp_path)
    zoo.load(output, model=file, progress=progress)
    assert progress.lines == []


def test_a_network_that_differs_from_the_runs_is_refused(photos: Path, output: Path, file: str, tmp_path: Path) -> None:
    zoo.finetune(file, photos, output=output, **{**OPTIONS, "epochs": 1})
    write_network(tmp_path, NETWORK.replace("12, 7", "13, 7").replace("8, 12", "8, 13").replace("(12)", "(13)"))
    with pytest.raises(RunError, match=r"does not match `model`: fc\.weight"):
        zoo.load(output, model=file)
    with pytest.raises(OptionError, match=r"`model` must be FILE\.py:FUNCTION or an nn\.Module, got 'vgg16'"):
        zoo.load(output, model="vgg16")


def test_model_is_refused_for_a_backbone(train_once: Any, registry: Any, file: str) -> None:
    folder = train_once(weights="none", epochs=1, batch_size=8, workers=0, device="cpu")
    with pytest.raises(OptionError, match="acme/net, which a plugin provides; omit `model`"):
        zoo.load(folder, model=file, registry=registry)
    with pytest.raises(OptionError, match="`blocks` is for your own network; the plugin of net declares its blocks"):
        zoo.finetune("net", folder, blocks="stem", registry=registry)


def test_a_run_resumes_only_with_the_same_file(photos: Path, output: Path, file: str, tmp_path: Path) -> None:
    zoo.finetune(file, photos, output=output, **{**OPTIONS, "epochs": 1})
    zoo.finetune(file, photos, output=output, resume=True, **{**OPTIONS, "epochs": 1})
    write_network(tmp_path, f"{NETWORK}\n# changed\n")
    with pytest.raises(OptionError, match=r"was started with network sha256 \w+\.\.\., not \w+"):
        zoo.finetune(file, photos, output=output, resume=True, **{**OPTIONS, "epochs": 1})


def test_training_continues_from_a_file(photos: Path, output: Path, file: str, tmp_path: Path) -> None:
    weights = {name: (tensor + 1).to(tensor.dtype) for name, tensor in build(file).state_dict().items()}
    save_file(weights, tmp_path / "weights.safetensors")
    zoo.finetune(file, photos, output=output, weights=tmp_path / "weights.safetensors", **{**OPTIONS, "train": "head"})
    trained = load_file(output / "model.safetensors")
    assert torch.equal(trained["stem.0.weight"], weights["stem.0.weight"])
    progress = RecordingProgress()
    options = {**OPTIONS, "weights": output / "model.safetensors", "epochs": 1}
    zoo.finetune(file, photos, output=tmp_path / "more", progress=progress, **options)
    assert any("keeping the head of model.safetensors for blue, red" in line for line in progress.lines)
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="does not match the backbone"):
        zoo.finetune(file, photos, weights=tmp_path / "other.safetensors", **OPTIONS)


def test_a_head_with_hidden_layers_is_trained_and_loaded(photos: Path, output: Path, file: str) -> None:
    zoo.finetune(file, photos, output=output, **{**OPTIONS, "epochs": 1, "head": "fc=mlp:9"})
    loaded = zoo.load(output, model=file, device="cpu")
    assert loaded.model.get_submodule("fc.0").out_features == 9
    assert loaded.evaluate(photos)["images"] == 10


def test_a_learning_rate_is_found(photos: Path, file: str) -> None:
    options = {name: value for name, value in OPTIONS.items() if name not in ("lr", "epochs")}
    assert zoo.find_lr(file, photos, **options).tried


EDITED = """
import zoo
from torch import nn


def alexnet():
    model = zoo.build("alexnet", weights="none")
    zoo.surgery.remove(model, "classifier.4")
    return zoo.surgery.remove(model, "classifier.5")


def resnet():
    model = zoo.build("resnet50", weights="none")
    block = nn.Sequential(nn.Conv2d(1024, 64, 3, stride=2, padding=1), nn.BatchNorm2d(64), nn.ReLU())
    zoo.surgery.replace(model, "layer4", block)
    return zoo.surgery.replace(model, "fc", nn.Linear(64, 10))
"""


@pytest.mark.parametrize(
    ("function", "head", "last"),
    [pytest.param("alexnet", "classifier.6", "classifier", marks=pytest.mark.breadth), ("resnet", "fc", "layer4")],
)
def test_an_edited_backbone_is_trained_and_used(
    few_photos: Path, output: Path, tmp_path: Path, *, function: str, head: str, last: str
) -> None:
    pytest.importorskip("zoo_torchvision")
    file = f"{write_network(tmp_path, EDITED)}:{function}"
    options = {**OPTIONS, "image_size": 64, "epochs": 1, "train": f"from:{last}", "batch_size": 2, "lr": 1e-3}
    zoo.finetune(file, few_photos, output=output, **options)
    network = read_facts(output)["network"]
    assert (network["head"], [*network["blocks"]][-1]) == (head, last)
    classifier = zoo.load(output, model=file, device="cpu")
    assert classifier.evaluate(few_photos)["images"] == 2
    assert len(list(classifier.predict(few_photos / "val"))) == 2


def test_the_command_line_trains_evaluates_and_predicts(
    photos: Path, tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.engine.allocator.keep_freed_memory", lambda: None)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(cli, [*arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    flags = ["--train", "all", "--epochs", "1", "--image-size", "16", "--device", "cpu", "--set", "workers=0"]
    output = str(tmp_path / "run")
    run("finetune", file, "--data", str(photos), "--output", output, "--blocks", "stem,layer1", "--head", "fc", *flags)
    facts = json.loads(run("evaluate", output, "--data", str(photos), "--model", file, "--device", "cpu", "--json"))
    assert facts["images"] == 10
    assert run("predict", output, str(photos / "val"), "--model", file, "--device", "cpu").count("\n") == 10
    assert "--model" in (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    assert run("inspect", file, "--image-size", "16").startswith(f"{file}: ")
