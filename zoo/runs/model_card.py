"""The model card of a run: how accurate the model is, how it was trained, and how to use it with and without zoo."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from zoo.plugin import BackboneSpec
from zoo.registry.license import describe_license
from zoo.runs.folder import CARD, MODEL, RunFolder


def write_card(folder: RunFolder, facts: Mapping[str, Any], backbone: BackboneSpec) -> None:
    """Write README.md to the run folder."""
    sections = [_summary(facts), _use(folder), _use_without_zoo(facts, backbone), _training(facts), _license(facts)]
    folder.write_text(CARD, "\n\n".join(section for section in sections if section) + "\n")


def _summary(facts: Mapping[str, Any]) -> str:
    best, test = facts["best"], facts.get("test")
    rows = [f"| validation | {facts['val']['images']} | {best['val_accuracy']:.4f} |"]
    if test:
        rows.append(f"| test | {test['images']} | {test['accuracy']:.4f} |")
    classes = ", ".join(map(_escape, facts["classes"]))
    return "\n".join([
        f"# {facts['backbone'].rpartition('/')[2]} for {len(facts['classes'])} classes",
        "",
        f"`{facts['backbone']}` (weights: {facts['weights']['label']}), fine-tuned for these classes: {classes}.",
        "",
        "| split | images | accuracy |",
        "|---|---|---|",
        *rows,
    ])  # fmt: skip


def _escape(name: str) -> str:
    """Escape characters that have a meaning in Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>()#+|!~-])", r"\\\1", name)


def _use(folder: RunFolder) -> str:
    return f"""## Use it

```console
$ zoo predict {folder.path.name} photo.jpg
$ zoo evaluate {folder.path.name} --data more_images/
```"""


def _use_without_zoo(facts: Mapping[str, Any], backbone: BackboneSpec) -> str:
    """Return the code that loads the file into the upstream model, or an empty text if upstream has no such model."""
    if backbone.constructor is None or facts["recipe"]["head"] != "linear":
        return ""
    build = backbone.constructor.format(num_classes=len(facts["classes"]), image_size=facts["input"]["size"][1])
    see = facts["input"]
    module = re.match(r"([\w.]+)\.\w+\(", build)
    return f"""## Use it without zoo

```python
import {module[1] if module else build.partition(".")[0]}
from safetensors.torch import load_file

model = {build}
model.load_state_dict(load_file("{MODEL}"))
model.eval()
```

The input is RGB images, resized to {see["resize"]} pixels ({see["interpolation"]}, {see["crop"]} crop) and cropped to
{see["size"][2]} x {see["size"][1]}, scaled to [0, 1], minus {tuple(see["mean"])}, divided by {tuple(see["std"])}.
The outputs are, in this order: {", ".join(map(_escape, facts["classes"]))}."""


def _training(facts: Mapping[str, Any]) -> str:
    recipe, data, params = facts["recipe"], facts["data"], facts["params"]
    frozen = ""
    if params["learning"] < params["total"]:
        frozen = f"""The rest was frozen; its SHA-256 was `{facts["frozen"]["before"][:16]}` before training and
`{facts["frozen"]["after"][:16]}` after it. """
    return f"""## How it was trained

`--train {recipe["train"]} --head {recipe["head"]}`: {params["learning"]:,} of {params["total"]:,} parameters were
trained for {facts["epochs"]} epochs on {data["images"]["train"]} images of `{data["asked"]}`. Epoch
{facts["best"]["epoch"]} was the best. {frozen}`run.json` holds everything that is needed to repeat the run."""


def _license(facts: Mapping[str, Any]) -> str:
    weights = facts["weights"]
    if weights["license"] is None:
        return ""
    owner = f"{facts['backbone']}@{weights['label']}"
    warning = describe_license(owner, weights["license"])
    return f"## License\n\nThe model was trained from {owner}, license {weights['license']}." + (
        f"\n\n**{warning}.**" if warning else ""
    )
