"""Backbones whose published weights are not as declared."""

from __future__ import annotations

from typing import Any

from specimens.good import LOGITS, declare_weights
from specimens.register import declared

declared(
    "digest-of-a-different-file",
    {"weights.fetched": f", not {'0' * 64}; fix url, member, the digest or the file"},
    lambda: {"weights": (declare_weights(sha256="0" * 64),)},
)
declared(
    "weak-digest-of-a-different-file",
    {"weights.fetched": f", not {'0' * 40}; fix url, member, the digest or the file"},
    lambda: {"weights": (declare_weights(sha1="0" * 40),)},
)
declared(
    "member-that-the-archive-lacks",
    {"weights.fetched": "cannot read 'net.safetensors' from the archive good.zip: it has no such member, only"},
    lambda: {"weights": (declare_weights("good.zip", member="net.safetensors"),)},
)


def convert(tag: str, tensors: Any, model: Any) -> Any:
    """Rename the tensors of the file as the good plugin does."""
    assert tag == "V1"
    known = model.state_dict()
    return {name if name in known else "stem.0.weight": tensor for name, tensor in tensors.items()}


def convert_with_a_print(tag: str, tensors: Any, model: Any) -> Any:
    print("renaming")  # noqa: T201  # the fault
    return convert(tag, tensors, model)


def convert_in_place(tag: str, tensors: Any, model: Any) -> Any:
    model.stem[0].weight.zero_()
    return convert(tag, tensors, model)


def convert_by_filling(_tag: str, tensors: Any, model: Any) -> Any:
    return {**model.state_dict(), **{name: tensor for name, tensor in tensors.items() if name != "conv1.weight"}}


def convert_and_fail(_tag: str, _tensors: Any) -> Any:
    raise KeyError("stem")


def convert_to_names(_tag: str, tensors: Any) -> Any:
    return list(tensors)


def convert_to_unknown_names(_tag: str, tensors: Any) -> Any:
    return {f"net.{name}": tensor for name, tensor in tensors.items()}


def declare_converted(function: Any) -> dict[str, Any]:
    return {"weights": (declare_weights("renamed.safetensors"),), "convert": function}


declared(
    "convert-that-prints",
    {"weights.converted": "weights_mutants.py:34) prints 'renaming'; it must only rename and reshape tensors"},
    lambda: declare_converted(convert_with_a_print),
)
declared(
    "convert-that-changes-the-model",
    {"weights.converted": ") changes the model: stem.0.weight (1 in all); return new tensors instead"},
    lambda: declare_converted(convert_in_place),
)
declared(
    "convert-that-returns-the-model-s-tensors",
    {"weights.converted": "returns the model's own random values for stem.0.weight (1 in all); return only"},
    lambda: declare_converted(convert_by_filling),
)
declared(
    "convert-that-raises",
    {"weights.converted": "cannot convert the tensors of V1: KeyError: 'stem' ("},
    lambda: declare_converted(convert_and_fail),
)
declared(
    "convert-that-returns-a-list",
    {"weights.converted": "must return a mapping from names to tensors"},
    lambda: declare_converted(convert_to_names),
)
declared(
    "convert-to-names-that-the-model-lacks",
    {"weights.fit": "and has the unknown tensors net."},
    lambda: declare_converted(convert_to_unknown_names),
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
