"""The GPU check writes one section of the page and does not change the rest of the page."""

from __future__ import annotations

import json
from pathlib import Path

from results import FAILED, MEASURED, PASSED, SKIPPED, Result, append, read_results
from sections import BEGIN, END, NOTHING_YET, RANKING, find_section, put_section
from summary import update_page, write_section, write_summary

MACHINE = {"date": "2030-01-01", "device": "cuda: abacus, 16 cores"}
RESULTS = [
    Result("correctness", "it learns", PASSED),
    Result("correctness", "it flies", FAILED, "it fell"),
    Result("correctness", "it swims", SKIPPED, "no water"),
    Result(
        "steps", "resnet50", MEASURED, "bf16",
        {"images_per_second": 2000.0, "bare_over_zoo": 0.97, "lowest": 0.95, "highest": 0.99, "peak_mib": 9000.0},
    ),
    Result("epochs", "resnet50, zoo", MEASURED, "bf16", {"images_per_second": 1800.0}),
    Result("epochs", "resnet50, timm", MEASURED, "bf16", {"images_per_second": 1500.0}),
    Result("frozen", "resnet50", MEASURED, "", {"seconds": 2.0, "tutorial_seconds": 50.0, "tutorial_over_zoo": 25.0}),
    Result(
        "compile", "resnet50", MEASURED, "bf16",
        {"images_per_second": 2500.0, "plain_over_compiled": 1.25, "compile_seconds": 40.0},
    ),
    Result("compile", "resnet50, zoo", MEASURED, "bf16", {"images_per_second": 2100.0}),
    Result("compile", "resnet50, timm", MEASURED, "bf16", {"images_per_second": 2000.0}),
]  # fmt: skip


def test_each_stage_has_a_row() -> None:
    section = write_section(MACHINE, RESULTS, quick=False)
    assert "| resnet50, bf16 | 2,000 | 0.97 (0.95 to 0.99) | 9,000 MiB |  |" in section
    assert "| resnet50, bf16 | 1,800 | 0.90 | 1.20 |  |  |  |" in section  # the ratios to zoo's steps and to timm
    assert "| 2.0 s | 50.0 s | 25.0 |" in section
    assert "| resnet50, bf16 | 2,500 | 1.25 | 40 s | 2,100 | 1.05 |" in section
    assert "trial" not in section


def test_failed_and_skipped_checks_are_listed_with_the_reason() -> None:
    section = write_section(MACHINE, RESULTS, quick=False)
    assert "1 checks passed, 1 failed, 1 skipped." in section
    assert "- failed: correctness, it flies: it fell" in section
    assert "- skipped: correctness, it swims: no water" in section


def test_a_trial_run_is_marked() -> None:
    assert "a trial run" in write_section(MACHINE, RESULTS, quick=True)


def test_an_incomplete_line_from_a_killed_stage_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    append(RESULTS[0], path)
    with path.open("a") as file:
        file.write('{"stage": "steps", "na')
    assert read_results(path) == RESULTS[:1]


def test_the_summary_contains_all_results(tmp_path: Path) -> None:
    write_summary(tmp_path, MACHINE, RESULTS, quick=False)
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert [Result(**each) for each in found["results"]] == RESULTS


def test_only_the_section_between_the_markers_changes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(put_section("before\n", NOTHING_YET) + "after\n")
    write_summary(tmp_path, MACHINE, RESULTS, quick=False)
    update_page(page, tmp_path)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{END}after\n")
    assert text.count(BEGIN) == 1
    assert (find_section(text) or "").startswith("## On a GPU\n\n- date: 2030-01-01")
    assert "No figure" not in text


def test_a_page_without_markers_has_no_section() -> None:
    assert find_section("before\nafter\n") is None


def test_each_section_has_its_own_markers() -> None:
    page = put_section(put_section("page\n", "gpu\n"), "ranking\n", *RANKING)
    assert find_section(page) == "gpu\n"
    assert find_section(put_section(page, "new\n", *RANKING), *RANKING) == "new\n"
