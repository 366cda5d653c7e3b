"""Backbones with a wrong declaration, which the kit finds without building them."""

from __future__ import annotations

from dataclasses import replace

from specimens.good import BLOCKS, INPUT, declare_weights
from specimens.register import declared
from zoo.plugin import BlockSpec, InputSpec

declared(
    "name-in-another-namespace",
    {"spec.name": "its name must begin with mutants/"},
    lambda: {"name": "others/net"},
)
declared(
    "invalid-name",
    {"spec.name": "it must be namespace/name"},
    lambda: {"name": "mutants/a net"},
)

declared(
    "params-as-string",
    {"spec.fields": "has params='2k'; it must be"},
    lambda: {"params": "2k"},
)
declared(
    "head-as-string",
    {"spec.fields": "has head='classifier.3'; it must be a nonempty tuple of distinct dotted paths"},
    lambda: {"head": "classifier.3"},
)
declared(
    "upstream-with-an-invalid-range",
    {"spec.fields": "upstream='click~=8' is not a valid range of versions: Invalid specifier"},
    lambda: {"upstream": "click~=8"},
)
declared(
    "duplicate-block-name",
    {"spec.fields": "it must be a tuple of blocks with distinct names"},
    lambda: {"blocks": (*BLOCKS, BlockSpec("stem", ("classifier.3",)))},
)
declared(
    "prefixes-as-string",
    {"spec.fields": "BlockSpec 'stem' has prefixes='stem'"},
    lambda: {"blocks": (BlockSpec("stem", "stem"), *BLOCKS[1:])},  # type: ignore[arg-type]  # the fault
)
declared(
    "duplicate-tags",
    {"spec.fields": "it must be a tuple of weights with distinct tags"},
    lambda: {"weights": (declare_weights(), declare_weights())},
)

declared(
    "mean-of-one-channel",
    {"spec.input": "it must be a tuple of 3 numbers, one per channel"},
    lambda: {"input": InputSpec(size=(3, 16, 16), mean=(0.5,))},
)
declared(
    "mean-for-pixels-up-to-255",
    {"spec.input": "divide them by 255"},
    lambda: {"input": replace(INPUT, mean=(124.0, 116.0, 104.0))},
)
declared(
    "min-size-above-size",
    {"spec.input": "min_size 32 is larger than the input size (3, 16, 16); lower it"},
    lambda: {"input": replace(INPUT, min_size=32)},
)
declared(
    "weights-with-a-wrong-crop",
    {"spec.input": "has crop='middle'; it must be one of center"},
    lambda: {"weights": (declare_weights(input=replace(INPUT, crop="middle")),)},
)

declared(
    "weights-without-url",
    {"spec.weights": "weights V1 have no url; declare one"},
    lambda: {"weights": (declare_weights(url=None),)},
)
declared(
    "weights-missing-from-the-wheel",
    {"spec.weights": "put them into the wheel"},
    lambda: {"weights": (declare_weights("absent.safetensors"),)},
)
declared(
    "weights-outside-the-wheel",
    {"spec.weights": "elsewhere.safetensors, outside the plugin, and are missing on other machines; put them into"},
    lambda: {"weights": (declare_weights("elsewhere.safetensors"),)},
)
declared(
    "pickle-without-digest",
    {"spec.weights": "are a pickle, which zoo reads only with a digest; declare sha256"},
    lambda: {"weights": (declare_weights(url="https://localhost/net.pth"),)},
)
declared(
    "pickle-without-digest-behind-a-query",
    {"spec.weights": "are a pickle, which zoo reads only with a digest; declare sha256"},
    lambda: {"weights": (declare_weights(url="https://localhost/net.PTH?download=1"),)},
)
declared(
    "pickle-in-an-archive-without-digest",
    {"spec.weights": "are a pickle, which zoo reads only with a digest; declare sha256"},
    lambda: {"weights": (declare_weights(url="https://localhost/net.zip", member="net.pth"),)},
)
declared(
    "two-digests",
    {"spec.weights": "it must be None if sha256 is set"},
    lambda: {"weights": (declare_weights(sha256="0" * 64, sha1="0" * 40),)},
)
declared(
    "sha1-that-is-cut-off",
    {"spec.weights": "it must be 40 lowercase hex digits"},
    lambda: {"weights": (declare_weights(sha1="0" * 8),)},
)
declared(
    "member-outside-the-archive",
    {"spec.weights": "has member='../net.pth'; it must be a relative path ending in one of .safetensors, .pth"},
    lambda: {"weights": (declare_weights(url="https://localhost/net.zip", member="../net.pth", md5="0" * 32),)},
)
declared(
    "digest-that-is-not-hex",
    {"spec.weights": "it must be 8 to 64 lowercase hex digits"},
    lambda: {"weights": (declare_weights(sha256="SHA256:1234"),)},
)

declared(
    "license-unknown",
    {"spec.license": "the license of the code is unknown; find out"},
    lambda: {"license": "unknown"},
)
declared(
    "license-in-prose",
    {"spec.license": "the license of the code is 'Apache License 2.0'; write its SPDX identifier"},
    lambda: {"license": "Apache License 2.0"},
)
declared(
    "license-of-weights-in-prose",
    {"spec.license": "the license of weights V1 is 'see README'; write its SPDX identifier"},
    lambda: {"weights": (declare_weights(license="see README"),)},
)

declared(
    "unknown-capability",
    {"spec.capabilities": "has supports=('flying',); it must be a tuple of distinct values from image_sizes"},
    lambda: {"supports": ("flying",)},
)
declared(
    "capability-both-supported-and-unsupported",
    {"spec.capabilities": "without bf16, because unsupported also contains it"},
    lambda: {"supports": ("bf16",), "unsupported": {"bf16": "it overflows"}},
)
declared(
    "channels-without-a-first-convolution",
    {"spec.capabilities": "a tuple without channels, because first_conv is None"},
    lambda: {"supports": ("channels",)},
)
declared(
    "first-convolution-that-is-no-path",
    {"spec.capabilities": "has first_conv=(); it must be a dotted path"},
    lambda: {"first_conv": ()},
)
declared(
    "expected-failure-of-an-unknown-check",
    {"spec.capabilities": "expected_failures contains unknown backbone checks: head.fund; correct or remove them"},
    lambda: {"expected_failures": {"head.fund": "upstream's own"}},
)

declared(
    "expected-failure-that-passes",
    {"head.found": "it is declared to fail (upstream's own) but passes; remove the entry"},
    lambda: {"expected_failures": {"head.found": "upstream's own"}},
)

declared(
    "preprocessing-without-a-tag",
    {"spec.fields": "its preprocessing is called with (tag), but takes ()"},
    lambda: {"preprocessing": lambda: None},
)
declared(
    "unused-as-a-function-of-nothing",
    {"spec.fields": "its unused is called with (model), but takes ()"},
    lambda: {"unused": lambda: ("stem",)},
)
declared(
    "convert-without-a-tag",
    {"spec.fields": "its convert is called with (tag, tensors), but takes (tensors)"},
    lambda: {"convert": lambda tensors: tensors},
)
declared(
    "unsupported-as-none",
    {"spec.capabilities": "has unsupported=None; it must be a mapping"},
    lambda: {"unsupported": None},
)
declared(
    "builder-that-takes-num-classes",
    {"spec.fields": "its build is called with (tag), but takes (tag, num_classes)"},
    lambda: {"build": lambda tag, num_classes: None},  # noqa: ARG005  # the fault
)
declared(
    "function-of-nothing-for-blocks",
    {"spec.fields": "its blocks is called with (model), but takes ()"},
    lambda: {"blocks": lambda: BLOCKS},
)

declared(
    "size-with-the-channels-last",
    {"spec.input": "size (16, 16, 3) has the channels last; write (channels, height, width)"},
    lambda: {"input": replace(INPUT, size=(16, 16, 3))},
)
declared(
    "weights-at-a-web-page",
    {"spec.weights": "weights V1 have the url of a web page, https://github.com/acme/nets/blob/main/net.safetensors"},
    lambda: {"weights": (declare_weights(url="https://github.com/acme/nets/blob/main/net.safetensors"),)},
)
