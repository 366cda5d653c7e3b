from __future__ import annotations

import inspect
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType

import click
import pytest
from torch import nn

import zoo.plugin
from zoo.cli import cli, main
from zoo.cli.finetune import command
from zoo.loading import Plugin, load_plugin
from zoo.plugin import BackboneSpec, hookimpl
from zoo.recipe import Recipe
from zoo.registry import Registry
from zoo.settings import Settings

Main = Callable[..., int]
QUICK = ("--weights", "none", "--train", "all", "--batch-size", "8", "--epochs", "1", "--device", "cpu")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A --config that loads images in this process."""
    path = tmp_path / "zoo.toml"
    path.write_text("workers = 0\n", encoding="utf-8")
    return path


@pytest.fixture
def run(registry: Registry, config: Path, monkeypatch: pytest.MonkeyPatch) -> Main:
    """Run ``zoo finetune`` as the console script does, where nothing but acme is installed; returns the exit code."""
    monkeypatch.setattr("zoo.cli.finetune.open_registry", lambda: registry)

    def run(*arguments: str | Path) -> int:
        given = () if "--config" in arguments else ("--config", config)
        monkeypatch.setattr(sys, "argv", ["zoo", "finetune", *map(str, (*arguments, *given))])
        with pytest.raises(SystemExit) as end:
            main()
        assert isinstance(end.value.code, int)
        return end.value.code

    return run


def test_stdout_is_the_run_folder_alone(
    run: Main, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("net", "--data", photos, "--output", tmp_path / "out", *QUICK) == 0
    printed = capfd.readouterr()
    assert printed.out == f"{tmp_path / 'out'}\n"
    assert printed.err.startswith("net -> acme/net@none\n")
    assert "best: epoch 1" in printed.err
    assert (tmp_path / "out" / "run.json").is_file()


def test_json_prints_run_json_instead(
    run: Main, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("net", "--data", photos, "--output", tmp_path / "out", "--json", *QUICK) == 0
    facts = json.loads(capfd.readouterr().out)
    assert facts == json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert facts["backbone"] == "acme/net"
    assert {"classes", "best", "frozen"} <= facts.keys()
    assert facts["best"].keys() >= {"epoch", "val_accuracy"}
    assert facts["frozen"].keys() == {"before", "after"}


def test_without_output_the_run_is_numbered_below_runs(
    run: Main, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("net", "--data", photos.name, *QUICK) == 0
    assert run("net", "--data", photos.name, *QUICK) == 0
    assert capfd.readouterr().out == "runs/net-photos-1\nruns/net-photos-2\n"


def test_an_output_that_holds_a_run_is_refused_and_stays_as_it_is(
    run: Main, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ("net", "--data", photos, "--output", tmp_path / "out", *QUICK)
    assert run(*arguments) == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    capfd.readouterr()
    assert run(*arguments) == 1
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "out holds another run; choose another --output" in printed.err
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before


# --config.


def test_flags_win_over_the_config_and_the_config_over_defaults(
    run: Main, photos: Path, tmp_path: Path, config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config.write_text('workers = 0\noptimizer = "sgd"\nbatch-size = 5\nlabel_smoothing = 0.1\n', encoding="utf-8")
    arguments = ("--optimizer", "adam", "--weights", "none", "--epochs", "1", "--device", "cpu", "--json")
    assert run("net", "--data", photos, "--output", tmp_path / "out", *arguments) == 0
    recipe = json.loads(capfd.readouterr().out)["recipe"]
    found = {name: recipe[name] for name in ("optimizer", "batch_size", "label_smoothing", "schedule")}
    assert found == {"optimizer": "adam", "batch_size": 5, "label_smoothing": 0.1, "schedule": Recipe().schedule}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        *(
            (f"{name} = 'x'", f"zoo.toml: no option '{name}'; the options are weights, head, train, ")
            for name in ("epoch", "backbone", "data", "output", "progress", "registry", "config", "json")
        ),
        ("epochs = 'three'", "epochs is 'three'; it must be a whole number"),
        ("epochs = true", "epochs is True; it must be a whole number"),
        ("optimizer = 'lion'", "no optimizer 'lion'; it is one of adamw, adam, sgd"),
        ("epochs =", "zoo.toml cannot be read"),
        ("\xff", "zoo.toml cannot be read"),
    ],
)
def test_a_config_that_cannot_be_used_is_an_error_that_says_why(
    run: Main, photos: Path, config: Path, capfd: pytest.CaptureFixture[str], *, content: str, message: str
) -> None:
    config.write_bytes(content.encode("latin-1"))
    assert run("net", "--data", photos, "--weights", "none") == 1
    printed = capfd.readouterr()
    assert printed.out == ""
    assert message in printed.err


def test_a_config_that_is_not_there_is_an_error_that_names_it(
    run: Main, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("net", "--data", photos, "--config", tmp_path / "gone.toml") == 1
    assert "gone.toml cannot be read" in capfd.readouterr().err


@pytest.mark.parametrize("content", ["head = 4096", "weights = 1", "train = 1"])
def test_a_number_where_a_text_belongs_is_an_error(
    run: Main, photos: Path, config: Path, capfd: pytest.CaptureFixture[str], content: str
) -> None:
    config.write_text(f"{content}\n", encoding="utf-8")
    weights = () if content.startswith("weights") else ("--weights", "none")
    assert run("net", "--data", photos, *weights) == 1
    assert content.partition(" ")[0] in capfd.readouterr().err


# Flags.


def test_every_flag_is_a_field_of_the_recipe() -> None:
    flags = {parameter.name for parameter in command.params}
    assert flags - {"backbone", "data", "output", "config", "as_json"} <= {field.name for field in fields(Recipe)}


def test_every_default_in_the_help_is_that_of_the_recipe() -> None:
    recipe = Recipe()
    text = " ".join(command.get_help(click.Context(command, info_name="finetune")).split())
    for name in ("epochs", "batch_size", "optimizer", "schedule", "augment", "train", "head", "seed"):
        found = re.search(rf"--{name.replace('_', '-')} .*?\[default: ([^]]*)\]", text)
        assert found is not None
        assert found[1] == str(getattr(recipe, name))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--train", "from:layer9"), "no block 'layer9'; from input to output the blocks are stem, layer1"),
        (("--train", "backwards"), "no train 'backwards'"),
        (("--head", "mlp:"), "no head 'mlp:'"),
        (("--epochs", "0"), "epochs is 0; it must be a whole number from 1 to 2**63 - 1."),
        (("--lr", "nan"), "lr is nan"),
        (("--weights", "V9"), "acme/net has no weights 'V9'"),
        (("--weights", "gone.safetensors"), "gone.safetensors"),
        (("--device", "cpu", "--precision", "fp16"), "fp16 needs a GPU"),
    ],
)
def test_a_wrong_value_is_one_line_and_exit_code_1(
    run: Main,
    photos: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    *,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    weights = () if "--weights" in arguments else ("--weights", "none")
    assert run("net", "--data", photos, "--output", tmp_path / "out", *weights, *arguments) == 1
    printed = capfd.readouterr()
    assert printed.out == ""
    (line,) = [line for line in printed.err.splitlines() if line.startswith("Error: ")]
    assert message in line
    assert "Traceback" not in printed.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments", [("--optimizer", "lion"), ("--epochs", "many"), ("--device", "tpu"), ("--schedule", "")]
)
def test_a_value_that_a_flag_cannot_have_is_exit_code_2(
    run: Main, photos: Path, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert run("net", "--data", photos, *arguments) == 2
    assert capfd.readouterr().out == ""


def test_nothing_is_trained_without_data(run: Main, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("net") == 2
    assert "--data" in capfd.readouterr().err


# Signals and other processes.


def test_ctrl_c_is_exit_code_130_with_the_best_epoch_saved_and_no_run_json(
    acme: BackboneSpec, run: Main, photos: Path, tmp_path: Path, *, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def zoo_epoch_ended(epoch: dict[str, int]) -> None:
        if epoch["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGINT)

    module = ModuleType("zoo_acme")
    module.ZOO_API = 1  # type: ignore[attr-defined]
    module.zoo_backbones = hookimpl(lambda: [acme])  # type: ignore[attr-defined]
    module.zoo_epoch_ended = hookimpl(zoo_epoch_ended)  # type: ignore[attr-defined]
    plugin = Plugin("acme", "zoo-acme", "1.0")
    load_plugin(plugin, lambda: module)
    monkeypatch.setattr("zoo.cli.finetune.open_registry", lambda: Registry([plugin], Settings()))
    assert run("net", "--data", photos, "--output", tmp_path / "out", *QUICK, "--epochs", "3") == 130
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "interrupted; a run keeps its best epoch so far" in printed.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["history.jsonl", "model.safetensors"]


PLUGIN = """
from zoo.plugin import BackboneSpec, BlockSpec, InputSpec, hookimpl

ZOO_API = 1


def build(tag):
    from collections import OrderedDict

    from torch import nn

    layers = OrderedDict(stem=nn.Conv2d(3, 4, 3), pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), fc=nn.Linear(4, 5))
    return nn.Sequential(layers)


@hookimpl
def zoo_backbones():
    yield BackboneSpec(
        name="bolt/net", family="bolt", build=build, head=("fc",), blocks=(BlockSpec("stem", ("stem",)),),
        num_classes=5, params=137, licence="MIT", input=InputSpec(size=(3, 8, 8), resize=8),
    )


@hookimpl
def zoo_run_started(run):
    print("a tracker talks too")
"""


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The environment of a process in which the plugin bolt is installed, and may talk on stdout."""
    site = tmp_path / "site"
    (site / "zoo_bolt-1.0.dist-info").mkdir(parents=True)
    (site / "zoo_bolt.py").write_text(PLUGIN, encoding="utf-8")
    (site / "zoo_bolt-1.0.dist-info" / "METADATA").write_text("Name: zoo-bolt\nVersion: 1.0\n", encoding="utf-8")
    (site / "zoo_bolt-1.0.dist-info" / "entry_points.txt").write_text("[zoo]\nbolt = zoo_bolt\n", encoding="utf-8")
    package = Path(inspect.getfile(zoo.plugin)).parent.parent
    path = os.pathsep.join([str(site), str(package), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "ZOO_LOAD_PLUGINS": "bolt"}


def start(arguments: tuple[str | Path, ...], environment: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "zoo", "finetune", *map(str, arguments)],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_stdout_of_a_process_is_the_run_folder_alone_though_a_tracker_talks(
    photos: Path, tmp_path: Path, config: Path, installed: dict[str, str]
) -> None:
    with start(("bolt/net", "--data", photos, "--config", config, *QUICK), installed, tmp_path) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out == "runs/net-photos-1\n"
    assert "a tracker talks too" in err


def test_what_upstream_prints_does_not_spoil_the_json(
    acme: BackboneSpec, run: Main, photos: Path, tmp_path: Path, *, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def build(tag: str | None) -> nn.Module:
        print("loading")  # noqa: T201  # as upstreams do
        return acme.build(tag)

    plugin = Plugin("acme", "zoo-acme", "1.0", backbones=(replace(acme, build=build),))
    monkeypatch.setattr("zoo.cli.finetune.open_registry", lambda: Registry([plugin], Settings()))
    assert run("net", "--data", photos, "--output", tmp_path / "out", "--json", *QUICK) == 0
    assert json.loads(capfd.readouterr().out)["backbone"] == "acme/net"


def test_sigterm_ends_a_run_without_run_json_and_keeps_the_best_epoch(
    photos: Path, tmp_path: Path, config: Path, installed: dict[str, str]
) -> None:
    arguments = ("bolt/net", "--data", photos, "--config", config, *QUICK, "--epochs", "100000")
    with start((*arguments, "--output", "out"), installed, tmp_path) as process:
        assert process.stderr is not None
        seen = next(line for line in process.stderr if line.startswith("epoch 2:"))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
    assert seen
    assert process.returncode in {-signal.SIGTERM, 128 + signal.SIGTERM}
    left = {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")}
    assert left == {"history.jsonl", "model.safetensors"}


def test_the_command_is_the_one_of_the_group() -> None:
    assert cli.get_command(click.Context(cli), "finetune") is command
