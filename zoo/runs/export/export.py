"""Export a run, and prove that the export gives the probabilities of the run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

from zoo.errors import OptionError
from zoo.files.atomic import atomic_run_write, make_folder
from zoo.files.hub import HubAddress, is_hub_address, is_in_hub_cache
from zoo.files.paths import expand_user
from zoo.plugin import BackboneSpec
from zoo.progress import Progress, Silent
from zoo.progress.printable import escape_json
from zoo.registry.registry import Registry, open_registry
from zoo.runs.architecture import Model
from zoo.runs.classifier import load
from zoo.runs.export.batches import ValidationImages, find_images
from zoo.runs.export.golden import FOLDER, draw_golden, write_probabilities
from zoo.runs.export.network import PLACES, Place, Plan
from zoo.runs.export.onnx_file import write_onnx
from zoo.runs.export.parity import Compared, prove
from zoo.runs.export.pt2_file import write_pt2
from zoo.runs.export.timm_folder import write_timm
from zoo.runs.folder import EXPORTS, RunFolder
from zoo.runs.open_run import open_run

Format = Literal["onnx", "pt2", "timm", "transformers"]
FORMATS = get_args(Format)
#: Formats whose upstream prepares the images.
_PREPARING = ("timm", "transformers")
#: File with the result of the proof.
RECORD = "export.json"


@dataclass(frozen=True)
class Export:
    """An export that was written."""

    path: Path
    format: str
    preprocess: str
    #: Whether it was compared with the run on validation images.
    is_proved: bool
    #: Number of validation images that were compared, and how many the run has.
    images: int
    validation_images: int
    #: Why not all validation images were compared; empty if they were.
    reason: str
    #: The result for each kind of input: ``images``, and ``tensors`` if the export does not preprocess images.
    parity: dict[str, Compared]

    def to_json(self) -> dict[str, Any]:
        """Return the documented JSON form, without paths."""
        fields = asdict(self)
        del fields["path"]
        for compared in fields["parity"].values():
            del compared["path"]  # An export is for others, and the folders of this machine are not.
        return {"proved": fields.pop("is_proved"), **fields}


def export_run(  # noqa: PLR0913  # a public entry point; all but two arguments are keywords
    run: str | PathLike[str], format: str, *, output: str | PathLike[str] | None = None, preprocess: str | None = None,
    model: Model | None = None, registry: Registry | None = None, progress: Progress | None = None,
) -> Export:  # fmt: skip
    """Export a run, and compare the export with the run in a fresh process.

    Args:
        run: Run folder, or ``hf://owner/name`` as for `zoo.load`.
        format: ``onnx``, ``pt2`` (torch.export), ``timm`` or ``transformers``.
        output: Folder to create. Default: ``exports/FORMAT`` in the run folder, or ``exports/NAME/FORMAT`` for a run on
            the Hub.
        preprocess: ``inside`` to export a network that takes uint8 images of any size, ``outside`` for one that takes
            normalized batches. Default: ``inside``; timm and transformers have their own preprocessing, so it is always
            outside.
        model: Your own network, if the run was trained with one, as for `zoo.load`.
        registry: Registry in which the backbone is looked up. Default: all installed plugins.
        progress: Receives messages. Default: they are discarded.

    Raises:
        DownloadError: If the run is on the Hub and cannot be fetched.
        ExportError: If the network cannot be exported, or if the export gives other probabilities than the run.
        OptionError: If an option has an unknown or unsupported value, or a package is missing.
        RunError: If there is no run, or if the output exists or cannot be written.
    """
    progress = progress or Silent()
    registry = registry or open_registry()
    place = _check(format, preprocess)
    folder = open_run(run, progress)
    target = expand_user(output) if output else _choose_parent(run, folder) / _name(format, place)
    RunFolder.refuse_used(target)
    classifier = load(folder.path, model=model, device="cpu", registry=registry, progress=progress)
    plan = Plan.of(classifier, format, place)
    images = find_images(folder, classifier.header.input.size[0], progress)
    for parent in reversed(target.absolute().parents):
        make_folder(parent)
    with atomic_run_write(target) as temporary:
        temporary.mkdir()
        _write(plan, classifier.backbone, temporary)
        return _prove(plan, temporary, images, target, progress)


def _check(format: str, preprocess: str | None) -> Place:
    if format not in FORMATS:
        raise OptionError(f"there is no `format` {format!r}; choose one of {', '.join(FORMATS)}.")
    if preprocess is not None and preprocess not in PLACES:
        raise OptionError(f"there is no `preprocess` {preprocess!r}; choose one of {', '.join(PLACES)}.")
    if format in _PREPARING:
        if preprocess == "inside":
            raise OptionError(
                f"`preprocess` inside does not apply to `format` {format}, because {format} prepares the images."
            )
        return "outside"
    return "outside" if preprocess == "outside" else "inside"


def _name(format: str, place: Place) -> str:
    return f"{format}-outside" if place == "outside" and format not in _PREPARING else format


def _choose_parent(run: str | PathLike[str], folder: RunFolder) -> Path:
    """Return the folder of the exports: in the run folder, or in the working directory for a run on the Hub."""
    if is_hub_address(run):
        return Path(EXPORTS) / HubAddress.parse(run).repo.rpartition("/")[2]
    if is_in_hub_cache(folder.path):  # It belongs to huggingface_hub.
        return Path(EXPORTS) / folder.path.name
    return folder.path / EXPORTS


def _write(plan: Plan, backbone: BackboneSpec, folder: Path) -> None:
    if plan.format == "onnx":
        write_onnx(plan, folder)
    elif plan.format == "pt2":
        write_pt2(plan, folder)
    else:
        write_timm(plan, backbone, folder)


def _prove(plan: Plan, folder: Path, images: ValidationImages, target: Path, progress: Progress) -> Export:
    golden = draw_golden(folder / FOLDER, plan.classifier.header.input.size[0])
    parity, rows = prove(plan, folder, golden, images, progress)
    write_probabilities(folder / FOLDER, golden, plan.classifier.classes, rows.tolist())
    count = len(images.paths)
    reason = images.reason or ("" if count else "the run has no validation images")
    result = Export(target, plan.format, plan.place, bool(count), count, images.count, reason, parity)
    record = {**result.to_json(), **plan.describe()}
    text = escape_json(json.dumps(record, indent=2, ensure_ascii=False))
    (folder / RECORD).write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    return result
