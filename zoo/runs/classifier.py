"""A finished run, ready to predict and to be measured: from its folder and the plugin, without the training data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.data.decode import decode_image, quiet_pillow
from zoo.data.eval_dataset import open_labelled
from zoo.data.folder import IMAGE_SUFFIXES
from zoo.data.loader import EvalBatches
from zoo.data.pixel_cache import Pixels
from zoo.data.transform import build_eval_transform
from zoo.engine.batches import prepare
from zoo.engine.device import Hardware, choose_hardware, place, plan_loading, rounding
from zoo.engine.loop import evaluate, finite_or_none
from zoo.engine.metrics import measure
from zoo.errors import DataError
from zoo.models.build import Network, attach_head, build_model
from zoo.models.weights.choose import WeightsSource
from zoo.progress import Progress, Silent
from zoo.registry.registry import Registry, open_registry
from zoo.runs.folder import MODEL, RunFolder
from zoo.runs.model_file import Header, load_header, load_tensors

BATCH = 32


@dataclass(frozen=True)
class Prediction:
    """What the model says of one image, or why it cannot."""

    path: Path
    #: The most probable classes and their probabilities, best first; empty where the image cannot be read.
    top: tuple[tuple[str, float], ...] = ()
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the documented JSON form."""
        if self.error is not None:
            return {"path": str(self.path), "error": self.error}
        label, probability = self.top[0]
        top = [{"label": name, "probability": value} for name, value in self.top]
        return {"path": str(self.path), "label": label, "probability": probability, "top": top}


class Classifier:
    """A network with the classes that it tells apart."""

    def __init__(self, network: Network, header: Header, hardware: Hardware) -> None:
        self.model = network.model
        self.header = header
        self._network = network
        self._hardware = hardware
        self._transform = build_eval_transform(header.input)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the logits."""
        return self.header.classes

    def predict(self, images: str | Path | Sequence[str | Path], top: int = 1) -> Iterator[Prediction]:
        """Predict the ``top`` most probable classes of each image, folders standing for all images in them.

        Raises:
            DataError: a path does not exist, or a folder holds no image.
        """
        if top < 1:
            raise DataError(f"the {top} most probable classes were asked for; ask for at least one.")
        several = [images] if isinstance(images, (str, Path)) else images
        return self._predict([path for image in several for path in _expand(Path(image))], top)

    def _predict(self, images: Sequence[Path], top: int) -> Iterator[Prediction]:
        paths = iter(images)
        self.model.eval()
        with ThreadPoolExecutor() as pool:
            while chunk := list(islice(paths, BATCH)):
                yield from self._predict_chunk(chunk, list(pool.map(self._read, chunk)), top)

    def evaluate(
        self, data: str | Path, split: str | None = None, *, registry: Registry | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Measure accuracy, per-class figures and confusion on labelled images.

        Args:
            data: as for ``finetune``; its classes are matched by name.
            split: ``train``, ``val``, ``test`` or ``all``; None: ``test``, else ``val``, else all there are.
            registry: where names of data sets are looked up.
            progress: told what goes on.

        Raises:
            DataError: a class of the data is none of the run's, or there is no such split.
        """
        progress = progress or Silent()
        chosen, samples = open_labelled(
            data, split, classes=self.classes, registry=registry or open_registry(), progress=progress
        )
        loaded = EvalBatches(samples, Pixels(self._transform, budget=0), plan_loading(self._hardware, BATCH))
        with quiet_pillow(), closing(loaded), progress.track("evaluating", len(samples)) as advance:
            batches = prepare(loaded, self._transform.normalise, self._hardware)
            with rounding(self._hardware):
                score, probabilities = evaluate(self.model, batches, self._hardware, advance)
        labels = [sample.label for sample in samples]
        return {"split": chosen, "loss": finite_or_none(score.loss), **measure(probabilities, labels, self.classes)}

    def _read(self, path: Path) -> Tensor | str:
        try:
            return self._transform(decode_image(path))
        except DataError as error:
            return str(error)

    def _predict_chunk(self, paths: list[Path], read: list[Tensor | str], top: int) -> Iterator[Prediction]:
        tensors = [item for item in read if isinstance(item, Tensor)]
        rows = iter(self._compute(tensors)) if tensors else iter(())
        for path, item in zip(paths, read, strict=True):
            if isinstance(item, str):
                yield Prediction(path, error=item)
                continue
            values, indices = next(rows).topk(min(top, len(self.classes)))
            names = (self.classes[index] for index in indices.tolist())
            yield Prediction(path, tuple(zip(names, values.tolist(), strict=True)))

    @torch.inference_mode()
    def _compute(self, tensors: list[Tensor]) -> Tensor:
        images = torch.stack(tensors).to(self._hardware.device, memory_format=torch.channels_last)
        with self._hardware.autocast(), rounding(self._hardware):
            logits: Tensor = self.model(images)
        return logits.float().softmax(1).cpu()


def load(run: str | PathLike[str], *, device: str = "auto", registry: Registry | None = None) -> Classifier:
    """Load a run, given as its folder or its model.safetensors.

    Raises:
        RunError: there is no run, or its file does not fit the backbone that is installed.
        NameNotFound: the plugin with its backbone is not installed.
    """
    path = RunFolder.open(Path(run).expanduser()).path / MODEL
    header = load_header(path)
    resolved = (registry or open_registry()).resolve(header.backbone)
    start = WeightsSource(header.weights, header.tag)
    with torch.random.fork_rng([]):  # what is drawn here is overwritten; the caller's generator should not notice
        model = build_model(resolved.backbone, header.tag)
        network = attach_head(resolved.backbone, start, model, header.head, len(header.classes))
    load_tensors(model, path)
    hardware = choose_hardware(device, "fp32")
    place(model, hardware)
    model.eval()
    return Classifier(network, header, hardware)


def _expand(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
        if not found:
            raise DataError(f"{path} holds no images; read are {' '.join(IMAGE_SUFFIXES)}.")
        return found
    if not path.exists():
        raise DataError(f"no image {path}.")
    return [path]
