"""The page shows all results, and the reason if a result is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from page import PROSE, write_page
from workloads import PEERS, WORKLOADS

SETTINGS = {
    "versions": {"zoo": "0.1.0", "torch": "9.9"},
    "images": {"train": 64, "val": 32},
    "source": "synthetic",
    "weights": ["mobilenet_v2"],
    "epochs": None,
}
MACHINE = {"date": "2030-01-01", "machine": "abacus, 2 cores"}


def make_run(
    seconds: float, best: float = 0.9, images: int = 640, aside: float = 0.0, steps: float | None = None
) -> dict[str, Any]:
    answer = {"images": images, "epochs": 10, "learning": 2562, "accuracy": {"best": best, "last": best}}
    return {"seconds": seconds, "memory": 2**30, "answer": {**answer, "aside": aside, "steps": steps}}


def make_line(peer: str, ours: dict[str, Any], theirs: dict[str, Any], pair: int = 0) -> dict[str, Any]:
    return {"peer": peer, "pair": pair, "ours": ours, "theirs": theirs}


def write(*lines: dict[str, Any]) -> str:
    return write_page({"frozen": lines, "vgg": [], "full": []}, SETTINGS, MACHINE)


def find_row(page: str, title: str) -> list[str]:
    (row,) = (line for line in page.splitlines() if line.startswith((f"| {title} |", f"| {title}, ")))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_a_row_shows_the_median_ratio_and_its_range() -> None:
    lines = [make_line("tutorial", make_run(2), make_run(seconds), pair) for pair, seconds in enumerate((8, 4, 6))]
    row = find_row(write(*lines), "tutorial loop")
    assert row[:2] == ["tutorial loop, 3 pairs", "3.00 (2.00 to 4.00)"]
    assert row[2] == "1.00 (1.00 to 1.00)"
    assert row[5:] == ["equal", "640", "2,562"]


def test_time_that_is_not_work_is_not_counted() -> None:
    row = find_row(write(make_line("limit", make_run(4), make_run(3, aside=1))), "the limit")
    assert row[1] == "0.50 (0.50 to 0.50)"


def test_training_steps_are_compared_if_both_sides_report_them() -> None:
    lines = [
        make_line("limit", make_run(4, steps=2.0), make_run(3, steps=share * 2), i)
        for i, share in enumerate((0.8, 0.9))
    ]
    page = write(*lines, make_line("fastai", make_run(4, steps=2.0), make_run(4)))
    assert page.count("training steps") == 1
    assert "- the limit: after warm-up, its training steps take 0.85 (0.80 to 0.90) times as long as zoo's" in page


def test_a_peer_that_fails_is_listed_with_the_reason() -> None:
    page = write(
        make_line("fastai", make_run(2), {"seconds": 1.0, "memory": None, "error": "exit code 1: no such arch"})
    )
    assert find_row(page, "fastai")[1] == "failed"
    assert "- fastai: failed in 1 of 1 pairs: exit code 1: no such arch" in page


def test_a_failure_of_zoo_is_reported() -> None:
    page = write(make_line("fastai", {"seconds": 1.0, "memory": None, "error": "exit code 1: oh"}, make_run(2)))
    assert "zoo failed in 1 of 1 pairs: exit code 1: oh" in page


def test_failed_pairs_do_not_count() -> None:
    failed = {"seconds": 99.0, "memory": None, "error": "exit code 1: oh"}
    page = write(make_line("fastai", make_run(2), make_run(4)), make_line("fastai", make_run(2), failed, pair=1))
    assert find_row(page, "fastai")[1] == "2.00 (2.00 to 2.00)"
    assert "failed in 1 of 2 pairs" in page


def test_unequal_work_is_reported_once() -> None:
    lines = [make_line("timm", make_run(2), make_run(4, images=320), pair) for pair in range(3)]
    assert write(*lines).count("unequal work: 320 images instead of 640") == 1


def test_unknown_memory_is_left_out() -> None:
    unknown = {**make_run(2), "memory": None}
    page = write(make_line("tutorial", unknown, unknown))
    assert find_row(page, "tutorial loop")[2] == ""
    assert "unknown" in find_row(page, "**zoo**")[2]


def test_workloads_without_results_have_no_table() -> None:
    page = write(make_line("tutorial", make_run(2), make_run(4)))
    assert WORKLOADS["frozen"].title in page
    assert WORKLOADS["vgg"].title not in page


def test_the_page_lists_the_machine_the_versions_and_the_images() -> None:
    page = write(make_line("tutorial", make_run(2), make_run(4)))
    for fact in ("2030-01-01", "abacus, 2 cores", "torch 9.9", "64 for training, 32 for validation", "mobilenet_v2"):
        assert fact in page


@pytest.mark.parametrize(
    ("weights", "start"),
    [
        ([], "from random weights"),
        (["mobilenet_v2"], "from pretrained weights for torchvision's network, otherwise from random weights"),
        (["mobilenet_v2", "timm/mobilenetv2_100"], "from pretrained weights"),
    ],
)
def test_random_initial_weights_are_reported(weights: list[str], start: str) -> None:
    lines = [make_line("tutorial", make_run(2), make_run(4))]
    assert f"10 epochs, {start}.\n" in write_page({"frozen": lines}, {**SETTINGS, "weights": weights}, MACHINE)


def test_the_prose_contains_no_measured_numbers() -> None:
    assert not any(f" {number}x" in PROSE for number in range(100))


def test_every_peer_of_a_workload_has_a_script() -> None:
    scripts = Path(__file__).parent / "peers"
    for workload in WORKLOADS.values():
        assert all((scripts / PEERS[name].script).is_file() for name in workload.peers)
