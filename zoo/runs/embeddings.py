"""The features of images, with their paths and labels, and the files that contain them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from zoo.data.decode import quiet_pillow
from zoo.data.listing import ImageFile, LeftOut
from zoo.data.true_labels import LabelRule
from zoo.data.unlabeled import Unlabeled, list_unlabeled
from zoo.errors import DataError, OptionError, RunError
from zoo.files.atomic import atomic_run_write
from zoo.files.paths import expand_user
from zoo.progress import Progress, Silent
from zoo.progress.csv_rows import format_csv
from zoo.registry.data_options import DataOptions
from zoo.registry.registry import Registry, open_registry
from zoo.runs.loaded_model import LoadedModel

#: Suffixes of the files.
SUFFIXES = (".safetensors", ".npy", ".csv", ".parquet")


@dataclass(frozen=True)
class Embeddings:
    """The features of images."""

    #: float32 of shape (N, width), on the CPU.
    features: Tensor
    #: Paths of the N images. An image in memory has its index in the list, such as ``image 3``.
    paths: tuple[Path, ...]
    #: Labels of the N images, each empty if it is unknown; None if none is known.
    labels: tuple[str, ...] | None
    #: Images that cannot be read, with the reasons.
    left_out: tuple[LeftOut, ...]
    #: Name of the backbone.
    backbone: str
    #: Name of the block whose output the features are; None for the input of the head.
    block: str | None = None

    def __repr__(self) -> str:
        return f"Embeddings of {len(self.paths)} images, {self.features.shape[1]} features each ({self.backbone})"

    def save(self, file: str | PathLike[str]) -> Path:
        """Write the features to a file, with the paths and labels, and return its path.

        The suffix determines the format: ``.safetensors`` (the tensor ``features``; paths and labels as JSON in the
        metadata), ``.npy`` (with the paths and labels in a .csv file of the same name beside it), ``.csv`` or
        ``.parquet``. An existing file is replaced.

        Raises:
            OptionError: If the suffix is a different one, or pyarrow is not installed.
            RunError: If the file cannot be written.
        """
        path = check_output(file)
        with atomic_run_write(path) as temporary:
            _WRITERS[path.suffix.lower()](self, temporary)
        if path.suffix.lower() == ".npy":
            with atomic_run_write(path.with_suffix(".csv")) as temporary:
                temporary.write_text(format_csv(self._list_rows()), encoding="utf-8")
        return path

    def _list_rows(self) -> Iterator[tuple[str, ...]]:
        yield ("path",) if self.labels is None else ("path", "label")
        columns = ([str(path) for path in self.paths], *(() if self.labels is None else (self.labels,)))
        yield from zip(*columns, strict=True)


def check_output(file: str | PathLike[str]) -> Path:
    """Return the path of a file to be written.

    Raises:
        OptionError: If its format is not supported, or needs a package that is not installed.
        RunError: If its folder does not exist.
    """
    path = expand_user(file)
    if path.suffix.lower() not in SUFFIXES:
        raise OptionError(f"`output` {str(path)!r} must end in one of {', '.join(SUFFIXES)}.")
    if path.suffix.lower() == ".parquet" and find_spec("pyarrow") is None:
        raise OptionError("`output`: .parquet files need pyarrow; run pip install pyarrow, or choose .safetensors.")
    if not path.parent.is_dir():
        raise RunError(f"{path} cannot be written: there is no folder {path.parent}; create it first.")
    return path


def embed_images(  # noqa: PLR0913  # the arguments of Classifier.embed and the model
    loaded: LoadedModel, images: Any, block: str | None, columns: str | None, *, registry: Registry | None,
    progress: Progress | None,
) -> Embeddings:  # fmt: skip
    """Compute the features of images; see `zoo.runs.classifier.Classifier.embed`.

    Raises:
        DataError: If the images cannot be used, or none of them can be read.
    """
    registry, progress = registry or open_registry(), progress or Silent()
    options = replace(DataOptions.parse(columns=columns), channels=loaded.input.size[0])
    found = list_unlabeled(images, options, registry=registry, progress=progress, labels=LabelRule())
    with quiet_pillow():
        results = [*loaded.embed(found, block, progress)]
    good = [(image, values) for image, values in results if isinstance(values, Tensor)]
    left_out = tuple(LeftOut(image.path, values) for image, values in results if isinstance(values, str))
    if not good:
        example = f", for example {str(left_out[0].path)!r}: {left_out[0].reason}" if left_out else ""
        raise DataError(f"none of {len(results)} images can be read{example}.")
    labels = tuple(_get_label(image) for image, _ in good)
    return Embeddings(
        features=torch.stack([values for _, values in good]),
        paths=tuple(image.path for image, _ in good),
        labels=labels if any(labels) else None,
        left_out=left_out,
        backbone=loaded.backbone.name,
        block=block,
    )


def _get_label(image: Unlabeled) -> str:
    return image.class_name if isinstance(image, ImageFile) else ""


def _write_safetensors(embeddings: Embeddings, path: Path) -> None:
    metadata = {"backbone": embeddings.backbone, "paths": json.dumps([*map(str, embeddings.paths)])}
    metadata |= {"block": embeddings.block} if embeddings.block else {}
    metadata |= {"labels": json.dumps(embeddings.labels)} if embeddings.labels else {}
    save_file({"features": embeddings.features.contiguous()}, path, metadata=metadata)


def _write_npy(embeddings: Embeddings, path: Path) -> None:
    with path.open("wb") as file:  # With a path, NumPy would add a suffix.
        np.save(file, embeddings.features.numpy(), allow_pickle=False)


def _write_csv(embeddings: Embeddings, path: Path) -> None:
    names, *rows = embeddings._list_rows()  # noqa: SLF001  # of the class in this file
    numbers = ([f"f{index}" for index in range(embeddings.features.shape[1])], *embeddings.features.tolist())
    joined = ((*texts, *values) for texts, values in zip((names, *rows), numbers, strict=True))
    path.write_text(format_csv(joined), encoding="utf-8")


def _write_parquet(embeddings: Embeddings, path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    width = embeddings.features.shape[1]
    values = pa.array(embeddings.features.flatten().numpy())
    # A path that is not valid UTF-8 has surrogates, which Parquet cannot contain.
    paths = [str(path).encode("utf-8", "backslashreplace").decode() for path in embeddings.paths]
    columns: dict[str, Any] = {"path": paths}
    columns |= {"label": embeddings.labels} if embeddings.labels else {}
    parquet.write_table(pa.table({**columns, "features": pa.FixedSizeListArray.from_arrays(values, width)}), path)


_WRITERS: dict[str, Callable[[Embeddings, Path], None]] = {
    ".safetensors": _write_safetensors,
    ".npy": _write_npy,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
