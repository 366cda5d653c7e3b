"""Rank backbones for some images. The function `rank` shows the sequence of steps."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.engine.device import choose_hardware
from zoo.engine.precision import choose_precision
from zoo.errors import CacheError, DataError, OptionError, ZooError
from zoo.progress import Progress, choose_progress
from zoo.registry.recipe import Recipe, make_recipe
from zoo.registry.registry import Registry, open_registry
from zoo.training.job import Job
from zoo.training.rank.candidates import Candidate, Filters, list_candidates
from zoo.training.rank.evaluate import score
from zoo.training.rank.finetune_best import choose_folder, finetune_best
from zoo.training.rank.images import RankImages, open_rank_images
from zoo.training.rank.record import Ranked, add_scores, make_record, order
from zoo.training.rank.scores import Scores
from zoo.training.rank.sentences import describe_record

#: Options that apply to the features of images.
_OPTIONS = (
    "channels", "columns", "device", "image_size", "label_from", "mean", "precision", "resize", "seed", "std",
    "workers",
)  # fmt: skip
#: Default of ``max_images``. A probe on this many images tells backbones apart whose accuracies differ by 2 points.
MAX_IMAGES = 2000
_MOST_IMAGES = 100_000


def rank(  # noqa: PLR0913  # the public entry point; all but two arguments are keywords
    data: Any,
    backbones: str | Sequence[str] = (),
    *,
    fetch: bool = False,
    max_params: int | None = None,
    license: str | None = None,
    min_images_per_second: float | None = None,
    max_images: int = MAX_IMAGES,
    finetune: int = 0,
    output: str | Path | None = None,
    recipe: str | None = None,
    registry: Registry | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> list[Ranked]:
    """Rank backbones for some images before anything is trained.

    A pass over the images of train and val computes the features of each backbone. A linear probe and the nearest
    neighbors predict the labels from them, in cross-validation with the same folds for all backbones. The result of
    each backbone is kept in the cache folder. If this is interrupted, call it again to continue. Speeds are measured
    again in each call.

    Args:
        data: Data set, as for `zoo.finetune`. Test images are not used.
        backbones: Names with an optional ``@TAG``, ``NAME=FILE`` for weights in a file, and patterns such as
            ``timm/resnet*``. Default: all backbones with weights on this machine.
        fetch: Whether to download weights that are not on this machine.
        max_params: Maximum number of parameters.
        license: SPDX identifier that the license of the weights must have.
        min_images_per_second: Smallest number of images that the network must classify per second on this machine.
        max_images: Maximum number of images to use.
        finetune: Number of candidates to fine-tune, those that the ranking suggests first.
        output: Folder of their runs. Default: ``runs/rank-DATA``. Finished runs in it are used again.
        recipe: Name of a recipe in registry.toml for the fine-tuning.
        registry: Registry in which names are looked up. Default: all installed plugins.
        progress: Receives messages and progress. Default: they are shown in notebooks, and discarded elsewhere.
        **options: Fields of `zoo.Recipe` about the data, the preprocessing and the device; with ``finetune``, all
            fields except for ``weights``.

    Returns:
        A record for each candidate, the best first. Those that could not be ranked come last, with the reasons.

    Raises:
        ZooError: If a name does not exist, or the data or an option is invalid; see `zoo.errors`.
    """
    _check(max_images, finetune, output)
    filters = Filters(
        fetch=fetch, max_params=max_params, license=license, min_images_per_second=min_images_per_second
    )  # fmt: skip
    _check_limits(filters)
    registry, progress = registry or open_registry(), progress or choose_progress()
    settings = _make_settings(recipe, options, registry, is_finetuned=finetune > 0)
    names = [backbones] if isinstance(backbones, str) else list(backbones)
    candidates = list_candidates(names, filters, registry, progress)
    opened = open_rank_images(data, settings, max_images, registry=registry, progress=progress)
    found, failed = score_all(candidates, opened, filters, settings, registry, progress)
    records = [*order(found), *failed]
    if not finetune or not found:
        return records
    arguments = {"data": data, "recipe": recipe, "registry": registry, "progress": progress, **options}
    return finetune_best(records, finetune, choose_folder(output, data), arguments, progress)


def score_all(  # noqa: PLR0913, PLR0917  # what a job consists of
    candidates: Sequence[Candidate], images: RankImages, filters: Filters, recipe: Recipe, registry: Registry,
    progress: Progress,
) -> tuple[list[tuple[Ranked, Scores]], list[Ranked]]:  # fmt: skip
    """Return the records and scores of the candidates that could be scored, and the records of the others."""
    found, failed = [], []
    for number, candidate in enumerate(candidates, 1):
        record, scores = _try(candidate, images, filters, recipe, registry, progress)
        progress.say(f"{number}/{len(candidates)} {describe_record(record)}")
        if scores is None:
            failed.append(record)
        else:
            found.append((record, scores))
    return found, failed


def _check(max_images: int, finetune: int, output: str | Path | None) -> None:
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise OptionError("backbones are ranked in a single process; start it without torchrun.")
    if type(max_images) is not int or not 2 <= max_images <= _MOST_IMAGES:
        raise OptionError(f"`max_images` must be a whole number from 2 to {_MOST_IMAGES:,}, got {max_images!r}.")
    if type(finetune) is not int or finetune < 0:
        raise OptionError(f"`finetune` must be a whole number of at least 0, got {finetune!r}.")
    if output is not None and not finetune:
        raise OptionError("`output` changes only runs; set `finetune` to the number of runs, or omit it.")


def _check_limits(filters: Filters) -> None:
    most, least = filters.max_params, filters.min_images_per_second
    if most is not None and (type(most) is not int or most < 1):
        raise OptionError(f"`max_params` must be a whole number of at least 1, got {most!r}.")
    if least is not None and (type(least) not in {int, float} or not 0 < least < math.inf):
        raise OptionError(f"`min_images_per_second` must be a number above 0, got {least!r}.")


def _make_settings(
    name: str | None, options: Mapping[str, Any], registry: Registry, *, is_finetuned: bool
) -> Recipe:  # fmt: skip
    """Return the options of the ranking, after all options have been checked.

    Raises:
        OptionError: If an option is invalid, or only changes runs, and there will be none.
    """
    if "weights" in options:
        raise OptionError("`weights` belong to a single backbone; pass NAME@TAG or NAME=FILE instead.")
    if not is_finetuned and (unused := sorted(options.keys() - set(_OPTIONS)) or ["recipe"] * (name is not None)):
        raise OptionError(f"`{unused[0]}` changes only runs; set `finetune` to the number of runs, or omit it.")
    every = {**(registry.get_recipe(name).options if name else {}), **options}
    make_recipe(every)
    return make_recipe({option: value for option, value in every.items() if option in _OPTIONS})


def _try(  # noqa: PLR0913, PLR0917  # what a job consists of
    candidate: Candidate, images: RankImages, filters: Filters, recipe: Recipe, registry: Registry, progress: Progress
) -> tuple[Ranked, Scores | None]:  # fmt: skip
    """Return the record and the scores of a candidate, or its record with the reason why it has none."""
    count = len(images.labels)
    if candidate.problem or candidate.source is None:
        return make_record(candidate, count, candidate.problem), None
    backbone = candidate.resolved.backbone
    hardware = choose_precision(recipe.precision, backbone, choose_hardware(recipe.device, recipe.precision))
    job = Job(candidate.resolved, candidate.source, images.images.origin, recipe, hardware, registry, progress)
    try:
        scores, cost = score(candidate, job, images, filters)
    except (CacheError, DataError):  # The next candidate would fail for the same reason.
        raise
    except Exception as error:  # noqa: BLE001  # one broken candidate must not end the others; its record says why
        reason = str(error) if isinstance(error, ZooError) else f"{type(error).__name__}: {error}"
        return make_record(candidate, count, " ".join(reason.split())), None
    return add_scores(make_record(candidate, count), scores, cost), scores
