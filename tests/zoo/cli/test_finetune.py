from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import click
import pytest
from torch import nn

from acme import make_acme
from made_registries import registry_of
from quick_runs import QUICK_FLAGS
from zoo.cli import cli
from zoo.cli.finetune import command
from zoo.plugin import BackboneSpec
from zoo.registry.recipe import Recipe
from zoo.registry.registry import Registry
from zoo.training.callbacks import RunCallbacks

Main = Callable[..., int]


@pytest.fixture
def run(run: Main, registry: Registry, config: Path, monkeypatch: pytest.MonkeyPatch) -> Main:
    """Run ``zoo finetune`` where nothing but acme is installed; returns the exit code."""
    monkeypatch.setattr("zoo.registry.registry.open_registry", lambda: registry)
    return lambda *arguments: run("finetune", *arguments, *(() if "--config" in arguments else ("--config", config)))


def test_stdout_is_the_run_folder_alone(
    run: Main, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("net", "--data", photos, "--output", tmp_path / "out", *QUICK_FLAGS) == 0
    printed = capfd.readouterr()
    assert printed.out == f"{tmp_path / 'out'}\n"
    assert printed.err.startswith("net -> acme/net@none\n")
    assert "best: epoch 1" in printed.err
    assert (tmp_path / "out" / "run.json").is_file()


def test_json_prints_run_json_instead(
    run: Main, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("net", "--data", photos, "--output", tmp_path / "out", "--json", *QUICK_FLAGS) == 0
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
    assert run("net", "--data", photos.name, *QUICK_FLAGS) == 0
    assert run("net", "--data", photos.name, *QUICK_FLAGS) == 0
    assert capfd.readouterr().out == "runs/net-photos-1\nruns/net-photos-2\n"


def test_an_output_that_holds_a_run_is_refused_and_stays_as_it_is(
    run: Main, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ("net", "--data", photos, "--output", tmp_path / "out", *QUICK_FLAGS)
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
        ("epochs = 'three'", "epochs must be a whole number, got 'three'"),
        ("epochs = true", "epochs must be a whole number, got True"),
        ("optimizer = 'lion'", "no optimizer 'lion'; choose from adamw, adam, sgd"),
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


# --set.


def test_any_option_can_be_set_and_flags_win(
    run: Main, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = ("mixup=0.2", "layer-decay=0.5", "balance=loss", "seed=5", "optimizer=sgd")
    arguments = [argument for setting in settings for argument in ("--set", setting)]
    arguments += ["--optimizer", "adam", "--output", str(tmp_path / "out"), "--json"]
    assert run("net", "--data", photos, *QUICK_FLAGS, *arguments) == 0
    recipe = json.loads(capfd.readouterr().out)["recipe"]
    wanted = {"mixup": 0.2, "layer_decay": 0.5, "balance": "loss", "seed": 5, "optimizer": "adam"}
    assert {name: recipe[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("setting", "code", "message"),
    [
        ("mixup", 2, "--set needs NAME=VALUE, got 'mixup'."),
        ("=3", 2, "--set needs NAME=VALUE"),
        ("a b=3", 2, "--set needs NAME=VALUE"),
        ("mixup=much", 1, "mixup must be a number between 0 and 100, got 'much'."),
        ("mixup=-1", 1, "mixup must be a number between 0 and 100, got -1."),
        ("mixup=1\nx = 2", 1, "mixup must be a number between 0 and 100, got '1\\nx = 2'."),
        ("colour=red", 1, "no option 'colour'; the options are"),
        ("output=here", 1, "no option 'output'; the options are"),
    ],
)
def test_a_setting_that_cannot_be_meant_says_why(
    run: Main, photos: Path, capfd: pytest.CaptureFixture[str], *, setting: str, code: int, message: str
) -> None:
    assert run("net", "--data", photos, "--set", setting) == code
    assert message in capfd.readouterr().err


# --resume.


def test_an_interrupted_run_says_how_it_goes_on_and_does(
    run: Main, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_step, arguments = RunCallbacks.on_step, ("net", "--data", photos, "--output", tmp_path / "out", *QUICK_FLAGS)

    def interrupt(watch: RunCallbacks) -> None:
        on_step(watch)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(RunCallbacks, "on_step", interrupt)
    assert run(*arguments) == 143
    assert (
        f"state saved in {tmp_path / 'out'} after 1 step; run the same command with --resume to continue"
        in capfd.readouterr().err
    )
    monkeypatch.undo()
    monkeypatch.setattr("zoo.registry.registry.open_registry", lambda: registry_of(make_acme()))
    assert run(*arguments) == 1
    assert "choose another --output" in capfd.readouterr().err
    assert run(*arguments, "--resume") == 0
    assert capfd.readouterr().out == f"{tmp_path / 'out'}\n"


# Flags.


def test_every_flag_is_a_field_of_the_recipe() -> None:
    flags = {parameter.name for parameter in command.params}
    others = {"backbone", "data", "output", "config", "assignments", "recipe", "resume", "as_json", "devices"}
    assert flags - others <= {field.name for field in fields(Recipe)}


def test_every_default_in_the_help_is_that_of_the_recipe() -> None:
    recipe = Recipe()
    text = " ".join(command.get_help(click.Context(command, info_name="finetune")).split())
    for name in ("epochs", "batch_size", "optimizer", "schedule", "train", "head", "seed"):
        found = re.search(rf"--{name.replace('_', '-')} .*?\[default: ([^]]*)\]", text)
        assert found is not None
        assert found[1] == str(getattr(recipe, name))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--train", "from:layer9"), "no block 'layer9'; from input to output the blocks are stem, layer1"),
        (("--train", "backwards"), "no train 'backwards'"),
        (("--head", "mlp:"), "no head 'mlp:'"),
        (("--epochs", "0"), "epochs must be at least 1, got 0."),
        (("--lr", "nan"), "lr must be a number between 0 and 100, got nan."),
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


# What happens around it.


def test_ctrl_c_is_exit_code_130_with_the_best_epoch_saved_and_no_run_json(
    acme: BackboneSpec, run: Main, photos: Path, tmp_path: Path, *, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def zoo_epoch_ended(epoch: dict[str, int]) -> None:
        if epoch["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGINT)

    registry = registry_of(acme, zoo_epoch_ended=zoo_epoch_ended)
    monkeypatch.setattr("zoo.registry.registry.open_registry", lambda: registry)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # tests started in the background ignore Ctrl-C
    try:
        assert run("net", "--data", photos, "--output", tmp_path / "out", *QUICK_FLAGS, "--epochs", "3") == 130
    finally:
        signal.signal(signal.SIGINT, before)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "interrupted; a run keeps its best epoch so far" in printed.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "checkpoints",
        "history.jsonl",
        "model.safetensors",
    ]


def test_what_upstream_prints_does_not_spoil_the_json(
    acme: BackboneSpec, run: Main, photos: Path, tmp_path: Path, *, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def build(tag: str | None) -> nn.Module:
        print("loading")  # noqa: T201  # as upstreams do
        return acme.build(tag)

    registry = registry_of(replace(acme, build=build))
    monkeypatch.setattr("zoo.registry.registry.open_registry", lambda: registry)
    assert run("net", "--data", photos, "--output", tmp_path / "out", "--json", *QUICK_FLAGS) == 0
    assert json.loads(capfd.readouterr().out)["backbone"] == "acme/net"


def test_the_command_is_the_one_of_the_group() -> None:
    assert cli.get_command(click.Context(cli), "finetune") is command
