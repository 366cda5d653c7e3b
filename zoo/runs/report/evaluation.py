"""How good the best model is: as a whole, class by class, and what it takes for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from zoo.runs.report.html import Html, fold, join, note, section, table, tag
from zoo.runs.report.numbers import Interval, measure_interval, show_count, show_percent

#: A matrix of more classes is a picture, not a table.
MOST_IN_MATRIX = 30
#: Of more classes, only the worst show at first.
MOST_CLASSES = 30
MOST_PAIRS = 10

SPLITS = {"val": "validation", "test": "test"}


class Confusion(NamedTuple):
    """How often one class was taken for another."""

    times: int
    images: int
    truth: str
    answer: str


def describe_headline(facts: Mapping[str, Any]) -> Html:
    """Show the accuracy on each split that was measured."""
    chosen = "The best epoch was chosen by these images, so this flatters a little. " if facts["epochs"] > 1 else ""
    notes = {"val": chosen, "test": "Nothing was chosen by these images. "}
    tiles = [_tile(facts[split], SPLITS[split], notes[split]) for split in SPLITS if facts.get(split)]
    return join([tag("div", *tiles, class_="tiles"), *_compare(facts)])


def _compare(facts: Mapping[str, Any]) -> list[Html]:
    """Say what the start was worth, where that was measured."""
    if not facts.get("baseline"):
        return []
    baseline = facts["baseline"]
    verdict = "Transfer gain" if baseline["gain"] >= 0 else "Negative transfer: the start that was chosen does harm, by"
    return [
        tag(
            "p",
            tag("strong", f"{verdict} {100 * baseline['gain']:+.1f} points"),
            f" on the {SPLITS[baseline['split']]} images, over {show_percent(baseline['accuracy'])} of the same "
            "network from random weights, trained for as many epochs.",
        )
    ]


def describe_results(facts: Mapping[str, Any]) -> Html:
    """Show where the model errs: on the test images where there are any, as nothing was chosen by them."""
    shown, *others = [split for split in ("test", "val") if facts.get(split)]
    # Folded, not left out: whoever compares runs needs both.
    folds = [fold(f"The same for the {SPLITS[split]} images", *_describe(facts[split])) for split in others]
    return section(f"Where it errs: {SPLITS[shown]} images", *_describe(facts[shown]), *folds)


def list_confusions(measured: Mapping[str, Any]) -> list[Confusion]:
    """List which class was taken for which, the most frequent first."""
    classes, confusion = list(measured["per_class"]), measured["confusion"]
    found = [
        Confusion(times, sum(row), classes[truth], classes[answer])
        for truth, row in enumerate(confusion)
        for answer, times in enumerate(row)
        if times and truth != answer
    ]
    return sorted(found, key=lambda item: (-item.times, item.images, item.truth, item.answer))


def _tile(measured: Mapping[str, Any], name: str, remark: str) -> Html:
    images = measured["images"]
    right = sum(row[index] for index, row in enumerate(measured["confusion"]))
    common = max(measured["per_class"], key=lambda name: measured["per_class"][name]["images"])
    guess = measured["per_class"][common]["images"] / images if images else 0.0
    interval = measure_interval(right, images)
    return tag(
        "div",
        tag("h3", f"{name.capitalize()} accuracy"),
        tag("p", show_percent(measured["accuracy"]), class_="figure"),
        _gauge(measured["accuracy"], interval, guess),
        tag("p", f"95 % interval: {interval}. {right:,} of {show_count(images, 'image')} right."),
        note(remark, "Always answering “", tag("bdi", common), f"” would be right for {show_percent(guess)} (dotted)."),
        class_="tile",
    )


def _gauge(share: float, interval: Interval, guess: float) -> Html:
    """Draw 0 to 100 %: the interval as a band, the accuracy as a line in it, the best blind guess as a dotted one."""
    places = {"low": interval.low, "high": interval.high, "at": share, "guess": guess}
    style = ";".join(f"--{name}:{place:.4f}" for name, place in places.items())
    parts = [tag("span", class_=kind) for kind in ("band", "guess", "at")]
    return tag("div", *parts, class_="gauge", style=style, aria_hidden="true")


def _describe(measured: Mapping[str, Any]) -> list[Html]:
    is_small = len(measured["per_class"]) <= MOST_IN_MATRIX
    matrix = [tag("h3", "What was taken for what"), _matrix(measured)] if is_small else []
    return [*matrix, *_most_confused(measured), tag("h3", "Class by class"), *_per_class(measured)]


def _matrix(measured: Mapping[str, Any]) -> Html:
    classes, confusion = list(measured["per_class"]), measured["confusion"]
    heads = [tag("th", tag("span", name), scope="col") for name in classes]
    corner = tag("td", "truth ↓ answer →")
    rows = [
        tag("tr", tag("th", tag("span", name), scope="row"), *_cells(row, index, classes))
        for index, (name, row) in enumerate(zip(classes, confusion, strict=True))
    ]
    # Short names stand upright; long or many ones would make the table wider than it is tall.
    is_wide = sum(max(len(name), 3) for name in classes) > 60
    body = tag("table", tag("thead", tag("tr", corner, *heads)), tag("tbody", *rows))
    return tag("div", body, class_="scroll matrix turned" if is_wide else "scroll matrix", tabindex="0")


def _cells(row: Sequence[int], index: int, classes: Sequence[str]) -> list[Html]:
    total = sum(row) or 1
    return [
        tag(
            "td",
            f"{times:,}" if times else "·",  # a matrix full of noughts hides what is in it
            class_=("right" if answer == index else "wrong") if times else "none",
            # The root, or one error in a hundred images could not be seen.
            style=f"--share:{(times / total) ** 0.5:.3f}" if times else None,
            title=f"{classes[index]}, answer {classes[answer]}: {times} of {sum(row)}",
        )
        for answer, times in enumerate(row)
    ]


def _most_confused(measured: Mapping[str, Any]) -> list[Html]:
    confusions = list_confusions(measured)
    if not confusions:
        return [note("Not one was taken for another.")]
    if len(measured["per_class"]) == 2:  # the matrix says it all
        return []
    shown = [
        tag(
            "li",
            *(tag("strong", tag("bdi", item.truth)), " taken for ", tag("strong", tag("bdi", item.answer))),
            f": {item.times} of {show_count(item.images, 'image')} ({show_percent(item.times / item.images)})",
        )
        for item in confusions[:MOST_PAIRS]
    ]
    more = len(confusions) - len(shown)
    rest = [note(f"And {show_count(more, 'more pair')}; run.json holds the whole matrix.")] if more else []
    return [tag("h3", "Most often confused"), tag("ol", *shown, class_="confused"), *rest]


def _per_class(measured: Mapping[str, Any]) -> list[Html]:
    items = sorted(
        measured["per_class"].items(), key=lambda item: 2 if item[1]["recall"] is None else item[1]["recall"]
    )
    heads = ["Class", "Images", "Precision", "Recall", "95 % interval of recall"]
    rows = [_class_row(name, values) for name, values in items]
    said = note(
        "Precision: of the images that it calls so, the share that are. Recall: of those that are, the share that it "
        "calls so. The lowest recall comes first."
    )
    if len(rows) <= MOST_CLASSES:
        return [said, table(heads, rows)]
    rest = rows[MOST_CLASSES // 2 :]
    return [said, table(heads, rows[: MOST_CLASSES // 2]), fold(f"The other {len(rest)} classes", table(heads, rest))]


def _class_row(name: str, values: Mapping[str, Any]) -> list[str]:
    images, recall = values["images"], values["recall"]
    interval = "—" if recall is None else str(measure_interval(round(recall * images), images))
    return [name, f"{images:,}", _bar(values["precision"]), _bar(recall), interval]


def _bar(share: float | None) -> Html:
    return tag("span", show_percent(share), class_="bar", style=f"--share:{share or 0:.3f}")
