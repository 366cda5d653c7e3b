"""Backbones that do too much while they are built, or are not what was declared."""

from __future__ import annotations

import os
import random
import socket
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from specimens.good import INPUT, declare_tokens, declare_weights
from specimens.register import built, declared

if TYPE_CHECKING:
    from torch import nn


@built({"build.offline": "building connects to ('localhost', 9); weights come in by their WeightsSpec"})
def connects(_model: Any, _torch: Any) -> None:
    with suppress(OSError):
        socket.create_connection(("localhost", 9))


@built({"build.offline": "building connects to weights.localhost"})
def asks_for_an_address(_model: Any, _torch: Any) -> None:
    socket.getaddrinfo("weights.localhost", 80)


@built({"build.offline": "building connects to ('localhost', 9)"})
def connects_by_name(_model: Any, _torch: Any) -> None:
    with suppress(OSError):
        socket.create_connection(address=("localhost", 9))


@built({"build.offline": "building connects to ('localhost', 9)"})
def connects_without_an_error(_model: Any, _torch: Any) -> None:
    with socket.socket() as connection, suppress(OSError):
        connection.connect_ex(("localhost", 9))


@built({"build.meta": "cannot be built: ValueError: no such depth; mend it"})
def raises(_model: Any, _torch: Any) -> None:
    raise ValueError("no such depth")


@built({"build.meta": "do not read values of tensors: here, on the meta device, they have none"})
def reads_values(model: Any, _torch: Any) -> None:
    assert model.stem[0].weight.mean().item() < 1


@built({"build.meta": "its build returns a OrderedDict, no module"})
def is_no_module(model: Any, _torch: Any) -> nn.Module:
    return model.state_dict()  # type: ignore[no-any-return]  # the fault


KEPT: dict[str, Any] = {}


@built({"build.meta": "building returns the same model object every time; make a new one each time"})
def is_built_once(model: Any, _torch: Any) -> nn.Module:
    return KEPT.setdefault("model", model)  # type: ignore[no-any-return]  # a model


@built({"build.meta": "two builds share layer1.0.weight, layer1.0.bias, layer1.1.weight (4 in all); make all"})
def shares_a_stage(model: Any, _torch: Any) -> None:
    model.layer1 = KEPT.setdefault("layer1", model.layer1)


@built({"build.clean": "building prints 'ready'; leave that to whoever calls it"})
def prints(model: Any, _torch: Any) -> None:
    if model.stem[0].weight.is_meta:  # elsewhere nobody listens, and it would stand among the answers of the tests
        print("ready")  # noqa: T201  # the fault


@built({"build.clean": "building changes os.environ"})
def changes_the_environment(_model: Any, _torch: Any) -> None:
    os.environ["OMP_NUM_THREADS"] = "7"


@built({"build.clean": "building changes the state of Python's random numbers"})
def seeds_python(_model: Any, _torch: Any) -> None:
    random.seed(4)


@built({"build.clean": "building changes torch's seed"})
def seeds_torch(_model: Any, torch: Any) -> None:
    torch.manual_seed(4)


@built({"build.clean": "building changes cudnn's benchmarking from False to True"})
def tunes_cudnn(_model: Any, torch: Any) -> None:
    torch.backends.cudnn.benchmark = True


@built({"build.clean": "building changes the number of running threads from"})
def starts_threads(_model: Any, _torch: Any) -> None:
    threading.Thread(target=threading.Event().wait, args=(1,), daemon=True).start()


declared(
    "params-miscounted",
    {"build.params": "params is 2,375, and the model has 2,374; declare 2374"},
    lambda: {"params": 2375},
)


declared(
    "tag-of-larger-images",
    {"build.weights": "as built for V2 it cannot take (3, 32, 32): "},
    lambda: {"weights": (declare_weights(tag="V2", input=replace(INPUT, size=(3, 32, 32))),)},
    of=declare_tokens,
)


def build_with_a_call(tag: str | None) -> nn.Module:
    from specimens.networks import ConvNet

    if tag is not None:
        with suppress(OSError):
            socket.create_connection(("localhost", 9))
    return ConvNet(10)


declared(
    "tag-that-is-fetched",
    {"build.weights": "building for V1 connects to ('localhost', 9); leave that to zoo"},
    lambda: {"build": build_with_a_call, "weights": (declare_weights(),)},
)


def build_for(tag: str | None) -> nn.Module:
    from specimens.networks import ConvNet

    return ConvNet({None: 10, "V1": 20}[tag])


declared(
    "tag-of-more-classes",
    {"build.weights": "as built for V1 it gives (2, 20), not (2, 10); let build(tag) give its head num_classes"},
    lambda: {"build": build_for, "weights": (declare_weights(),)},
)
declared(
    "tag-not-known-to-build",
    {"build.weights": "cannot be built: KeyError: 'V2'"},
    lambda: {"build": build_for, "weights": (declare_weights(tag="V2"),)},
)

declared(
    "constructor-of-another-network",
    {"build.upstream": "builds another network: aux.2.bias, aux.2.weight (2 in all) differ; mend it"},
    lambda: {"constructor": "specimens.networks.AuxNet(num_classes={num_classes})"},
)
declared(
    "constructor-without-classes",
    {"build.upstream": "another network: classifier.3.bias, classifier.3.weight (2 in all) differ; mend"},
    lambda: {"constructor": "specimens.networks.ConvNet(num_classes=10)"},
)
declared(
    "constructor-that-is-gone",
    {"build.upstream": "raises AttributeError: module 'specimens.networks' has no attribute 'OldNet'"},
    lambda: {"constructor": "specimens.networks.OldNet({num_classes})"},
)


@built({"build.repeatable": "differ in classifier.3.bias (1 in all); draw from torch's generator only"})
def draws_elsewhere(model: Any, torch: Any) -> None:
    torch.nn.init.constant_(model.classifier[3].bias, random.SystemRandom().random())
