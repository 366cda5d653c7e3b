from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from quick_runs import QUICK
from zoo.registry.registry import Registry
from zoo.training.finetune import finetune

Main = Callable[..., int]
PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "export.md"


@pytest.fixture
def run(run: Main, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Main:
    """Run ``zoo export`` with only acme installed, and return the exit code."""
    monkeypatch.setattr("zoo.registry.registry.open_registry", lambda: registry)
    return lambda *arguments: run("export", *arguments)


@pytest.fixture
def folder(registry: Registry, photos: Path, tmp_path: Path) -> Path:
    """A run folder whose images still exist."""
    return finetune("net", photos, output=tmp_path / "one", registry=registry, **QUICK).path


@pytest.mark.breadth
def test_the_path_is_on_stdout_and_the_agreement_on_stderr(
    run: Main, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "--format", "pt2") == 0
    shown = capfd.readouterr()
    assert shown.out == f"{folder / 'exports' / 'pt2'}\n"
    assert "with image files: the most probable class is the same for" in shown.err
    assert "proved on 10 validation images\n" in shown.err


@pytest.mark.breadth
def test_the_json_output_has_the_result_of_the_comparison(
    run: Main, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "predictions.jsonl").unlink()
    assert run(folder, "--format", "pt2", "--preprocess", "outside", "--json") == 0
    shown = capfd.readouterr()
    answer = json.loads(shown.out)
    assert answer["proved"] is False
    assert answer["path"] == str(folder / "exports" / "pt2-outside")
    assert answer["parity"]["tensors"]["difference"] < 1e-4
    assert "warning: not proved on your images, only on drawn ones, because" in shown.err


def test_the_reader_on_the_page_prepares_images_as_the_run_does(tmp_path: Path) -> None:
    from zoo.data.decode import decode_image
    from zoo.data.transform import build_eval_transform
    from zoo.plugin import InputSpec
    from zoo.runs.export.golden import draw_golden

    code = next(
        block
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
        if "def read_image" in block
    )
    assert len(code.partition("def read_image")[2].splitlines()) <= 10
    names: dict[str, object] = {}
    exec(code, names)  # Running the code is the point of the test.
    read_image = names["read_image"]
    assert callable(read_image)
    spec = InputSpec(size=(3, 64, 64), resize=73)
    fields = {name: getattr(spec, name) for name in ("size", "resize", "interpolation", "mean", "std")}
    for path in draw_golden(tmp_path / "golden"):
        expected = build_eval_transform(spec)(decode_image(path)).numpy()
        difference = np.abs(read_image(path, fields)[0] - expected) * 255 * np.array(spec.std)[:, None, None]
        assert difference.max() < 1.5
        assert (difference > 0.5).mean() < 0.2
