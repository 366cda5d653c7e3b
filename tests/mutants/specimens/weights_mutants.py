"""Backbones whose published weights are not what was declared."""

from __future__ import annotations

from specimens.good import declare_weights
from specimens.register import declared

declared(
    "digest-of-another-file",
    {"weights.fetched": "is damaged or another file: its SHA-256 is"},
    lambda: {"weights": (declare_weights(sha256="0" * 64),)},
)
declared(
    "weights-of-another-shape",
    {"weights.fit": "it has other shapes: layer1.0.weight is"},
    lambda: {"weights": (declare_weights("wide.safetensors"),)},
)
declared(
    "weights-of-less",
    {"weights.fit": "it lacks layer2.0.bias"},
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
    {"weights.golden": "not [1.0, 2.0]"},
    lambda: {"weights": (declare_weights(logits=(1.0, 2.0)),)},
)
