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
    """Run ``zoo finetune`` with only acme installed, and return the exit code."""
    monkeypatch.setattr("zoo.registry.registry.open_registry", lambda: registry)
    return lambda *arguments: run("finetune", *arguments, *(() if "--config" in arguments else ("--config", config)))


def test_stdout_is_only_the_run_folder(
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


def test_folds_print_a_table_on_stderr_and_the_folder_on_stdout(
    run: Main, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("net", "--data", photos, "--output", tmp_path / "out", "--folds", "2", *QUICK_FLAGS) == 0
    printed, facts = capfd.readouterr(), json.loads((tmp_path / "out" / "folds.json").read_text(encoding="utf-8"))
    assert printed.out == f"{tmp_path / 'out'}\n"
    table = [line.split() for line in printed.err.splitlines()[-5:]]
    assert table[0] == ["FOLD", "TRAIN", "VAL", "ACCURACY"]
    assert table[1] == ["1", "17", "17", f"{facts['folds'][0]['accuracy']:.3f}"]
    assert table[3][:2] == ["mean", f"{facts['mean']:.3f}"]
    assert table[4][:3] == ["out-of-fold", "34", f"{facts['out_of_fold']['accuracy']:.3f}"]


def test_json_prints_folds_json_for_folds(
    run: Main, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("net", "--data", photos, "--output", tmp_path / "out", "--folds", "2", "--json", *QUICK_FLAGS) == 0
    facts = json.loads(capfd.readouterr().out)
    assert facts == json.loads((tmp_path / "out" / "folds.json").read_text(encoding="utf-8"))


def test_the_default_output_is_a_numbered_folder_in_runs(
    run: Main, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("net", "--data", photos.name, *QUICK_FLAGS) == 0
    assert run("net", "--data", photos.name, *QUICK_FLAGS) == 0
    assert capfd.readouterr().out == "runs/net-photos-1\nruns/net-photos-2\n"


def test_an_output_that_contains_a_run_is_refused_and_unchanged(
    run: Main, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ("net", "--data", photos, "--output", tmp_path / "out", *QUICK_FLAGS)
    assert run(*arguments) == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    capfd.readouterr()
    assert run(*arguments) == 1
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "out contains another run; choose another --output" in printed.err
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before


# --config.


def test_flags_override_the_config_which_overrides_defaults(
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
            for name in ("backbone", "data", "output", "progress", "registry", "config", "json")
        ),
        ("epoch = 'x'", "zoo.toml: no option 'epoch'; did you mean epochs? The options are weights, head, train, "),
        ("epochs = 'three'", "epochs must be a whole number, got 'three'"),
        ("epochs = true", "epochs must be a whole number, got True"),
        ("optimizer = 'lion'", "unknown optimizer 'lion'; choose from adamw, adam, sgd"),
        ("epochs =", "zoo.toml cannot be read"),
        ("\xff", "zoo.toml cannot be read"),
    ],
)
def test_an_invalid_config_is_an_error_with_the_reason(
    run: Main, photos: Path, config: Path, capfd: pytest.CaptureFixture[str], *, content: str, message: str
) -> None:
    config.write_bytes(content.encode("latin-1"))
    assert run("net", "--data", photos, "--weights", "none") == 1
    printed = capfd.readouterr()
    assert printed.out == ""
    assert message in printed.err


def test_a_missing_config_is_an_error(
    run: Main, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("net", "--data", photos, "--config", tmp_path / "gone.toml") == 1
    assert "gone.toml cannot be read" in capfd.readouterr().err


def test_a_config_that_would_never_end_is_an_error(
    run: Main, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        assert run("net", "--data", photos, "--config", path) == 1
        assert f"{path} cannot be read: it is not a file." in capfd.readouterr().err


@pytest.mark.parametrize("content", ["head = 4096", "weights = 1", "train = 1"])
def test_a_number_instead_of_a_string_is_an_error(
    run: Main, photos: Path, config: Path, capfd: pytest.CaptureFixture[str], content: str
) -> None:
    config.write_text(f"{content}\n", encoding="utf-8")
    weights = () if content.startswith("weights") else ("--weights", "none")
    assert run("net", "--data", photos, *weights) == 1
    assert content.partition(" ")[0] in capfd.readouterr().err


# --set.


def test_set_accepts_any_option_and_flags_take_precedence(
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
        ("color=red", 1, "no option 'color'; the options are"),
        ("output=here", 1, "no option 'output'; the options are"),
    ],
)
def test_an_invalid_setting_is_an_error_with_the_reason(
    run: Main, photos: Path, capfd: pytest.CaptureFixture[str], *, setting: str, code: int, message: str
) -> None:
    assert run("net", "--data", photos, "--set", setting) == code
    assert message in capfd.readouterr().err


# --resume.


def test_an_interrupted_run_can_be_resumed_as_its_message_says(
    run: Main, photos: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_step, arguments = RunCallbacks.on_step, ("net", "--data", photos, "--output", tmp_path / "out", *QUICK_FLAGS)

    def interrupt(watch: RunCallbacks) -> None:
        on_step(watch)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(RunCallbacks, "on_step", interrupt)
    assert run(*arguments) == 143
    assert (
        f"checkpoint saved in {tmp_path / 'out'} after 1 step; run the same command with --resume to continue"
        in capfd.readouterr().err
    )
    monkeypatch.undo()
    monkeypatch.setattr("zoo.registry.registry.open_registry", lambda: registry_of(make_acme()))
    assert run(*arguments) == 1
    assert "choose another --output" in capfd.readouterr().err
    assert run(*arguments, "--resume") == 0
    assert capfd.readouterr().out == f"{tmp_path / 'out'}\n"


# Flags.


def test_each_flag_is_a_field_of_the_recipe() -> None:
    flags = {parameter.name for parameter in command.params}
    others = {
        "backbone", "blocks", "data", "output", "config", "assignments", "recipe", "resume", "as_json", "devices",
        "folds",
    }  # fmt: skip
    assert flags - others <= {field.name for field in fields(Recipe)}


def test_defaults_in_the_help_are_those_of_the_recipe() -> None:
    recipe = Recipe()
    text = " ".join(
        command.get_help(click.Context(command, info_name="finetune", help_option_names=["-h", "--help"])).split()
    )
    for name in ("epochs", "batch_size", "optimizer", "schedule", "train", "head", "seed"):
        found = re.search(rf"--{name.replace('_', '-')} .*?\[default: ([^]]*)\]", text)
        assert found is not None
        assert found[1] == str(getattr(recipe, name))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--train", "from:layer9"), "no block 'layer9'; the blocks from input to output are stem, layer1"),
        (("--train", "backwards"), "invalid --train 'backwards'"),
        (("--head", "mlp:"), "invalid --head 'mlp:'"),
        (("--epochs", "0"), "epochs must be at least 1, got 0."),
        (("--schedule", "step:7,1"), "invalid --schedule 'step:7,1'; choose from onecycle, cosine, step, plateau, "),
        (("--set", "momentum=0.8"), "--set momentum has no effect with adamw, which has --set betas and --set eps;"),
        (("--lr", "nan"), "lr must be a number between 0 and 100, got nan."),
        (("--weights", "V9"), "acme/net has no weights 'V9'"),
        (("--weights", "gone.safetensors"), "gone.safetensors"),
        (("--device", "cpu", "--precision", "fp16"), "fp16 needs a GPU"),
    ],
)
def test_a_wrong_value_is_one_line_with_exit_code_1(
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
def test_an_invalid_value_of_a_flag_is_wrong_usage(
    run: Main, photos: Path, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert run("net", "--data", photos, *arguments) == 2
    assert capfd.readouterr().out == ""


def test_finetune_requires_data(run: Main, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("net") == 2
    assert "--data" in capfd.readouterr().err


# Interrupts and upstream output.


def test_ctrl_c_exits_with_130_and_keeps_the_best_epoch(
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
    assert printed.err.endswith("interrupted\n")
    assert f"{tmp_path / 'out' / 'model.safetensors'} is the model of the best epoch so far\n" in printed.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "checkpoints",
        "history.jsonl",
        "model.safetensors",
    ]


def test_ctrl_c_before_the_first_epoch_ends_does_not_mention_a_best_epoch(
    acme: BackboneSpec, run: Main, photos: Path, tmp_path: Path, *, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def zoo_run_started() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    registry = registry_of(acme, zoo_run_started=zoo_run_started)
    monkeypatch.setattr("zoo.registry.registry.open_registry", lambda: registry)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert run("net", "--data", photos, "--output", tmp_path / "out", *QUICK_FLAGS) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    printed = capfd.readouterr().err
    assert printed.endswith("interrupted\n")
    assert "best epoch" not in printed
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_upstream_output_does_not_mix_with_the_json(
    acme: BackboneSpec, run: Main, photos: Path, tmp_path: Path, *, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def build(tag: str | None) -> nn.Module:
        print("loading")  # noqa: T201  # as some upstream code does
        return acme.build(tag)

    registry = registry_of(replace(acme, build=build))
    monkeypatch.setattr("zoo.registry.registry.open_registry", lambda: registry)
    assert run("net", "--data", photos, "--output", tmp_path / "out", "--json", *QUICK_FLAGS) == 0
    assert json.loads(capfd.readouterr().out)["backbone"] == "acme/net"


def test_the_group_loads_the_command() -> None:
    assert cli.get_command(click.Context(cli), "finetune") is command
