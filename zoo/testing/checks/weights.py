"""Promises of published weights; these need a network, or weights that lie in the plugin."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from zoo.errors import DownloadError, WeightsError
from zoo.files.download import is_offline
from zoo.models.build import build_backbone, build_model
from zoo.models.head import get_head, is_below
from zoo.models.weights.choose import WeightsSource, input_for
from zoo.models.weights.load import load_tensors, read_start
from zoo.plugin import WeightsSpec
from zoo.progress import Silent
from zoo.testing.backbone_under_test import BackboneUnderTest
from zoo.testing.checks.forward import are_close
from zoo.testing.results.result import CannotCheck, CheckFailed, NotApplicable
from zoo.testing.suggestions import list_prefixes, name_likest, name_some

GOLDEN_TOLERANCE = 1e-3
#: The advice in an error for users of a file that zoo cannot fetch or read; its author needs another cure.
USERS_ADVICE = re.compile(r"\. [^.]*, or save the file yourself as .*|; [^;]*$|\. Where you trust it.*|\.$")


def fetched(backbone: BackboneUnderTest) -> None:
    """Into the cache; a digest is compared where one is pinned."""
    for published in _list_weights(backbone):
        try:
            read_start(_start(published), Silent())
        except WeightsError as error:
            if isinstance(error, DownloadError) and is_offline():
                raise CannotCheck(f"ZOO_OFFLINE is set, and weights {published.tag} are not on this machine") from error
            said = USERS_ADVICE.sub("", str(error))
            raise CheckFailed(f"weights {published.tag}: {said}; mend url or sha256, or what lies there.") from error


def fit(backbone: BackboneUnderTest) -> None:
    """By zoo's own loading, which is strict."""
    for published in _list_weights(backbone):
        tensors = read_start(_start(published), Silent())
        model, convert = build_model(backbone.spec, published.tag), backbone.spec.convert
        built, known = _copy_head(backbone, model), model.state_dict().keys()
        names = tensors if convert is None or tensors.keys() <= known else convert(published.tag, tensors)
        try:
            load_tensors(backbone.spec, model, _start(published), tensors)
        except WeightsError as error:
            said = str(error).removesuffix(". Report this to the author of its plugin.")
            unknown = [name for name in names if not any(is_below(name, own) for own in (*known, *published.lacks))]
            # What is missing is most often there, under another name.
            more = f", and has unknown {name_some(unknown)}" if unknown and "it lacks" in said else ""
            cure = "mend url, build, convert, or what the weights are said to lack"
            raise CheckFailed(f"weights {said}{more}; {cure}.") from error
        _expect_classes(published, built, _copy_head(backbone, model))
        _expect_use(published, [*model.state_dict(), *tensors, *names])


def finite(backbone: BackboneUnderTest) -> None:
    """Of each tag, on the image that the kit draws."""
    for published in _list_weights(backbone):
        model, logits = _answer(backbone, published)
        odd = [name for name, tensor in model.state_dict().items() if not torch.isfinite(tensor).all()]
        if odd or not logits.isfinite().all():
            where = ", ".join(odd[:3]) or "the logits"
            raise CheckFailed(f"weights {published.tag} are not finite in {where}; leave them out, or mend convert.")


def golden(backbone: BackboneUnderTest) -> None:
    """The first logits, of each tag; one that declares none is named, with those that it gives."""
    silent = [published for published in _list_weights(backbone) if not published.logits]
    for published in backbone.spec.weights:
        if published.logits:
            _expect_logits(backbone, published)
    if silent:
        tags = ", ".join(published.tag for published in silent)
        found = tuple(round(value, 4) for value in _answer(backbone, silent[0])[1][:4].tolist())
        raise NotApplicable(f"it declares no logits for {tags}; those of {silent[0].tag} are {found}")


def _expect_logits(backbone: BackboneUnderTest, published: WeightsSpec) -> None:
    wanted = torch.tensor(published.logits)
    found = _answer(backbone, published)[1][: len(wanted)]
    if found.shape != wanted.shape or not are_close(found, wanted, GOLDEN_TOLERANCE):
        shown = [round(value, 4) for value in found.tolist()]
        raise CheckFailed(
            f"weights {published.tag} give {shown}, not {list(published.logits)}; "
            "they are others than were meant, or build or convert has changed."
        )


def draw_golden_image(size: tuple[int, int, int]) -> Tensor:
    """Draw an image of shape (1, C, H, W), of waves, without random numbers: these differ between versions."""
    channels, height, width = size
    rows = torch.linspace(0, 12, height, dtype=torch.float64)[:, None]
    columns = torch.linspace(0, 9, width, dtype=torch.float64)
    return torch.stack([(rows + columns * (channel + 1)).sin() for channel in range(channels)])[None].float()


def _list_weights(backbone: BackboneUnderTest) -> Iterator[WeightsSpec]:
    if not backbone.spec.weights:
        raise NotApplicable("it publishes no weights")
    yield from backbone.spec.weights


def _start(published: WeightsSpec) -> WeightsSource:
    return WeightsSource(published.tag, published.tag, weights=published)


def _copy_head(backbone: BackboneUnderTest, model: nn.Module) -> Tensor:
    """Return a copy of the first head's weight, of shape (classes, ...)."""
    return model.get_parameter(f"{get_head(backbone.spec, model).paths[0]}.weight").detach().clone()


def _expect_classes(published: WeightsSpec, built: Tensor, loaded: Tensor) -> None:
    """Compare the head with what is declared; one that is as it was built is not in the file."""
    found = None if torch.equal(built, loaded) else len(loaded)
    if published.num_classes not in (None, found):
        what = "no head" if found is None else f"a head of {found} classes"
        raise CheckFailed(
            f"weights {published.tag} hold {what}, and declare {published.num_classes}; declare num_classes={found}."
        )


def _expect_use(published: WeightsSpec, names: list[str]) -> None:
    """Expect that what the weights declare to lack is in the model or in the file."""
    if idle := [prefix for prefix in published.lacks if not any(is_below(name, prefix) for name in names)]:
        raise CheckFailed(
            f"weights {published.tag} are said to lack {idle[0]}, and neither the model nor the file has that; "
            f"{name_likest(idle[0], list_prefixes(names))}."
        )


def _answer(backbone: BackboneUnderTest, published: WeightsSpec) -> tuple[nn.Module, Tensor]:
    """Build the model with these weights; returns it, and its logits of shape (classes,) for the drawn image."""
    torch.manual_seed(0)  # a head that the file lacks is random
    model = build_backbone(backbone.spec, _start(published), Silent()).eval()
    with torch.no_grad():
        logits: Tensor = model(draw_golden_image(input_for(backbone.spec, published.tag).size))
    return model, logits[0]
