"""The page shows all fields of a run, escapes every string, and needs no other files."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from zoo.runs.confusion import list_entries
from zoo.runs.folder import REPORT, RunFolder
from zoo.runs.report.context import list_confusions
from zoo.runs.report.numbers import measure_interval
from zoo.runs.report.page import build_page, write_page

#: The fixture that makes up a run with given classes, epochs and images.
MakeRun = Callable[..., Any]

NASTY = [
    "<script>alert(1)</script>",
    "\" onmouseover='x' <img src=x>",
    "</style></title>&amp;",
    "{{ facts }}{% raw %}",
    "\udcff\x00\x1b\x85\uffff عربي",
]


class Page(HTMLParser):
    """The tags, attributes and text that a browser sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)
        self.text = re.sub(r"\s+", " ", "".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] != ["style"]:
            self.words.append(data)


def poison(value: Any, nasty: str, key: str = "") -> Any:
    """Insert a string into all strings of a run and its class names, except where a date or a split is required."""
    if isinstance(value, dict):
        names = {name: f"{nasty} {number}" if key == "per_class" else name for number, name in enumerate(value)}
        return {names[name]: poison(item, nasty, name) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [poison(item, nasty) for item in value]
    return nasty if isinstance(value, str) and key not in {"started", "split"} else value


def parse(text: str) -> ET.Element:
    return ET.fromstring(text)


def rows_of(page: ET.Element, tables: str) -> list[list[str]]:
    return [["".join(cell.itertext()) for cell in row] for row in page.findall(f"{tables}/tbody")[-1]]


def test_the_page_is_written_to_the_run_folder(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run()
    write_page(RunFolder(tmp_path), run.facts, run.history)
    assert (tmp_path / REPORT).read_text(encoding="utf-8") == build_page(*run)
    assert [path.name for path in tmp_path.iterdir()] == [REPORT]


def test_a_finding_may_be_about_an_image_a_class_or_a_group(make_run: MakeRun) -> None:
    facts, history = make_run()
    listed = {
        "leak": {"path": "val/1.jpg", "class_name": "cat", "detail": "train/2.jpg"},
        "missing-class": {"class_name": "dog"},
        "shared-group": {"detail": "patient 7"},
    }
    facts["data"]["findings"] = [
        {"kind": kind, "split": "val", "count": 1, "listed": [item]} for kind, item in listed.items()
    ]
    page = parse(build_page(facts, history))
    (table,) = [table for table in page.iter("table") if "group" in "".join(table.find("thead").itertext())]
    cells = [["".join(cell.itertext()) for cell in row] for row in table.find("tbody")]
    assert [(row[0], row[3]) for row in cells] == [("val/1.jpg", "train/2.jpg"), ("dog", ""), ("patient 7", "")]


def test_the_header_shows_the_backbone_the_classes_and_the_accuracy(make_run: MakeRun) -> None:
    run = make_run()
    page = Page(build_page(*run))
    assert "vgg16 on cats_dogs" in page.text
    assert "torchvision/vgg16@IMAGENET1K_V1 fine-tuned on 2 classes: cat, dog" in page.text
    for split, name in (("val", "Validation"), ("test", "Test")):
        right = sum(run.facts[split]["confusion"][index][index] for index in range(2))
        assert f"{name} accuracy {run.facts[split]['accuracy'] * 100:.1f}% " in page.text
        interval = measure_interval(right, run.facts[split]["images"])
        assert (
            f" {right} of {run.facts[split]['images']} images correct. The 95% confidence interval is {interval}. "
            in page.text
        )


def test_the_title_has_the_last_part_of_a_path(make_run: MakeRun) -> None:
    run = make_run()
    run.facts["data"]["asked"] = "/home/someone/pictures"
    assert parse(build_page(*run)).findtext("head/title") == "vgg16 on pictures"


def test_without_test_images_only_validation_results_are_shown(make_run: MakeRun) -> None:
    page = Page(build_page(*make_run(test=False)))
    assert "Test accuracy" not in page.text
    assert "Mistakes On the 101 validation images, the model made 7 mistakes." in page.text


def test_trained_and_frozen_blocks_are_labeled(make_run: MakeRun) -> None:
    page = parse(build_page(*make_run()))
    boxes = ["|".join(box.itertext()) for box in page.findall(".//ol[@class='blocks']/li")]
    assert boxes[:2] == ["image|3 x 224 x 224", "features.0|✱ frozen"]
    assert boxes[-4:] == ["features.24|✎ trained", "classifier|✎ trained", "head (linear)|✎ trained", "classes|2"]


def test_the_hashes_of_the_frozen_parameters_are_shown(make_run: MakeRun) -> None:
    run = make_run()
    assert "✓ The frozen parameters did not change." in Page(build_page(*run)).text
    assert build_page(*run).count(f"<code>{run.facts['frozen']['before']}</code>") == 2


@pytest.mark.parametrize(
    ("frozen", "verdict"),
    [
        ({"before": "a" * 64, "after": "b" * 64}, "✗ The frozen parameters changed."),
        ({"before": "a" * 64}, "✗ The frozen parameters were not checked after training."),
    ],
)
def test_changed_or_unchecked_parameters_are_reported(make_run: MakeRun, frozen: dict[str, str], verdict: str) -> None:
    run = make_run()
    run.facts["frozen"] = frozen
    page = Page(build_page(*run))
    assert verdict in page.text
    assert "did not change" not in page.text
    assert ("class", "proof alarm") in page.attributes


def test_without_frozen_parameters_there_are_no_hashes(make_run: MakeRun) -> None:
    run = make_run()
    run.facts["params"]["learning"] = run.facts["params"]["total"]
    page = Page(build_page(*run))
    assert "Nothing was frozen." in page.text
    assert "SHA-256" not in page.text


@pytest.mark.parametrize("epochs", [1, 8, 120])
def test_every_epoch_is_in_both_charts_and_in_the_table(make_run: MakeRun, epochs: int) -> None:
    page = parse(build_page(*make_run(epochs=epochs)))
    assert {drawing.get("role") for drawing in page.findall(".//svg")} == {"img"}
    drawings = page.findall(".//figure/svg")
    assert len(drawings) == 2
    for drawing in drawings:
        for kind in ("train", "val"):
            lines = drawing.findall(f"g[@class='{kind}']/polyline")
            assert len(lines[0].get("points", "").split()) == epochs
    assert len(page.findall(".//details[1]//tbody")[0]) == epochs


def test_rows_of_the_matrix_are_true_classes_shaded_by_count(make_run: MakeRun) -> None:
    run = make_run(["cat", "dog", "eel"])
    run.facts["test"]["confusion"] = [[4, 0, 0], [1, 3, 0], [0, 0, 0]]
    page = parse(build_page(*run))
    table = "body/main/section/div[@class='scroll matrix']/table"
    assert rows_of(page, table) == [["cat", "4", "·", "·"], ["dog", "1", "3", "·"], ["eel", "·", "·", "·"]]
    cells = page.findall(f"{table}/tbody/tr/td")
    shades = [(cell.get("class"), cell.get("style")) for cell in cells]
    assert shades[0] == ("right", "--share:1.000")
    assert shades[1] == ("none", None)
    assert shades[3:5] == [("wrong", "--share:0.500"), ("right", "--share:0.866")]


def test_confusions_are_sorted_by_frequency() -> None:
    measured: dict[str, Any] = {
        "per_class": {"a": {}, "b": {}, "c": {}},
        "confusion": [[5, 1, 0], [3, 2, 1], [0, 0, 9]],
    }
    found = [(item.truth, item.predicted, item.mistakes, item.images) for item in list_confusions(measured)]
    assert found == [("b", "a", 3, 6), ("a", "b", 1, 6), ("b", "c", 1, 6)]


def test_both_forms_of_a_confusion_matrix_have_the_same_entries() -> None:
    pairs = {"true": [0, 1, 1], "predicted": [0, 0, 2], "images": [5, 3, 1]}
    assert list_entries([[5, 0, 0], [3, 0, 1], [0, 0, 0]]) == list_entries(pairs) == [(0, 0, 5), (1, 0, 3), (1, 2, 1)]


def test_a_page_is_the_same_from_both_forms_of_a_confusion_matrix(make_run: MakeRun) -> None:
    run = make_run([f"species {number}" for number in range(150)], images=5)
    page = build_page(*run)
    for split in ("val", "test"):
        entries = list_entries(run.facts[split]["confusion"])
        columns = zip(("true", "predicted", "images"), zip(*entries, strict=True), strict=True)
        run.facts[split]["confusion"] = {name: list(column) for name, column in columns}
    assert build_page(*run) == page


def test_many_classes_are_shown_as_a_list_of_confusions(make_run: MakeRun) -> None:
    names = [f"species {number}" for number in range(200)]
    text = build_page(*make_run(names, images=20))
    page = parse(text)
    assert page.find(".//div[@class='scroll matrix']") is None
    assert len(page.findall(".//ol[@class='confused']")[0]) == 10
    assert all(f"<span>{name}</span>" in text for name in names)
    assert "The other 185 classes" in text
    assert len(text) < 500_000


def test_classes_are_sorted_by_recall_with_empty_ones_last(make_run: MakeRun) -> None:
    run = make_run(["a", "b", "c"], test=False)
    run.facts["val"]["per_class"] = {
        "a": {"images": 10, "precision": 0.5, "recall": 0.8, "f1": 8 / 13},
        "b": {"images": 0, "precision": None, "recall": None},
        "c": {"images": 10, "precision": 1.0, "recall": 0.3},
    }
    rows = rows_of(parse(build_page(*run)), "body/main/section[3]/div/table")
    assert [row[0] for row in rows] == ["c", "a", "b"]
    assert rows[1] == ["a", "10", "50.0%", "80.0%", "49.0% to 94.4%", "61.5%"]
    assert rows[2] == ["b", "0", "—", "—", "—", "—"]


def test_files_that_were_left_out_are_listed_with_the_reason(make_run: MakeRun) -> None:
    run = make_run()
    page = Page(build_page(*run))
    assert "3 files skipped" in page.text
    for item in run.facts["data"]["left_out"]:
        assert item["path"] + item["reason"] in page.text
    run.facts["data"]["left_out"] = []
    assert "No files were skipped." in Page(build_page(*run)).text


def test_a_long_list_of_files_is_truncated(make_run: MakeRun) -> None:
    run = make_run()
    run.facts["data"]["left_out"] = [{"path": f"/x/{number}.txt", "reason": "no image"} for number in range(5000)]
    shown = r"FileReason( /x/\d+\.txtno image){200} And 4,800 more; run.json lists them all\."
    assert re.search(shown, Page(build_page(*run)).text)


def test_recipe_versions_hardware_and_fingerprint_are_shown(make_run: MakeRun) -> None:
    run = make_run()
    page = Page(build_page(*run))
    for fact in ("weight decay0.01", "trainfrom:features.24", "patience—", "size3, 224, 224", "torch2.11.0",
                 "licenseBSD-3-Clause", "nameNVIDIA A100-SXM4-40GB"):  # fmt: skip
        assert fact in page.text
    assert run.facts["data"]["fingerprint"] in page.text


def test_a_restrictive_license_is_pointed_out(make_run: MakeRun) -> None:
    run = make_run()
    assert "forbids commercial use" not in Page(build_page(*run)).text
    run.facts["weights"]["license"] = "CC-BY-NC-4.0"
    assert "forbids commercial use" in Page(build_page(*run)).text


@pytest.mark.parametrize("nasty", NASTY)
def test_every_string_is_escaped(make_run: MakeRun, tmp_path: Path, nasty: str) -> None:
    run = make_run(["a", "b", "c", "d"])
    run.facts["baseline"] = {"path": "baseline", "split": "test", "accuracy": 0.5, "gain": 0.4}
    write_page(RunFolder(tmp_path), poison(run.facts, nasty), run.history)
    text = (tmp_path / REPORT).read_text(encoding="utf-8")
    before, after = Page(build_page(poison(run.facts, "plain"), run.history)), Page(text)
    assert after.tags == before.tags
    assert [name for name, _ in after.attributes] == [name for name, _ in before.attributes]
    shown = re.sub("[\udcff\x00\x1b\x85\uffff]", lambda found: ascii(found[0])[1:-1], nasty)
    assert after.text.count(shown) > 40
    assert f"{shown} 2 predicted as {shown} 3" in " ".join(value or "" for _, value in after.attributes)
    assert parse(text).findtext(".//li/strong/bdi")


def test_the_page_loads_no_resources_and_runs_no_scripts(make_run: MakeRun) -> None:
    text = build_page(*make_run())
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "embed", "img"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name in {"src", "href", "srcset"} or name.startswith("on")]
    assert not re.search(r"url\(|@import|http", parse(text).findtext("head/style") or "")
    policies = parse(text).findall("head/meta[@http-equiv='Content-Security-Policy']")
    (policy,) = [policy.get("content") for policy in policies]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_the_page_supports_dark_mode_phones_and_print(make_run: MakeRun) -> None:
    text = build_page(*make_run())
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert ("content", "width=device-width, initial-scale=1") in Page(text).attributes
    assert parse(text).get("lang") == "en"


def test_tables_are_accessible(make_run: MakeRun) -> None:
    page = parse(build_page(*make_run()))
    assert {head.get("scope") for head in page.iter("th")} == {"col", "row"}
    assert page.findall(".//div[@tabindex='0']/table") == list(page.iter("table"))
