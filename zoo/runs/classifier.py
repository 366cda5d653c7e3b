"""A finished run, loaded for prediction and evaluation. This requires only the run folder and the plugin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo.data.bit_depth import report_bits
from zoo.data.decode import decoded, quiet_pillow
from zoo.data.eval_dataset import Trained, open_labeled
from zoo.data.image_bytes import read_image
from zoo.data.listing import ImageFile, LeftOut
from zoo.data.loader import EvalBatches
from zoo.data.pixel_cache import Pixels
from zoo.data.source import list_images, name_source
from zoo.data.transform import build_eval_transform
from zoo.data.unlabeled import list_unlabeled
from zoo.engine.batches import prepare
from zoo.engine.device import Hardware, allowing_tf32, choose_hardware, place, plan_loading
from zoo.engine.loop import evaluate, finite_or_none
from zoo.engine.metrics import measure
from zoo.errors import DataError, RunError
from zoo.models.weights.header import Header
from zoo.progress import Progress, Silent
from zoo.registry.data_options import DataOptions
from zoo.registry.registry import Registry, open_registry
from zoo.runs.architecture import Model, rebuild
from zoo.runs.data_options import parse_evaluation_options
from zoo.runs.folder import MODEL, RunFolder
from zoo.runs.model_file import load_header, load_tensors
from zoo.runs.prediction import Prediction

#: Images per batch.
BATCH = 32


@dataclass(frozen=True, slots=True)
class _Input:
    """The model input for an image."""

    #: float32 of shape (C, H, W).
    tensor: Tensor
    #: Largest value of a 16-bit image, as in `zoo.data.decode.Decoded`.
    peak: int


class Classifier:
    """A trained model and its class names."""

    def __init__(self, model: nn.Module, header: Header, hardware: Hardware, folder: RunFolder | None = None) -> None:
        self.model = model
        self._folder = folder
        self.header = header
        self._hardware = hardware
        self.transform = build_eval_transform(header.input)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the logits."""
        return self.header.classes

    def predict(  # a public entry point; all but two arguments are keywords
        self, images: Any, top: int = 1, *, columns: str | None = None, registry: Registry | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Prediction]:  # fmt: skip
        """Predict the most probable classes of each image.

        Args:
            images: Path of an image, or a data set, as for ``finetune``, or a list of several of these. The images need
                no labels, and labels have no effect.
            top: Number of classes per image.
            columns: Name of the image column of a table, as in ``image=id``.
            registry: Registry in which data sets are looked up. Default: all installed plugins.
            progress: Receives messages about the data, and, after the last prediction, messages about the scale of
                16-bit images. Default: they are discarded.

        Returns:
            A prediction for each image, and one with an error for each file that is left out.

        Raises:
            DataError: If ``top`` is less than 1, a path does not exist, or a data set has no images.
            DownloadError: If a data set cannot be fetched.
            NameNotFound: If there is no data set of that name.
            OptionError: If ``columns`` names other columns, or does not apply to the images.
            RunError: If the model returns NaN or infinite values for an image; raised when the batch is reached.
        """
        if top < 1:
            raise DataError(f"`top` must be at least 1, got {top}.")
        progress = progress or Silent()
        options = DataOptions.parse(columns=columns)
        files = list_unlabeled(images, options, registry=registry or open_registry(), progress=progress)
        return self._predict(files, top, progress)

    def _predict(self, files: Sequence[ImageFile | LeftOut], top: int, progress: Progress) -> Iterator[Prediction]:
        self.model.eval()
        peaks: list[int] = []
        with ThreadPoolExecutor() as pool:
            for first in range(0, len(files), BATCH):
                batch = files[first : first + BATCH]
                with quiet_pillow():  # not around the yield, because it applies to the entire process
                    read = list(pool.map(self._read, batch))
                peaks += [item.peak for item in read if isinstance(item, _Input) and item.peak]
                yield from self._predict_batch([file.path for file in batch], read, top)
        report_bits(peaks, self.header.input.bits, progress)

    def evaluate(  # noqa: PLR0913  # a public entry point; all but two arguments are keywords
        self, data: Any, split: str | None = None, *, label_from: str | None = None,
        columns: str | None = None, registry: Registry | None = None, progress: Progress | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Evaluate the model on labeled images.

        Args:
            data: Data set, as for ``finetune``. Its classes are matched by name.
            split: ``train``, ``val``, ``test`` or ``all``. Default: ``test`` if it exists, else ``val``, else ``all``.
            label_from: Regular expression that finds the class in an image's file name, as for ``finetune``. Default:
                that of the run, if ``data`` is of the same kind as the run's data. ``none`` means none.
            columns: Columns of a table by role, as for ``finetune``. Default: as for ``label_from``.
            registry: Registry in which the data set is looked up. Default: all installed plugins.
            progress: Receives messages and progress. Default: they are discarded.

        Returns:
            ``split``, ``loss``, ``accuracy``, ``images``, ``per_class``, ``confusion`` and ``left_out`` (the skipped
            files and the reasons), as in run.json.

        Raises:
            DataError: If the data has a class that the model does not know, or no such split.
            OptionError: If ``columns`` names a column of weights, which would have no effect.
            RunError: If the model returns NaN or infinite values for an image, or the run.json of the run is damaged.
        """
        progress = progress or Silent()
        options = parse_evaluation_options(label_from, columns, self._folder)
        listing = list_images(data, options, registry=registry or open_registry(), progress=progress)
        trained = Trained(self.classes, self.header.input.bits)
        images = open_labeled(listing, name_source(data), split, trained=trained, progress=progress)
        samples = images.samples
        loaded = EvalBatches(samples, Pixels(self.transform, budget=0), plan_loading(self._hardware, BATCH))
        with quiet_pillow(), closing(loaded), progress.track("evaluating", len(samples)) as advance:
            batches = prepare(loaded, self.transform.normalize, self._hardware)
            with allowing_tf32(self._hardware):
                score, probabilities = evaluate(self.model, batches, self._hardware, advance)
        _require_finite(probabilities, [sample.path for sample in samples])
        labels = [sample.label for sample in samples]
        left_out = [{"path": str(item.path), "reason": item.reason} for item in images.left_out]
        metrics = measure(probabilities, labels, self.classes)
        return {"split": images.split, "loss": finite_or_none(score.loss), **metrics, "left_out": left_out}

    def _read(self, file: ImageFile | LeftOut) -> _Input | str:
        """Return the model input, or the reason why there is none."""
        if isinstance(file, LeftOut):
            return file.reason
        try:
            # Errors about a file's content omit its path, because the prediction already contains it.
            with decoded(read_image(file), self.transform.bits) as image:
                return _Input(self.transform(image.pixels), image.peak)
        except DataError as error:
            return str(error)

    def _predict_batch(self, paths: Sequence[Path], read: list[_Input | str], top: int) -> Iterator[Prediction]:
        tensors = [item.tensor for item in read if isinstance(item, _Input)]
        computed = self._compute(tensors) if tensors else torch.empty(0, len(self.classes))
        _require_finite(computed, [path for path, item in zip(paths, read, strict=True) if isinstance(item, _Input)])
        rows = iter(computed)
        for path, item in zip(paths, read, strict=True):
            if isinstance(item, str):
                yield Prediction(path, error=item)
                continue
            values, indices = next(rows).topk(min(top, len(self.classes)))
            names = (self.classes[index] for index in indices.tolist())
            yield Prediction(path, tuple(zip(names, values.tolist(), strict=True)))

    @torch.inference_mode()
    def _compute(self, tensors: list[Tensor]) -> Tensor:
        """Return probabilities of shape (N, classes), on the CPU."""
        images = torch.stack(tensors).to(self._hardware.device, memory_format=torch.channels_last)
        with self._hardware.autocast(), allowing_tf32(self._hardware):
            logits: Tensor = self.model(images)
        return logits.float().softmax(1).cpu()


def _require_finite(probabilities: Tensor, paths: Sequence[Path]) -> None:
    """Refuse the NaN that softmax makes of logits that are not finite; the most probable class would mean nothing.

    Raises:
        RunError: If a row is not finite. The message names its image.
    """
    for path, is_finite in zip(paths, probabilities.isfinite().all(1).tolist(), strict=True):
        if not is_finite:
            raise RunError(
                f"the model of this run returns NaN or infinite values for {path}, so it cannot be used; "
                "train it again, or copy the run folder again if the model was copied."
            )


def load(
    run: str | PathLike[str],
    *,
    model: Model | None = None,
    device: str = "auto",
    registry: Registry | None = None,
    progress: Progress | None = None,
) -> Classifier:
    """Load a finished run.

    Args:
        run: Run folder, or the model.safetensors in it.
        model: Your own network, if the run was trained with one: a module, which is not changed, or
            ``FILE.py:FUNCTION``. A run never causes code to be executed by itself.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        registry: Registry in which the backbone is looked up. Default: all installed plugins.
        progress: Receives a note if the file of your own network has changed. Default: it is discarded.

    Raises:
        RunError: If there is no run, if its model does not match the network, or if ``model`` is missing.
        NameNotFound: If the plugin of its backbone is not installed.
        OptionError: If ``model`` is not a network, or is not needed.
    """
    folder = RunFolder.open(Path(run))
    path = folder.path / MODEL
    header = load_header(path)
    network = rebuild(header, model, registry or open_registry(), progress or Silent())
    load_tensors(network, path, "the installed version of its backbone" if model is None else "`model`")
    hardware = choose_hardware(device, "fp32")
    place(network, hardware)
    network.eval()
    return Classifier(network, header, hardware, folder)
