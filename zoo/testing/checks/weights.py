"""Checks of published weights, which need network access unless the weights are in the plugin."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from zoo.errors import DownloadError, WeightsError
from zoo.files.download import is_offline, is_outage
from zoo.models.build import build_backbone, build_model
from zoo.models.head import get_head, is_below, is_below_any
from zoo.models.weights.choose import WeightsSource, input_for
from zoo.models.weights.converting import convert_tensors, needs_conversion
from zoo.models.weights.load import load_tensors, read_initial_tensors
from zoo.plugin import WeightsSpec
from zoo.progress import Silent
from zoo.registry.plugins.place import find_definition
from zoo.testing.backbone_under_test import BackboneUnderTest
from zoo.testing.checks.forward import are_close
from zoo.testing.isolation.side_effects import watch_side_effects
from zoo.testing.passes import recorded_inputs
from zoo.testing.results.result import CannotCheck, CheckFailed, NotApplicable
from zoo.testing.suggestions import list_prefixes, shorten, suggest

GOLDEN_TOLERANCE = 1e-3
#: Advice for users in errors about a file that zoo cannot fetch or read; the plugin's author needs different advice.
USERS_ADVICE = re.compile(r"\. [^.]*, or save the file yourself as .*|; [^;]*$|\. (?:Convert|Download) .*|\.$")


def fetched(backbone: BackboneUnderTest) -> None:
    """Fetch all weights into the cache, and compare the pinned digests.

    Weights whose server cannot be reached do not hide a fault of other weights.
    """
    lacking = [lack for published in _list_weights(backbone) if (lack := _fetch(published))]
    if lacking:
        more = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
        raise CannotCheck(f"{lacking[0]}{more}")


def _fetch(published: WeightsSpec) -> str | None:
    """Fetch weights; return why that is not possible at the moment, or None if they are on this machine."""
    try:
        read_initial_tensors(_get_source(published), Silent())
    except WeightsError as error:
        if isinstance(error, DownloadError) and is_offline():
            return f"ZOO_OFFLINE is set, and weights {published.tag} are not on this machine"
        fault = USERS_ADVICE.sub("", str(error))
        if isinstance(error, DownloadError) and is_outage(error):
            return f"weights {published.tag} are not on this machine: {fault}"
        raise CheckFailed(f"weights {published.tag}: {fault}; fix url, member, the digest or the file.") from error
    return None


def converted(backbone: BackboneUnderTest) -> None:
    """Convert the tensors of each file that needs it, and compare the model before and after."""
    spec, function, count = backbone.spec, backbone.spec.convert, 0
    if function is None:
        raise NotApplicable("it declares no convert")
    place = find_definition(function)
    for published in _list_weights(backbone):
        source, model = _get_source(published), build_model(spec, published.tag)
        tensors = read_initial_tensors(source, Silent())
        if not needs_conversion(spec, model, source, tensors):
            continue
        count += 1
        before = _describe_state(model)
        with watch_side_effects(first=True) as effects:
            try:
                found = convert_tensors(spec, model, source, tensors)
            except WeightsError as error:
                raise CheckFailed(f"convert(){place} refuses the file of weights {published.tag}: {error}.") from error
        traces = [*effects.traces, *(f"connects to {address}" for address in effects.connections[:1])]
        if traces:
            raise CheckFailed(f"convert(){place} {' and '.join(traces)}; it must only rename and reshape tensors.")
        if odd := sorted(name for name, state in _describe_state(model).items() if before.get(name) != state):
            raise CheckFailed(f"convert(){place} changes the model: {shorten(odd)}; return new tensors instead.")
        _refuse_own_tensors(model, found, f"convert(){place}")
    if not count:
        raise NotApplicable("the tensors of all weights have the model's own names")


def _describe_state(model: nn.Module) -> dict[str, tuple[object, ...]]:
    """Return what must not change, keyed by the names of tensors and modules."""
    modules = {f"module {name}": (id(module), module.training) for name, module in model.named_modules()}
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    values = {name: (id(tensor), tensor.requires_grad, _digest(tensor)) for name, tensor in tensors.items()}
    return {**modules, **values}


def _digest(tensor: Tensor) -> str:
    values = tensor.detach().contiguous().reshape(-1)
    return hashlib.sha256(values.view(torch.uint8).numpy().data if values.numel() else b"").hexdigest()


def _refuse_own_tensors(model: nn.Module, found: Mapping[str, Tensor], where: str) -> None:
    """Raise CheckFailed if random values of the model are returned, which would hide that the file lacks them."""
    own = {tensor.data_ptr() for tensor in model.state_dict().values()} - {0}
    if taken := sorted(name for name, tensor in found.items() if tensor.data_ptr() in own):
        raise CheckFailed(
            f"{where} returns the model's own random values for {shorten(taken)}; return only tensors of the file, and "
            "declare the missing ones in `lacks`."
        )


def fit(backbone: BackboneUnderTest) -> None:
    """Load all weights with zoo's own loader, which is strict."""
    for published in _list_weights(backbone):
        tensors = read_initial_tensors(_get_source(published), Silent())
        model, source = build_model(backbone.spec, published.tag), _get_source(published)
        built, known = _copy_head(backbone, model), model.state_dict().keys()
        names = _convert_names(backbone, model, source, tensors)
        try:
            load_tensors(backbone.spec, model, source, tensors)
        except WeightsError as error:
            fault = str(error).removesuffix(". Report this to the author of its plugin.")
            unknown = [name for name in names if not is_below_any(name, (*known, *published.lacks))]
            # A missing tensor is usually in the file under a different name.
            more = f", and has the unknown tensors {shorten(unknown)}" if unknown and "it lacks" in fault else ""
            raise CheckFailed(f"weights {fault}{more}; fix url, build, convert, or the declared lacks.") from error
        _expect_classes(published, built, _copy_head(backbone, model))
        _expect_use(published, [*model.state_dict(), *tensors, *names])


def _convert_names(
    backbone: BackboneUnderTest, model: nn.Module, source: WeightsSource, tensors: Mapping[str, Tensor]
) -> list[str]:
    """Return the names of the tensors in a file as the plugin converts them; their own names if it cannot."""
    if not needs_conversion(backbone.spec, model, source, tensors):
        return [*tensors]
    try:
        return [*convert_tensors(backbone.spec, model, source, tensors)]
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
        tags, first = ", ".join(published.tag for published in undeclared), undeclared[0].tag
        found = tuple(round(value, 4) for value in _predict(backbone, undeclared[0])[1][:4].tolist())
        if backbone.spec.features is None:
            raise NotApplicable(f"it declares no logits for {tags}; the logits of {first} are {found}")
        raise NotApplicable(
            f"it declares no logits for {tags}; without a head, these are features, and those of {first} are {found}"
        )


def _expect_logits(backbone: BackboneUnderTest, published: WeightsSpec) -> None:
    wanted = torch.tensor(published.logits)
    found = _predict(backbone, published)[1][: len(wanted)]
    if found.shape != wanted.shape or not are_close(found, wanted, GOLDEN_TOLERANCE):
        shown = [round(value, 4) for value in found.tolist()]
        what = "" if backbone.spec.features is None else "the features "
        raise CheckFailed(
            f"weights {published.tag} output {what}{shown}, not {list(published.logits)}; "
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
    """Return the model with these weights, and its logits for the generated image, of shape (num_classes,).

    For a model to which zoo adds a head, the features are returned instead, of shape (features,).
    """
    torch.manual_seed(0)  # A head that the file lacks is random.
    model, _ = build_backbone(backbone.spec, _get_source(published), Silent())
    image, added = generate_golden_image(input_for(backbone.spec, published.tag).size), backbone.list_added()
    with torch.no_grad(), recorded_inputs(model, added) as inputs:
        logits: Tensor = model.eval()(image)
    return model, (inputs[added[0]][0] if added else logits)[0]
