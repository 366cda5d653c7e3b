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
from zoo.engine.neighbors import measure_neighbor_distances, scale
from zoo.errors import RunError
from zoo.files.download import sha256_of
from zoo.progress import Progress
from zoo.registry.registry import Registry
from zoo.runs.evaluation import require_finite
from zoo.runs.folder import FEATURES, MODEL, RunFolder
from zoo.runs.loaded_model import LoadedModel
from zoo.runs.model_file import read_tensors, write_tensors
from zoo.runs.training_images import open_training_images

#: Maximum number of images of each split. If there are more, they are evenly spaced.
MAX_IMAGES = 10_000
#: Key in the header of the file: SHA-256 of the model that computed the features.
_MODEL = "model"


@dataclass(frozen=True)
class TrainingFeatures:
    """Features of training images, and the distances of the validation images to them."""

    #: Shape (M, width); each row has length 1.
    reference: Tensor
    #: Shape (V,), ascending.
    val_distances: Tensor

    @classmethod
    def of(cls, features: Tensor, val_distances: Tensor) -> TrainingFeatures:
        """Prepare the tensors of the file, so that images are measured quickly."""
        return cls(scale(features), val_distances.float().sort().values)

    def measure(self, features: Tensor) -> Tensor:
        """Return the distance of each image, and the number of validation images that are closer.

        Args:
            features: Features of N images, of shape (N, width).

        Returns:
            Shape (N, 2).

        Raises:
            RunError: If the stored features have another width.
        """
        width = self.reference.shape[1]
        if features.shape[1] != width:
            raise RunError(
                f"the {FEATURES} of this run has features of width {width}, but those of the model have "
                f"{features.shape[1]}; remove it, and it will be written again."
            )
        distances = measure_neighbor_distances(features, self.reference)
        return torch.stack([distances, torch.searchsorted(self.val_distances, distances).float()], 1)

    def find_limit(self, max_percentile: float) -> str | None:
        """Return a note if there are too few validation images for a limit; None if there are enough.

        Any one of V + 1 images of the same kind is the farthest with the same probability. So of images like the V
        validation images, 1 in V + 1 is farther than all of them, and its percentile is 100.
        """
        total = len(self.val_distances) + 1
        if max_percentile >= 100 or (100 - max_percentile) * total >= 100:
            return None
        return (
            f"note: there are only {total - 1:,} validation images, so about 1 in {total:,} images like those of the "
            f"training is farther than all of them, and `max_percentile` {max_percentile:g} predicts no class for it"
        )

    def get_percentile(self, closer: float) -> float:
        """Return the percentage of the validation images that are closer, from their number."""
        return 100 * closer / len(self.val_distances)


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
    images = open_training_images(folder, registry, progress)
    train, val = (_thin([sample.file for sample in samples]) for samples in (images.train, images.val))
    with quiet_pillow():
        features = scale(_compute(loaded, train, progress)).half()  # Larger features would overflow.
        distances = measure_neighbor_distances(_compute(loaded, val, progress), scale(features))
    tensors = {"features": features, "val_distances": distances.sort().values}
    folder.write(FEATURES, lambda path: write_tensors(tensors, {_MODEL: digest}, path))
    progress.say(f"stored the features of {len(features):,} training images in {folder.path / FEATURES}")
    return TrainingFeatures.of(features, distances)


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
    if not all(_is_usable(tensors.get(name), ndim) for name, ndim in (("features", 2), ("val_distances", 1))):
        raise RunError(f"{path} is damaged; remove it, and it will be written again.")
    return TrainingFeatures.of(tensors["features"], tensors["val_distances"])


def _is_usable(values: Tensor | None, ndim: int) -> bool:
    if values is None or values.ndim != ndim or not values.numel():
        return False
    return values.is_floating_point() and bool(values.isfinite().all())


def _thin(files: Sequence[ImageFile]) -> Sequence[ImageFile]:
    return files[:: -(-len(files) // MAX_IMAGES)]


def _compute(loaded: LoadedModel, files: Sequence[ImageFile], progress: Progress) -> Tensor:
    """Return the features of the files that can be read, of shape (N, width)."""
    found = []
    with progress.track("computing features", len(files)) as advance:
        for image, values in loaded.embed(files, None, progress):
            if isinstance(values, Tensor):
                require_finite(values[None], [image.path])
                found.append(values)
            advance(1)
    if not found:
        raise RunError(f"`distance` needs the images of the training, but none of {len(files)} can be read.")
    return torch.stack(found)
