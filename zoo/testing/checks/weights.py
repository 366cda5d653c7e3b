"""Checks of published weights, which need network access unless the weights are in the plugin."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping

import torch
from torch import Tensor, nn

from zoo.errors import DownloadError, WeightsError
from zoo.files.download import is_offline
from zoo.models.build import build_backbone, build_model
from zoo.models.head import get_head, is_below, is_below_any
from zoo.models.weights.choose import WeightsSource, input_for
from zoo.models.weights.load import load_tensors, read_initial_tensors
from zoo.plugin import WeightsSpec
from zoo.progress import Silent
from zoo.testing.backbone_under_test import BackboneUnderTest
from zoo.testing.checks.forward import are_close
from zoo.testing.results.result import CannotCheck, CheckFailed, NotApplicable
from zoo.testing.suggestions import list_prefixes, shorten, suggest

GOLDEN_TOLERANCE = 1e-3
#: Advice for users in errors about a file that zoo cannot fetch or read; the plugin's author needs different advice.
USERS_ADVICE = re.compile(r"\. [^.]*, or save the file yourself as .*|; [^;]*$|\. (?:Convert|Download) .*|\.$")


def fetched(backbone: BackboneUnderTest) -> None:
    """Fetch all weights into the cache, and compare the pinned digests."""
    for published in _list_weights(backbone):
        try:
            read_initial_tensors(_get_source(published), Silent())
        except WeightsError as error:
            if isinstance(error, DownloadError) and is_offline():
                raise CannotCheck(f"ZOO_OFFLINE is set, and weights {published.tag} are not on this machine") from error
            fault = USERS_ADVICE.sub("", str(error))
            raise CheckFailed(f"weights {published.tag}: {fault}; fix url or sha256, or the file.") from error


def fit(backbone: BackboneUnderTest) -> None:
    """Load all weights with zoo's own loader, which is strict."""
    for published in _list_weights(backbone):
        tensors = read_initial_tensors(_get_source(published), Silent())
        model = build_model(backbone.spec, published.tag)
        built, known = _copy_head(backbone, model), model.state_dict().keys()
        try:
            load_tensors(backbone.spec, model, _get_source(published), tensors)
        except WeightsError as error:
            fault = str(error).removesuffix(". Report this to the author of its plugin.")
            names = _convert_names(backbone, published, tensors, known)
            unknown = [name for name in names if not is_below_any(name, (*known, *published.lacks))]
            # A missing tensor is usually in the file under a different name.
            more = f", and has the unknown tensors {shorten(unknown)}" if unknown and "it lacks" in fault else ""
            raise CheckFailed(f"weights {fault}{more}; fix url, build, convert, or the declared lacks.") from error
        names = _convert_names(backbone, published, tensors, known)
        _expect_classes(published, built, _copy_head(backbone, model))
        _expect_use(published, [*model.state_dict(), *tensors, *names])


def _convert_names(
    backbone: BackboneUnderTest, published: WeightsSpec, tensors: Mapping[str, Tensor], known: Container[str]
) -> list[str]:
    """Return the names of the tensors in a file as the plugin converts them; their own names if it cannot."""
    convert = backbone.spec.convert
    if convert is None or all(name in known for name in tensors):
        return [*tensors]
    try:
        return [*convert(published.tag, tensors)]
    except WeightsError:  # The tensors belong to a different backbone, and load_tensors names them.
        return [*tensors]


def finite(backbone: BackboneUnderTest) -> None:
    """Load the weights of each tag, and run the model on the generated image."""
    for published in _list_weights(backbone):
        model, logits = _predict(backbone, published)
        odd = [name for name, tensor in model.state_dict().items() if not torch.isfinite(tensor).all()]
        if odd or not logits.isfinite().all():
            where = ", ".join(odd[:3]) or "the logits"
            raise CheckFailed(f"weights {published.tag} are not finite in {where}; leave them out, or fix convert.")


def golden(backbone: BackboneUnderTest) -> None:
    """Compare the first logits of each tag; if a tag declares none, report the ones to declare."""
    undeclared = [published for published in _list_weights(backbone) if not published.logits]
    for published in backbone.spec.weights:
        if published.logits:
            _expect_logits(backbone, published)
    if undeclared:
        tags = ", ".join(published.tag for published in undeclared)
        found = tuple(round(value, 4) for value in _predict(backbone, undeclared[0])[1][:4].tolist())
        raise NotApplicable(f"it declares no logits for {tags}; the logits of {undeclared[0].tag} are {found}")


def _expect_logits(backbone: BackboneUnderTest, published: WeightsSpec) -> None:
    wanted = torch.tensor(published.logits)
    found = _predict(backbone, published)[1][: len(wanted)]
    if found.shape != wanted.shape or not are_close(found, wanted, GOLDEN_TOLERANCE):
        shown = [round(value, 4) for value in found.tolist()]
        raise CheckFailed(
            f"weights {published.tag} output {shown}, not {list(published.logits)}; "
            "the file is not the intended one, or build or convert has changed."
        )


def generate_golden_image(size: tuple[int, int, int]) -> Tensor:
    """Generate an image of waves, of shape (1, C, H, W).

    It contains no random numbers, because they differ between versions of torch.
    """
    channels, height, width = size
    rows = torch.linspace(0, 12, height, dtype=torch.float64)[:, None]
    columns = torch.linspace(0, 9, width, dtype=torch.float64)
    return torch.stack([(rows + columns * (channel + 1)).sin() for channel in range(channels)])[None].float()


def _list_weights(backbone: BackboneUnderTest) -> Iterator[WeightsSpec]:
    if not backbone.spec.weights:
        raise NotApplicable("it publishes no weights")
    yield from backbone.spec.weights


def _get_source(published: WeightsSpec) -> WeightsSource:
    return WeightsSource(published.tag, published.tag, weights=published)


def _copy_head(backbone: BackboneUnderTest, model: nn.Module) -> Tensor:
    """Return a copy of the first head's weight, of shape (num_classes, ...)."""
    return model.get_parameter(f"{get_head(backbone.spec, model).paths[0]}.weight").detach().clone()


def _expect_classes(published: WeightsSpec, built: Tensor, loaded: Tensor) -> None:
    """Compare the head with the declared num_classes. If loading did not change the head, the file has no head."""
    found = None if torch.equal(built, loaded) else len(loaded)
    if published.num_classes not in (None, found):
        what = "no head" if found is None else f"a head of {found} classes"
        raise CheckFailed(
            f"weights {published.tag} contain {what}, but declare {published.num_classes}; declare num_classes={found}."
        )


def _expect_use(published: WeightsSpec, names: list[str]) -> None:
    """Raise CheckFailed if neither the model nor the file has what the weights list in ``lacks``."""
    if unused := [prefix for prefix in published.lacks if not any(is_below(name, prefix) for name in names)]:
        raise CheckFailed(
            f"weights {published.tag} list {unused[0]} in lacks, but neither the model nor the file has it; "
            f"{suggest(unused[0], list_prefixes(names))}."
        )


def _predict(backbone: BackboneUnderTest, published: WeightsSpec) -> tuple[nn.Module, Tensor]:
    """Return the model with these weights, and its logits for the generated image, of shape (num_classes,)."""
    torch.manual_seed(0)  # A head that the file lacks is random.
    model, _ = build_backbone(backbone.spec, _get_source(published), Silent())
    with torch.no_grad():
        logits: Tensor = model.eval()(generate_golden_image(input_for(backbone.spec, published.tag).size))
    return model, logits[0]
