"""Backbones whose published weights are not what was declared."""

from __future__ import annotations

from specimens.good import LOGITS, declare_weights
from specimens.register import declared

declared(
    "digest-of-another-file",
    {"weights.fetched": f", not {'0' * 64}; mend url or sha256, or what lies there"},
    lambda: {"weights": (declare_weights(sha256="0" * 64),)},
)
declared(
    "weights-of-another-shape",
    {"weights.fit": "weights V1 does not fit: it has other shapes: layer1.0.weight is (8, 9, 3, 3), not"},
    lambda: {"weights": (declare_weights("wide.safetensors"),)},
)
declared(
    "weights-of-less",
    {"weights.fit": "it lacks layer2.0.bias; mend url, build, convert, or what the weights are said to lack"},
    lambda: {"weights": (declare_weights("short.safetensors"),)},
)
declared(
    "weights-under-another-name",
    {"weights.fit": "it lacks stem.0.weight, and has unknown conv1.weight (1 in all); mend url, build, convert"},
    lambda: {"weights": (declare_weights("renamed.safetensors"),)},
)
declared(
    "weights-of-other-classes",
    {"weights.fit": "weights V1 hold a head of 10 classes, and declare 1000; declare num_classes=10"},
    lambda: {"weights": (declare_weights(num_classes=1000),)},
)
declared(
    "weights-without-their-head",
    {"weights.fit": "weights V1 hold no head, and declare 10; declare num_classes=None"},
    lambda: {"weights": (declare_weights("headless.safetensors"),)},
)
declared(
    "weights-lack-what-is-nowhere",
    {"weights.fit": "said to lack layer7, and neither the model nor the file has that; there are layer2, layer1"},
    lambda: {"weights": (declare_weights(lacks=("layer7",)),)},
)
declared(
    "weights-that-are-no-numbers",
    {"weights.fit": "it is not finite in classifier.0.bias"},
    lambda: {"weights": (declare_weights("nan.safetensors"),)},
)
declared(
    "weights-that-overflow",
    {"weights.finite": "weights V1 are not finite in the logits"},
    lambda: {"weights": (declare_weights("huge.safetensors"),)},
)
declared(
    "logits-of-other-weights",
    {"weights.golden": "weights V1 give [4.2089, 2.3882], not [1.0, 2.0]; they are others than were meant"},
    lambda: {"weights": (declare_weights(logits=(1.0, 2.0)),)},
)
declared(
    "logits-of-more-classes",
    {"weights.golden": "they are others than were meant, or build or convert has changed"},
    lambda: {"weights": (declare_weights(logits=(*LOGITS, *range(10))),)},
)
declared(
    "logits-of-the-second-tag-are-others",
    {"weights.golden": "weights V2 give [4.2089, 2.3882], not [1.0, 2.0]"},
    lambda: {"weights": (declare_weights(), declare_weights(tag="V2", logits=(1.0, 2.0)))},
)
