"""The commands that list plugins, backbones and cached files print hostile texts of plugins and users safely."""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from checked_plugins import SOURCE
from checked_plugins import install as install_checked
from hostile_names import BATCHES, list_file_names, list_texts
from printed import check_lines
from zoo.plugin import BackboneSpec, BlockSpec, WeightsSpec
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml

Main = Callable[..., int]
Capture = pytest.CaptureFixture[str]


def spoil(spec: Any, **texts: Any) -> Any:
    """Return a copy of a spec with these fields, as a plugin can make one that bypasses the validation."""
    copy = dataclasses.replace(spec)
    for name, text in texts.items():
        object.__setattr__(copy, name, text)
    return copy


@pytest.fixture
def install(acme: BackboneSpec, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], None]:
    """Return a function that installs a working plugin and broken ones with these texts."""

    def install(texts: list[str]) -> None:
        some = cycle(texts)
        weights = tuple(spoil(WeightsSpec(tag="V1", url=None, license="MIT"), tag=t, license=next(some)) for t in texts)
        blocks = tuple(spoil(BlockSpec("b", ("b",)), name=text) for text in texts)
        fields = ("family", "license", "classifier", "upstream")
        spec = spoil(acme, weights=weights, blocks=blocks, head=(texts[0],), **{name: next(some) for name in fields})
        plugins = [Plugin("acme", "zoo-acme", texts[0], backbones=(spec,), output=texts[1])]
        for text in texts:
            details = f"Traceback:\n  {next(some)}"
            plugins.append(Plugin(text, next(some), next(some), "broken", next(some), details, next(some)))
        registry = Registry(plugins, RegistryToml())
        for module in ("registry.registry", "cli.list", "cli.info", "cli.plugins", "cli.check"):
            monkeypatch.setattr(f"zoo.{module}.open_registry", lambda: registry)

    return install


def check(run: Main, capfd: Capture, *arguments: str | Path, lines: int | None = None) -> str:
    """Run a command, check what it prints, with ``--json`` as well unless it is an error, and return its stdout."""
    code = run(*arguments)
    printed = capfd.readouterr()
    check_lines(printed.out + printed.err)
    assert "Traceback (most" not in printed.err
    assert lines is None or printed.out.count("\n") == lines, printed.out
    if code == 0 and "new" not in arguments and "clear" not in arguments:
        run(*arguments, "--json")
        out = capfd.readouterr().out
        check_lines(out)
        json.loads(out, parse_constant=pytest.fail)
    return printed.out


@pytest.mark.parametrize("seed", BATCHES)
def test_list_info_plugins_and_doctor_print_safely(
    run: Main, install: Callable[[list[str]], None], capfd: Capture, *, seed: int
) -> None:
    texts = list_texts(seed)
    install(texts)
    check(run, capfd, "list", lines=3)
    check(run, capfd, "info", "acme/net", lines=11 + len(texts))
    check(run, capfd, "plugins", lines=2 * len(texts) + 3 + len(texts))
    check(run, capfd, "plugins", "--debug")
    check(run, capfd, "doctor")


@pytest.mark.parametrize("seed", BATCHES)
def test_errors_about_wrong_names_are_printed_safely(
    run: Main, install: Callable[[list[str]], None], capfd: Capture, tmp_path: Path, *, seed: int
) -> None:
    install(list_texts(seed))
    for text in list_file_names(seed):
        check(run, capfd, "info", text)
        check(run, capfd, "inspect", text)
        check(run, capfd, "check", text)
        check(run, capfd, "list", text)
        for option in ("--plugin", "--family", "--license", "--max-params"):
            check(run, capfd, "list", f"{option}={text}")
        check(run, capfd, f"-{text}")
        check(run, capfd, text)
        check(run, capfd, "compare", text)
        check(run, capfd, "rank", "--data", text, text)
        check(run, capfd, "plugin", "new", text, "--output", tmp_path / "package" / text)
        check(run, capfd, "plugin", "new", "mine", "--output", tmp_path / text)


@pytest.mark.parametrize("seed", BATCHES)
def test_check_prints_safely(
    run: Main, tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch, *, seed: int
) -> None:
    texts, namespace = list_texts(seed), f"hostile{seed}"
    raising = SOURCE.replace("def build(tag=None):", f"def build(tag=None):\n    raise RuntimeError({texts!r:})")
    listed = ", ".join(f"spoil(spec('{namespace}/net{number}'), {text!r})" for number, text in enumerate(texts[:5]))
    spoil = "def spoil(spec, text):\n    object.__setattr__(spec, 'license', text)\n    return spec\n\n\n@hookimpl"
    install_checked(namespace, raising.replace("@hookimpl", spoil).replace("LISTED", listed), tmp_path)
    importlib.invalidate_caches()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "RuntimeError" in check(run, capfd, "check", namespace, "--level", "meta", "--jobs", "1")
    assert run("check", namespace, "--level", "static", "--jobs", "1", "--json") == 1
    check_lines(capfd.readouterr().out)


@pytest.mark.parametrize("seed", BATCHES)
def test_cache_prints_safely(run: Main, own_cache: Path, capfd: Capture, seed: int) -> None:
    for kind, beginning in {"weights": f"{'0' * 16}-", "shards": ""}.items():  # of zoo, and of the user
        (own_cache / kind).mkdir()
        for name in list_file_names(seed):
            (own_cache / kind / f"{beginning}{name}").write_bytes(b"x")
    check(run, capfd, "cache", "list", lines=len(list_file_names(seed)) + 1)
    check(run, capfd, "cache", "clear", "all", lines=1)


# If an escaping function is disabled, the tests above fail.


@pytest.mark.parametrize("stream", ["print_lines", "print_notes"])
def test_listing_with_missing_escapes_is_noticed(
    run: Main, install: Callable[[list[str]], None], capfd: Capture, monkeypatch: pytest.MonkeyPatch, stream: str
) -> None:
    def print_raw(*lines: str) -> None:
        print(*lines, sep="\n", file=sys.stdout if stream == "print_lines" else sys.stderr)

    monkeypatch.setattr(f"zoo.cli.plugins.{stream}", print_raw)
    monkeypatch.setattr("zoo.cli.output.make_printable", str)
    with pytest.raises(AssertionError):
        test_list_info_plugins_and_doctor_print_safely(run, install, capfd, seed=0)
