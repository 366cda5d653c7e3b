from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from quick_runs import QUICK
from zoo.errors import DataError, NameNotFound, OptionError, RunError, WeightsError
from zoo.registry.registry import Registry
from zoo.training.finetune import finetune


def test_without_output_runs_are_numbered(
    registry: Registry, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = [finetune("acme/net", photos, registry=registry, **QUICK) for _ in range(2)]
    assert [run.path for run in runs] == [Path("runs/net-photos-1"), Path("runs/net-photos-2")]


@pytest.mark.parametrize(
    ("files", "what"),
    [
        (["model.safetensors"], "contains another run"),
        (["model.safetensors", "export.json"], "contains an export"),
        (["notes.txt"], "contains other files"),
    ],
)
def test_a_used_output_is_refused_first(registry: Registry, output: Path, files: list[str], what: str) -> None:
    output.mkdir()
    for name in files:
        (output / name).touch()
    with pytest.raises(RunError, match=what):
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
def test_an_option_of_the_wrong_type_is_an_option_error(
    registry: Registry, photos: Path, output: Path, option: str
) -> None:
    with pytest.raises(OptionError, match=option):
        finetune("net", photos, output=output, registry=registry, **{**QUICK, option: 4096})


@pytest.mark.parametrize(
    ("data", "options", "reason"),
    [("nope", {}, "no data set 'nope'"), ("", {}, "`data` is empty"), (None, {"train": "from:zzz"}, "no block 'zzz'")],
)
def test_misspelled_names_are_reported_before_weights_are_read(
    data: str | None, options: dict[str, Any], reason: str, photos: Path, registry: Registry
) -> None:
    with pytest.raises((DataError, NameNotFound), match=reason):
        finetune("acme/net", photos if data is None else data, weights="gone.safetensors", registry=registry, **options)
