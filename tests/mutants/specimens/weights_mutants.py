"""Backbones whose published weights are not as declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specimens.good import LOGITS, declare_weights
from specimens.register import declared

if TYPE_CHECKING:
    from torch import Tensor

declared(
    "digest-of-a-different-file",
    {"weights.fetched": f", not {'0' * 64}; fix url or sha256, or the file"},
    lambda: {"weights": (declare_weights(sha256="0" * 64),)},
)
declared(
    "weights-of-a-different-shape",
    {"weights.fit": "weights V1 does not match the backbone: it has different shapes: layer1.0.weight is (8, 9, 3,"},
    lambda: {"weights": (declare_weights("wide.safetensors"),)},
)
declared(
    "weights-with-a-missing-tensor",
    {"weights.fit": "it lacks layer2.0.bias; fix url, build, convert, or the declared lacks"},
    lambda: {"weights": (declare_weights("short.safetensors"),)},
)
declared(
    "weights-under-a-different-name",
    {"weights.fit": "it lacks stem.0.weight, and has the unknown tensors conv1.weight (1 in all); fix url"},
    lambda: {"weights": (declare_weights("renamed.safetensors"),)},
)
declared(
    "weights-with-a-different-number-of-classes",
    {"weights.fit": "weights V1 contain a head of 10 classes, but declare 1000; declare num_classes=10"},
    lambda: {"weights": (declare_weights(num_classes=1000),)},
)
declared(
    "weights-without-a-head",
    {"weights.fit": "weights V1 contain no head, but declare 10; declare num_classes=None"},
    lambda: {"weights": (declare_weights("headless.safetensors"),)},
)
declared(
    "weights-that-lack-an-unknown-layer",
    {"weights.fit": "list layer7 in lacks, but neither the model nor the file has it; similar names: layer2, layer1"},
    lambda: {"weights": (declare_weights(lacks=("layer7",)),)},
)
declared(
    "weights-with-nan",
    {"weights.fit": "it has non-finite values in classifier.0.bias"},
    lambda: {"weights": (declare_weights("nan.safetensors"),)},
)
declared(
    "weights-that-overflow",
    {"weights.finite": "weights V1 are not finite in the logits"},
    lambda: {"weights": (declare_weights("huge.safetensors"),)},
)
declared(
    "logits-of-other-weights",
    {"weights.golden": "weights V1 output [4.2089, 2.3882], not [1.0, 2.0]; the file is not the intended one"},
    lambda: {"weights": (declare_weights(logits=(1.0, 2.0)),)},
)
declared(
    "logits-of-too-many-classes",
    {"weights.golden": "the file is not the intended one, or build or convert has changed"},
    lambda: {"weights": (declare_weights(logits=(*LOGITS, *range(10))),)},
)
declared(
    "wrong-logits-of-the-second-tag",
    {"weights.golden": "weights V2 output [4.2089, 2.3882], not [1.0, 2.0]"},
    lambda: {"weights": (declare_weights(), declare_weights(tag="V2", logits=(1.0, 2.0)))},
)


def convert_by_number(_tag: str, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    return {name.replace("conv1", ["stem"][len("x")]): tensor for name, tensor in tensors.items()}


declared(
    "convert-that-raises",
    {"weights.fit": "cannot convert the tensors of V1: IndexError: list index out of range ("},
    lambda: {"weights": (declare_weights("renamed.safetensors"),), "convert": convert_by_number},
)
declared(
    "convert-that-returns-nothing",
    {"weights.fit": "must return a mapping from names to tensors"},
    lambda: {"weights": (declare_weights("renamed.safetensors"),), "convert": lambda _tag, _tensors: None},
)
