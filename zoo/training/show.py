"""Show what a model sees: images after decoding, cropping, augmentation and normalization."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image
from torch import Tensor

from zoo.data.contact_sheet import Row, draw_sheet
from zoo.data.dataset import Images, open_images
from zoo.data.decode import quiet_pillow
from zoo.data.listing import SPLITS
from zoo.data.pixel_cache import Views
from zoo.data.sample import Sample
from zoo.data.sampler import seed_of_view
from zoo.data.transform import Normalize
from zoo.errors import DataError, OptionError
from zoo.models.weights.choose import choose_input, choose_weights
from zoo.plugin import InputSpec
from zoo.progress import Progress, Silent
from zoo.registry.recipe import HEAD_VIEWS, Recipe, make_recipe
from zoo.registry.registry import Registry, open_registry
from zoo.runs.report.sheet_page import build_sheet_page

#: Input of most backbones, which is used if no backbone is given.
_USUAL_INPUT = InputSpec(size=(3, 224, 224), resize=256)
#: Options that change what the sheet shows.
_OPTIONS = (
    "augment",
    "channels",
    "columns",
    "erase",
    "image_size",
    "label_from",
    "mean",
    "resize",
    "seed",
    "std",
    "views",
)


@dataclass(frozen=True)
class Sheet:
    """A contact sheet. Jupyter displays it as a picture."""

    title: str
    caption: str
    rows: Sequence[Row]

    @property
    def image(self) -> Image.Image:
        """The contact sheet as an image."""
        return draw_sheet(self.rows)

    @property
    def page(self) -> str:
        """The contact sheet as an HTML page, a single file."""
        return build_sheet_page(self.title, self.caption, self.rows)

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.image.save(file, "PNG")
        return file.getvalue()


def show(  # noqa: PLR0913  # a public entry point; all but one argument are keywords
    data: Any,
    *,
    backbone: str | None = None,
    split: str = "train",
    images: int = 8,
    classes: int = 12,
    registry: Registry | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Sheet:
    """Show what a model sees, with one row for each class, or with one row for each image if ``views`` is set.

    Args:
        data: Data set, as for `zoo.finetune`.
        backbone: Name of the backbone whose preprocessing is used. Default: 224 x 224 pixels.
        split: Split to show: ``train``, ``val`` or ``test``.
        images: Number of images in each row; with ``views``, number of rows.
        classes: Maximum number of rows if there is one for each class.
        registry: Registry in which names are looked up. Default: all installed plugins.
        progress: Receives messages and progress. Default: they are discarded.
        **options: Fields of `zoo.Recipe` about data, preprocessing and augmentation. With ``views``, each row shows an
            image without augmentation and then its augmented views, which are those of training with the same
            ``views``.

    Raises:
        ZooError: If a name does not exist, or the data or an option is invalid; see `zoo.errors`.
    """
    if split not in SPLITS:
        raise OptionError(f"there is no split {split!r}; choose one of {', '.join(SPLITS)}.")
    if images < 1 or classes < 1:
        raise OptionError("`images` and `classes` must be at least 1.")
    if unused := sorted(options.keys() - set(_OPTIONS)):
        raise OptionError(f"`{unused[0]}` does not change what is shown; the options are {', '.join(_OPTIONS)}.")
    recipe, registry, progress = make_recipe(options), registry or open_registry(), progress or Silent()
    spec = recipe.preprocessing.apply(_find_input(backbone, registry))
    views = Views.build(spec, recipe.augmentation, erase=recipe.erase)
    with quiet_pillow():
        found = open_images(data, recipe.data_options, registry=registry, progress=progress, keep=views)
        views.use_bits(found.bits)
        samples: Sequence[Sample] = getattr(found, split)
        if not samples:
            raise DataError(f"{found.origin!r} has no {split} images.")
        tiles = Tiles(samples, views, Normalize(spec))
        if recipe.augmentation == "none":
            rows = _list_classes(found, tiles, recipe, images, classes)
        else:
            rows = _list_views(tiles, recipe, images)
    return Sheet(found.origin, _describe(spec, recipe, split), rows)


def _find_input(backbone: str | None, registry: Registry) -> InputSpec:
    if backbone is None:
        return _USUAL_INPUT
    resolved = registry.resolve(backbone)
    weights = None if resolved.backbone.weights else "none"
    return choose_input(resolved.backbone, choose_weights(resolved, weights))


@dataclass(frozen=True)
class Tiles:
    """Images of a split, as the model sees them."""

    samples: Sequence[Sample]
    views: Views
    normalize: Normalize

    def draw(self, index: int, view: int | None = None) -> Tensor:
        """Return an image, uint8 of shape (C, height, width); ``view`` is the number of an augmented view."""
        sample = self.samples[index]
        if view is None:
            pixels = self.views.plain.get(sample)
        else:
            pixels = self.views.train.get(sample, seed_of_view(view, index))
        return self.normalize.invert(self.normalize(pixels))


def _list_classes(found: Images, tiles: Tiles, recipe: Recipe, images: int, classes: int) -> list[Row]:
    rows = []
    for label, name in enumerate(found.classes[:classes]):
        of_class = [index for index, sample in enumerate(tiles.samples) if sample.label == label]
        if of_class:
            chosen = _choose(of_class, images, recipe.seed)
            rows.append(Row(f"{name} ({len(of_class):,} images)", [tiles.draw(index) for index in chosen]))
    return rows


def _list_views(tiles: Tiles, recipe: Recipe, images: int) -> list[Row]:
    chosen = _choose(range(len(tiles.samples)), images, recipe.seed)
    return [
        Row(
            f"{tiles.samples[index].file.class_name}: {tiles.samples[index].file.name}",
            [tiles.draw(index), *(tiles.draw(index, view) for view in range(recipe.num_views or HEAD_VIEWS))],
        )
        for index in chosen
    ]


def _choose(indices: Sequence[int], count: int, seed: int) -> list[int]:
    return sorted(random.Random(seed).sample(indices, min(count, len(indices))))  # noqa: S311  # not for security


def _describe(spec: InputSpec, recipe: Recipe, split: str) -> str:
    _, height, width = spec.size
    augmented = "" if recipe.augmentation == "none" else f", then with {recipe.augmentation} augmentation"
    return f"{split} images as the model sees them, at {width} x {height} pixels{augmented}"
