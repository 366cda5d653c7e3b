from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from checked_plugins import SOURCE, install
from zoo.cli import cli
from zoo.registry.registry import open_registry
from zoo.testing.plugin_under_test import examine
from zoo.testing.promises import CHECKS, list_checks
from zoo.testing.results.result import STATUSES

Run = Callable[..., Result]

#: The backbones that the plugins list, by namespace.
PLUGINS = {
    "acme": "spec('acme/net')",
    "failing": "spec('failing/net', license='unknown')",
    "excused": "spec('excused/net', license='unknown', expected_failures={'spec.license': 'asked upstream'})",
    "mended": "spec('mended/net', expected_failures={'spec.license': 'asked upstream'})",
    "odd": "spec('odd/net', license='unknown'), spec('odd/fine')",
    "twin": "spec('twin/twin'), spec('twin')",
    "finds": "]\n\n\n@hookimpl\ndef zoo_find_backbone(name):\n    return [spec('finds/net')][0",
    "same": "*(spec(f'same/copy{number}', license='unknown') for number in range(20))",
    "ranged": "spec('ranged/net', upstream='click>=8,<99')",
    "weak": "spec('weak/net', weights=(WeightsSpec(tag='v1', url='hf://a/b/c.pth', license='MIT', sha1='0' * 40),))",
    "many": "*(spec(f'many/net{number}', params=number + 1) for number in range(20))",
}

OF_PLUGIN, OF_BACKBONE = len(list_checks(of_plugin=True)), len(list_checks(of_plugin=False))
STATIC = sum(check.level == "static" for check in list_checks(of_plugin=False))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run ``zoo check`` with these plugins installed."""
    for namespace, listed in PLUGINS.items():
        install(namespace, SOURCE.replace("LISTED", listed), tmp_path)
    importlib.invalidate_caches()
    monkeypatch.syspath_prepend(str(tmp_path))
    open_registry.cache_clear()  # another test may have opened it with different plugins
    yield lambda *arguments: CliRunner().invoke(cli, ["check", *arguments])
    open_registry.cache_clear()
    for name in [name for name in sys.modules if name.startswith("checked_")]:
        del sys.modules[name]


@pytest.fixture
def static(run: Run) -> Run:
    return lambda *arguments: run("--level", "static", *arguments)


# Exit code.


@pytest.mark.parametrize("name", ["acme", "excused", "acme/net", "odd/fine"])
def test_exit_code_is_0_if_all_checks_pass_or_are_excused(static: Run, name: str) -> None:
    result = static(name)
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("name", ["failing", "mended", "odd", "failing/net"])
def test_exit_code_is_1_if_a_check_fails(static: Run, name: str) -> None:
    for json_or_not in ([], ["--json"]):
        assert static(name, *json_or_not).exit_code == 1


def test_exit_code_is_1_if_one_of_several_plugins_fails(static: Run) -> None:
    assert static("acme", "failing", "excused").exit_code == 1


# Output for people.


def test_totals_count_the_checks_that_pass(static: Run) -> None:
    result = static("acme", "--only", "spec.")
    assert result.stdout.splitlines() == [
        "          CHECKS",
        f"acme      0 pass of {OF_PLUGIN} ({OF_PLUGIN} not run)",
        f"acme/net  {STATIC} pass of {OF_BACKBONE} ({OF_BACKBONE - STATIC} not run)",
    ]


def test_failures_and_expected_failures_are_listed(static: Run) -> None:
    lines = static("failing", "excused", "mended").stdout.splitlines()
    said = [re.sub(r"/\S*/", "", line) for line in lines if "spec.license" in line]
    unknown = "the license of the code is unknown; find out, and declare it"
    passes = "it is declared to fail (asked upstream) but passes; remove the entry"
    assert said == [
        f"FAIL   failing/net  spec.license: {unknown} (checked_failing.py:16).",
        f"XFAIL  excused/net  spec.license: asked upstream ({unknown} (checked_excused.py:16).)",
        f"XPASS  mended/net  spec.license: {passes} (checked_mended.py:16).",
    ]


def test_one_cause_of_many_failures_is_listed_once(static: Run) -> None:
    lines = static("same").stdout.splitlines()
    first, second = [line for line in lines if line.startswith(("FAIL", "     "))][:2]
    assert first.startswith("FAIL   same/copy0 and 19 more  spec.license: the license of the code is unknown; ")
    others = ", ".join(f"same/copy{number}" for number in range(1, 9))
    assert second == f"       the same: {others} and 11 more"
    assert sum("spec.license" in line for line in lines) == 1
    rows = json.loads(static("same", "--json").stdout)
    assert len([row for row in rows if row["check"] == "spec.license" and row["status"] == "fail"]) == 20


def test_many_backbones_with_one_cause_print_it_once_while_they_are_checked(static: Run) -> None:
    assert static("same").stderr.count("spec.license") == 1


def test_places_in_the_working_directory_are_relative(
    static: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "declare it (checked_failing.py:16)." in static("failing").stdout


@pytest.mark.parametrize(
    ("names", "of"),
    [
        (["many/net7", "acme"], "many/net7 and 1 more"),
        pytest.param(["many/net7"], "many/net7", marks=pytest.mark.breadth),
        pytest.param(["many"], "many/net0 and 19 more", marks=pytest.mark.breadth),
    ],
)
def test_a_reason_is_printed_once_with_the_number_of_backbones(run: Run, names: list[str], of: str) -> None:
    result = run(*names, "--level", "meta", "--only", "blocks.several")
    assert re.findall(r"^n/a .*", result.stdout, flags=re.MULTILINE) == [
        f"n/a    {of}  blocks.several: it is one layer and a head"
    ]


def test_a_check_that_does_not_apply_to_a_plugin_is_listed(static: Run) -> None:
    assert static("acme").stdout.startswith("n/a    acme  plugin.datasets: it provides no data sets\n")


def test_a_backbone_named_like_its_plugin_is_counted_separately(static: Run) -> None:
    table = static("twin", "--only", "spec.").stdout.partition("CHECKS\n")[2].splitlines()
    assert [re.sub(" +", " ", line) for line in table] == [
        f"twin 0 pass of {OF_PLUGIN} ({OF_PLUGIN} not run)",
        f"twin/twin {STATIC} pass of {OF_BACKBONE} ({OF_BACKBONE - STATIC} not run)",
        f"twin {STATIC - 1} pass, 1 fail of {OF_BACKBONE} ({OF_BACKBONE - STATIC} not run)",
    ]


@pytest.mark.parametrize(
    ("names", "last"),
    [
        (("many",), f"20 backbones: {20 * STATIC} pass of {20 * OF_BACKBONE:,} (N not run); no failed checks"),
        (
            ("many", "failing"),
            f"21 backbones: {21 * STATIC - 1} pass, 1 fail of {21 * OF_BACKBONE:,} (N not run); failed checks in 1",
        ),
    ],
)
def test_many_backbones_are_summarized_in_one_line(static: Run, names: tuple[str, ...], last: str) -> None:
    lines = static(*names).stdout.splitlines()
    assert re.sub(r"\([\d,]+ not", "(N not", lines[-1]) == last
    assert not any(line.startswith("many/net") for line in lines)
    assert any(line.startswith("many ") for line in lines)


# Output for programs.


def test_json_has_one_result_per_check_and_subject(static: Run) -> None:
    rows = json.loads(static("odd", "--json").stdout)
    assert {tuple(row) for row in rows} == {("backbone", "check", "status", "reason", "upstream")}
    assert {row["status"] for row in rows} <= {*STATUSES}
    found = {(row["backbone"], row["check"]) for row in rows}
    assert found == {
        *(("odd", check.name) for check in list_checks(of_plugin=True)),
        *((f"odd/{name}", check.name) for name in ("net", "fine") for check in list_checks(of_plugin=False)),
    }
    assert len(rows) == len(found)
    (bad,) = [row for row in rows if row["status"] == "fail"]
    assert (bad["backbone"], bad["check"]) == ("odd/net", "spec.license")
    assert bad["reason"].startswith("the license of the code is unknown")


# Names.


def test_a_namespace_a_full_name_or_a_bare_name_is_accepted(static: Run) -> None:
    def list_subjects(name: str) -> list[str]:
        return list(dict.fromkeys(row["backbone"] for row in json.loads(static(name, "--json").stdout)))

    assert list_subjects("odd") == ["odd", "odd/net", "odd/fine"]
    assert list_subjects("odd/fine") == ["odd", "odd/fine"]
    assert list_subjects("fine") == ["odd", "odd/fine"]
    assert list_subjects("net7") == ["many", "many/net7"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("acmee", r"no backbone 'acmee'.* You can also pass the name of a plugin; installed: acme, .*\bodd\b"),
        ("acme/nett", r"acme lists no backbone 'acme/nett'; `zoo list acme/\*` shows all"),
        ("acmee/net", r"no plugin 'acmee' is installed; installed: acme, "),
        ("net", r"'net'.*acme/net"),
    ],
)
def test_an_unknown_name_is_an_error_that_lists_known_names(static: Run, name: str, says: str) -> None:
    result = static(name)
    assert (result.exit_code, result.stdout) == (1, "")
    assert re.search(says, result.stderr)
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [("acme", 0, "acme/net"), ("acme/net", 0, "acme/net"), ("deadly", 1, "it ends the process with exit code 9")],
)
@pytest.mark.usefixtures("run")
def test_other_plugins_are_not_loaded_since_one_may_end_the_process(
    tmp_path: Path, name: str, code: int, says: str
) -> None:
    install("deadly", "import os\n\nos._exit(9)\n", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "zoo", "check", name, "--level", "static"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == code
    assert says in done.stdout


def test_a_plugin_is_loaded_once_for_all_its_backbones(static: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    monkeypatch.setattr("zoo.cli.check.examine", lambda namespace: loaded.append(namespace) or examine(namespace))
    static("odd/net", "odd/fine", "odd", "acme")
    assert loaded == ["odd", "acme"]


def test_a_disabled_plugin_is_an_error(static: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DISABLE_PLUGINS", "acme")
    for name in ("acme", "acme/net"):
        assert "the plugin acme is disabled by" in static(name).stderr


def test_an_unlisted_backbone_is_found_by_its_plugin(static: Run) -> None:
    rows = json.loads(static("finds/net.v2", "--json").stdout)
    assert {row["backbone"] for row in rows} == {"finds", "finds/net.v2"}


def test_usage_is_shown_without_a_name(run: Run) -> None:
    result = run()
    assert result.exit_code == 2
    assert "NAMESPACE|BACKBONE" in result.stderr


# Options.


def test_only_runs_the_checks_with_a_prefix(static: Run) -> None:
    rows = json.loads(static("failing", "--only", "spec.name", "--json").stdout)
    assert [row["check"] for row in rows if row["status"] != "not-run"] == ["spec.name"]
    assert len(rows) == len(CHECKS)
    assert static("failing", "--only", "spec.name").exit_code == 0


def test_an_unknown_check_is_an_error(static: Run) -> None:
    result = static("acme", "--only", "head.fuond")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "begins with 'head.fuond'" in result.stderr


def test_an_unknown_level_is_wrong_usage(run: Run) -> None:
    result = run("acme", "--level", "gpu")
    assert result.exit_code == 2
    assert "'static', 'meta', 'cpu', 'network'" in result.stderr


def test_the_default_level_is_cpu(run: Run) -> None:
    rows = json.loads(run("acme", "--only", "build.repeatable", "--jobs", "1", "--json").stdout)
    (row,) = [row for row in rows if row["check"] == "build.repeatable"]
    assert (row["status"], row["reason"]) == ("pass", "")
    (row,) = [row for row in rows if row["check"] == "weights.fetched"]
    assert (row["status"], row["reason"]) == ("not-run", "it is above level cpu")


def test_each_family_checks_the_smallest_backbone_of_each_family(static: Run) -> None:
    rows = json.loads(static("many", "--each-family", "--json").stdout)
    assert {row["backbone"] for row in rows} == {"many", "many/net0"}


def test_max_params_limits_large_backbones_to_level_meta(run: Run) -> None:
    arguments = ("acme", "--only", "build.repeatable", "--max-params", "0.0001M", "--json")
    (row,) = [row for row in json.loads(run(*arguments).stdout) if row["check"] == "build.repeatable"]
    assert (row["status"], row["reason"]) == ("not-run", "it is above level meta")


def test_saved_results_are_reused(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "results" / "journal"
    arguments = ("acme", "--level", "meta", "--only", "build.params", "--save", str(path))
    first = run(*arguments)
    (line,) = path.read_text(encoding="ascii").splitlines()
    row = json.loads(line)
    assert (row["backbone"], row["level"], row["only"]) == ("acme/net", "meta", "build.params")
    again = run(*arguments)
    assert again.stdout == first.stdout
    assert again.stderr == f"{path} already contains the results of 1 of 1 backbones\n"
    assert path.read_text(encoding="ascii").splitlines() == [line]


def test_the_version_of_upstream_that_was_checked_is_shown(static: Run) -> None:
    version = importlib.metadata.version("click")
    assert static("ranged").stdout.splitlines()[-1] == f"checked with click {version}"
    rows = json.loads(static("ranged", "--json").stdout)
    assert {(row["backbone"], row["upstream"]) for row in rows} == {("ranged", ""), ("ranged/net", f"click {version}")}
    assert "checked with" not in static("odd").stdout


def test_a_weak_digest_is_a_note_and_not_a_failure(static: Run) -> None:
    result = static("weak")
    assert (result.exit_code, result.stderr) == (
        0,
        "note: weak/net@v1 is pinned only by SHA-1 or MD5, which are weak; pin a sha256 if possible\n",
    )
