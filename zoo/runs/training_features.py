"""The features of a run's training images, and how far other images are from them: features.safetensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from zoo.data.decode import quiet_pillow
from zoo.data.listing import ImageFile
from zoo.data.source import list_images
from zoo.engine.neighbors import measure_neighbor_distances
from zoo.errors import DataError, DownloadError, NameNotFound, RunError
from zoo.files.download import sha256_of
from zoo.files.schema import Run
from zoo.progress import Progress
from zoo.registry.registry import Registry
from zoo.runs.data_options import parse_evaluation_options
from zoo.runs.folder import FEATURES, MODEL, RUN, RunFolder
from zoo.runs.loaded_model import LoadedModel
from zoo.runs.model_file import read_tensors, write_tensors
from zoo.runs.predictions import read_predictions

#: Maximum number of images of each split. If there are more, they are evenly spaced.
MAX_IMAGES = 10_000
#: Key in the header of the file: SHA-256 of the model that computed the features.
_MODEL = "model"


@dataclass(frozen=True)
class TrainingFeatures:
    """Features of training images, and the distances of the validation images to them."""

    #: Shape (M, width).
    features: Tensor
    #: Shape (V,), ascending.
    val_distances: Tensor

    def measure(self, features: Tensor) -> tuple[float, float]:
        """Return the distance of an image, and the percentage of the validation images that are closer.

        Args:
            features: Features of the image, of shape (width,).
        """
        distance = measure_neighbor_distances(features[None], self.features)[0]
        closer = int((self.val_distances < distance).sum())
        return distance.item(), 100 * closer / len(self.val_distances)


def open_training_features(
    loaded: LoadedModel, folder: RunFolder, registry: Registry, progress: Progress
) -> TrainingFeatures:
    """Read the features of a run, or compute them from its data and store them in its folder.

    Raises:
        RunError: If they are not stored and the images of the run cannot be read, or a file of the run is damaged.
    """
    digest = sha256_of(folder.path / MODEL)
    if found := _find_stored(folder.path / FEATURES, digest):
        return found
    train, val = _list_files(folder, registry, progress)
    with quiet_pillow():
        features = _compute(loaded, train, progress).half()
        distances = measure_neighbor_distances(_compute(loaded, val, progress), features)
    tensors = {"features": features, "val_distances": distances.sort().values}
    folder.write(FEATURES, lambda path: write_tensors(tensors, {_MODEL: digest}, path))
    progress.say(f"stored the features of {len(features):,} training images in {folder.path / FEATURES}")
    return TrainingFeatures(features, tensors["val_distances"])


def _find_stored(path: Path, digest: str) -> TrainingFeatures | None:
    """Return the stored features, or None if there are none, or if they are those of another model."""
    if not path.is_file():
        return None
    tensors = read_tensors(path)
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    if metadata.get(_MODEL) != digest:
        return None
    features, distances = tensors.get("features"), tensors.get("val_distances")
    if features is None or distances is None or (features.ndim, distances.ndim) != (2, 1) or not distances.numel():
        raise RunError(f"{path} is damaged; remove it, and it will be written again.")
    return TrainingFeatures(features, distances)


def _list_files(
    folder: RunFolder, registry: Registry, progress: Progress
) -> tuple[Sequence[ImageFile], Sequence[ImageFile]]:
    """Return the training and the validation images of a run."""
    data = folder.read_json(RUN, Run)["data"]
    try:
        if data.get("is_object"):
            raise DataError("they were not in files")  # reported like all other reasons
        if data.get("paths_omitted"):  # An unrelated folder may have the name that is left.
            raise DataError("the run was pushed to the Hub without their paths")
        splits = {str(item.path): item.split for item in read_predictions(folder)}
        options = parse_evaluation_options(None, None, folder)
        files = list_images(data["asked"], options, registry=registry, progress=progress).files
        chosen = {
            split: [file for file in files if splits.get(str(file.path), _get_split(file)) == split]
            for split in ("train", "val")
        }
        for split, found in chosen.items():
            if not found:
                raise DataError(f"{data['asked']!r} has none of the {split} images")
    except (DataError, DownloadError, NameNotFound) as error:
        raise RunError(
            f"`distance` needs the images of the training once, to store their features in {folder.path}: {error}"
        ) from error
    return _thin(chosen["train"]), _thin(chosen["val"])


def _get_split(file: ImageFile) -> str:
    """Return the split of an image that was not predicted at the end of the run."""
    return file.split if file.split in ("val", "test") else "train"


def _thin(files: Sequence[ImageFile]) -> Sequence[ImageFile]:
    return files[:: -(-len(files) // MAX_IMAGES)]


def _compute(loaded: LoadedModel, files: Sequence[ImageFile], progress: Progress) -> Tensor:
    """Return the features of the files that can be read, of shape (N, width)."""
    found = []
    with progress.track("computing features", len(files)) as advance:
        for _, values in loaded.embed(files, None, progress):
            found += [values] if isinstance(values, Tensor) else []
            advance(1)
    if not found:
        raise RunError(f"`distance` needs the images of the training, but none of {len(files)} can be read.")
    return torch.stack(found)
