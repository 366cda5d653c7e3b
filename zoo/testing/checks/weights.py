"""Promises of published weights; these need a network, or weights that lie in the plugin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from zoo.backbone import build_backbone
from zoo.errors import WeightsError
from zoo.progress import Silent
from zoo.start import Start, input_for, read_start
from zoo.testing.checks.forward import are_close
from zoo.testing.results import CheckFailed, NotApplicable

if TYPE_CHECKING:
    from zoo.plugin import WeightsSpec
    from zoo.testing.subject import Subject

GOLDEN_TOLERANCE = 1e-3


def fetched(subject: Subject) -> None:
    """Into the cache; a digest is compared where one is pinned."""
    for published in _list_weights(subject):
        try:
            read_start(_start(published), Silent())
        except WeightsError as error:
            raise CheckFailed(f"weights {published.tag}: {error}") from error


def fit(subject: Subject) -> None:
    """By zoo's own loading, which is strict."""
    for published in _list_weights(subject):
        try:
            build_backbone(subject.backbone, _start(published), Silent())
        except WeightsError as error:
            said = str(error).removesuffix(" Tell its plugin.")
            raise CheckFailed(
                f"weights {said} Mend url, build, convert, or what the weights are said to lack."
            ) from error


def finite(subject: Subject) -> None:
    """Of each tag, on the image that the kit draws."""
    for published in _list_weights(subject):
        model, logits = _answer(subject, published)
        odd = [name for name, tensor in model.state_dict().items() if not torch.isfinite(tensor).all()]
        if odd or not logits.isfinite().all():
            where = ", ".join(odd[:3]) or "the logits"
            raise CheckFailed(f"weights {published.tag} are not finite in {where}; leave them out, or mend convert.")


def golden(subject: Subject) -> None:
    """The first logits, of each tag that declares them."""
    declared = [published for published in _list_weights(subject) if published.logits]
    if not declared:
        published = subject.backbone.weights[0]
        found = tuple(round(value, 4) for value in _answer(subject, published)[1][:4].tolist())
        raise NotApplicable(f"it declares no logits; those of {published.tag} are {found}")
    for published in declared:
        wanted = torch.tensor(published.logits)
        found_logits = _answer(subject, published)[1][: len(wanted)]
        if found_logits.shape != wanted.shape or not are_close(found_logits, wanted, GOLDEN_TOLERANCE):
            shown = [round(value, 4) for value in found_logits.tolist()]
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


def _list_weights(subject: Subject) -> Iterator[WeightsSpec]:
    if not subject.backbone.weights:
        raise NotApplicable("it publishes no weights")
    yield from subject.backbone.weights


def _start(published: WeightsSpec) -> Start:
    return Start(published.tag, published.tag, weights=published)


def _answer(subject: Subject, published: WeightsSpec) -> tuple[nn.Module, Tensor]:
    """Build the model with these weights; returns it, and its logits of shape (classes,) for the drawn image."""
    torch.manual_seed(0)  # a head that the file lacks is random
    model = build_backbone(subject.backbone, _start(published), Silent()).eval()
    with torch.no_grad():
        logits: Tensor = model(draw_golden_image(input_for(subject.backbone, published.tag).size))
    return model, logits[0]
