"""Backbones whose published weights are not what was declared."""

from __future__ import annotations

from specimens.good import LOGITS, declare_weights
from specimens.register import declared

declared(
    "digest-of-another-file",
    {"weights.fetched": "is damaged or another file: its SHA-256 is"},
    lambda: {"weights": (declare_weights(sha256="0" * 64),)},
)
declared(
    "weights-of-another-shape",
    {"weights.fit": "weights V1 does not fit: it has other shapes: layer1.0.weight is (8, 9, 3, 3), not"},
    lambda: {"weights": (declare_weights("wide.safetensors"),)},
)
declared(
    "weights-of-less",
    {"weights.fit": "it lacks layer2.0.bias. Mend url, build, convert, or what the weights are said to lack"},
    lambda: {"weights": (declare_weights("short.safetensors"),)},
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
