"""The model card of a run: how accurate the model is, how it was trained, and how to use it with and without zoo."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from zoo.data.examination.summary import list_warnings
from zoo.plugin import BackboneSpec
from zoo.progress.printable import escape_markdown, format_code, make_printable
from zoo.registry.license import describe_license
from zoo.runs.card_metadata import format_front_matter
from zoo.runs.folder import CARD, RunFolder
from zoo.runs.public_facts import hide_folders, name_data
from zoo.runs.report.numbers import show_count
from zoo.runs.upstream_code import CALL, has_call, list_code


def write_card(folder: RunFolder, facts: Mapping[str, Any], backbone: BackboneSpec) -> None:
    """Write README.md to the run folder."""
    sections = [
        _summary(facts),
        _use(folder, facts),
        _use_without_zoo(facts, backbone),
        _training(facts),
        _license(facts),
    ]
    text = "\n\n".join(section for section in sections if section)
    folder.write_text(CARD, f"{format_front_matter(facts, backbone)}{text}\n")


def _summary(facts: Mapping[str, Any]) -> str:
    best, test, label = facts["best"], facts.get("test"), escape_markdown(facts["weights"]["label"])
    rows = [f"| validation | {facts['val']['images']} | {best['val_accuracy']:.4f} |"]
    if test:
        rows.append(f"| test | {test['images']} | {test['accuracy']:.4f} |")
    return "\n".join([
        f"# {escape_markdown(facts['backbone'].rpartition('/')[2])} for {len(facts['classes'])} classes",
        "",
        f"{format_code(facts['backbone'])} (weights: {label}), fine-tuned for these classes: {_join_classes(facts)}.",
        "",
        "| split | images | accuracy |",
        "|---|---|---|",
        *rows,
        *_list_warnings(facts),
    ])  # fmt: skip


def _list_warnings(facts: Mapping[str, Any]) -> list[str]:
    """Return a paragraph for each reason why an accuracy may be wrong."""
    findings = facts["data"].get("findings", ())
    warnings = [warning for split in ("val", "test") for warning in list_warnings(findings, split)]
    return [line for warning in warnings for line in ("", f"**Warning:** {escape_markdown(warning)}.")]


def _join_classes(facts: Mapping[str, Any]) -> str:
    return escape_markdown(", ".join(facts["classes"]))


def _use(folder: RunFolder, facts: Mapping[str, Any]) -> str:
    name = make_printable(shlex.quote(folder.path.name))
    network = facts.get("network")
    model, note = "", ""
    if network:
        file, function = hide_folders(network["file"] or "FILE.py"), network["function"] or "FUNCTION"
        model = f" --model {make_printable(shlex.quote(f'{file}:{function}'))}"
        built = f"the SHA-256 of the file was {network['sha256']}" if network["file"] else "it was passed from Python"
        note = (
            f"\n\nThe network is {format_code(network['type'])}, which no plugin provides; {escape_markdown(built)}. "
            "zoo runs\nthe file only because `--model` names it."
        )
    return f"""## Use it

```console
$ zoo predict {name} photo.jpg{model}
$ zoo evaluate {name} --data more_images/{model}
```{note}"""


def _use_without_zoo(facts: Mapping[str, Any], backbone: BackboneSpec) -> str:
    """Return how to load the file into the upstream model, or an empty string if upstream has no such model."""
    if backbone.constructor is None or facts["recipe"]["head"] != "linear":
        return ""
    code = "\n".join(list_code(backbone, len(facts["classes"]), tuple(facts["input"]["size"])))
    outputs = f"`{CALL}` returns" if has_call(backbone) else "The outputs are"
    return f"""## Use it without zoo

```python
{code}
```

{_describe_input(facts["input"])}{_describe_tower(backbone)}
{outputs} the logits of these classes, in this order: {_join_classes(facts)}."""


def _describe_tower(backbone: BackboneSpec) -> str:
    """Return how to load the file without its head, if upstream's model has none."""
    if backbone.features is None:
        return ""
    return f"""
Upstream's model has no head. Without the line that adds one, load the file with `strict=False`; the
model then returns {backbone.features} features."""


def _describe_input(spec: Mapping[str, Any]) -> str:
    channels, height, width = spec["size"]
    side, interpolation = spec["resize"], escape_markdown(spec["interpolation"])
    squashed = " x ".join(str(round(side * length / max(width, height))) for length in (width, height))
    resized = {
        "center": f"so that the shorter side is {side} pixels",
        "squash": f"to {squashed} pixels, ignoring the aspect ratio",
        "border": f"so that the longer side is {side} pixels, padded with the mean color",
    }[spec["crop"]]
    bits = spec.get("bits")
    deep = f" The values of 16-bit images are first divided by 2^{bits - 8}, and clipped to 255." if bits else ""
    kind = {1: "grayscale images", 3: "RGB images"}.get(channels, f"images with {channels} channels")
    return f"""The model expects {kind}, resized ({interpolation}) {resized}, then center-cropped to
{width} x {height}, scaled to [0, 1], and normalized with mean {tuple(spec["mean"])} and standard
deviation {tuple(spec["std"])}.{deep}"""


def _training(facts: Mapping[str, Any]) -> str:
    recipe, params, data = facts["recipe"], facts["params"], facts["data"]
    images, asked = show_count(data["images"]["train"], "image"), format_code(name_data(data))
    frozen = ""
    if params["learning"] < params["total"]:
        before, after = (format_code(facts["frozen"][when][:16]) for when in ("before", "after"))
        frozen = f"All other parameters were frozen; their SHA-256 was\n{before} before training and {after} after it. "
    options = format_code(f"--train {recipe['train']} --head {recipe['head']}")
    return f"""## How it was trained

With {options}, {params["learning"]:,} of {params["total"]:,} parameters were
trained for {show_count(facts["epochs"], "epoch")} on {images} of
{asked}. {_describe_kept(facts)} {_describe_missing(facts)}{frozen}`run.json` contains everything that
is needed to repeat the run."""


def _describe_missing(facts: Mapping[str, Any]) -> str:
    """Return how many of the trained parameters got no gradient in the first step of the last phase."""
    missing = [found["params"] for found in facts.get("no_gradient", ()) if found["phase"] == len(facts["phases"])]
    return f"In the first step, no gradient\nreached {missing[0]:,} of these parameters. " if missing else ""


def _describe_kept(facts: Mapping[str, Any]) -> str:
    """Return which epoch's model was kept."""
    if fold := facts["recipe"].get("fold"):
        number, _, count = fold.partition("/")
        return f"Fold {number} of {count} was held out, and the\nmodel of the last epoch was kept."
    return f"Epoch {facts['best']['epoch']} was the best."


def _license(facts: Mapping[str, Any]) -> str:
    weights = facts["weights"]
    if weights["license"] is None:
        return ""
    owner = f"{facts['backbone']}@{weights['label']}"
    warning = describe_license(owner, weights["license"])
    license_ = escape_markdown(weights["license"])
    return f"## License\n\nThe initial weights were {escape_markdown(owner)} (license: {license_})." + (
        f"\n\n**{escape_markdown(warning)}.**" if warning else ""
    )
