"""Valid and invalid values of each field of a spec."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from zoo.plugin import BackboneSpec, BlockSpec, DatasetSpec, InputSpec, SourceSpec, WeightsSpec
from zoo.plugin.capabilities import CAPABILITIES, EXPECTED
from zoo.plugin.weights_spec import FILE_SUFFIXES, NO_TAGS

WEIGHTS = WeightsSpec(tag="V1", url=None, license="MIT")

BLOCK = BlockSpec("stem", ("conv1", "bn1"))

#: The smallest set of fields of a valid spec.
GOOD: dict[type, dict[str, Any]] = {
    InputSpec: {},
    WeightsSpec: {"tag": "V1", "url": "https://example.org/w.pth", "license": "MIT"},
    BlockSpec: {"name": "stem", "prefixes": ("conv1",)},
    BackboneSpec: {
        "name": "acme/net",
        "family": "acme",
        "build": print,
        "head": ("fc",),
        "blocks": (BLOCK,),
        "params": 5,
        "license": "MIT",
    },
    DatasetSpec: {"name": "pets", "description": "Pets", "license": "unknown", "url": "https://example.org/p.zip"},
    SourceSpec: {"prefix": "acme", "description": "Albums", "fetch": print},
}

NO_TEXTS = (None, 3, "", "  ", ("MIT",), "a\nb", "\x1b[31m")

NO_COUNTS = (0, -1, 1.5, "3", True)

#: Three numbers per channel, one of which is not finite.
NO_NUMBERS = ((math.nan, 0.5, 0.5), (math.inf, 0.5, 0.5), (True, True, True))

NO_PATHS = ("fc", ["fc"], ("fc", 3), None, {"fc"}, ("",), ("fc", "fc"), (" fc",), ("layer1. 0",))

NO_REASONS = (
    None,
    0,
    "",
    "slow",
    ["export"],
    {"export"},
    {"export": ""},
    {"export": None},
    {3: "slow"},
    {"export": "a\nb"},
)

#: Tags that ``--weights`` would interpret as file names.
LIKE_FILES = tuple(f"v1{suffix}" for suffix in FILE_SUFFIXES)


def make_stranger(name: str) -> Any:
    """Create an object of a different class with the same name, since other libraries also have an InputSpec."""
    return type(name, (), {"name": "stem", "tag": "V1", "__repr__": lambda _self: f"a foreign {name}"})()


#: Invalid values of each field.
WRONG: dict[type, dict[str, tuple[Any, ...]]] = {
    InputSpec: {
        "size": (
            (224, 224),
            [3, 224, 224],
            (3, 0, 224),
            (3, -1, 224),
            (3, 224.0, 224),
            224,
            None,
            (3, "224", 224),
            (True, 224, 224),
        ),
        "resize": (*NO_COUNTS, None),
        "crop": ("middle", None, ["center"], ""),
        "interpolation": ("lanczos", None, 2),
        "mean": ((0.5, 0.5), [0.5, 0.5, 0.5], 0.5, None, ("0.5", 0.5, 0.5), *NO_NUMBERS),
        "std": ((0.5, 0.5), [0.5, 0.5, 0.5], 0.5, None, (0.5, 0.0, 0.5), (0.5, -1, 0.5), *NO_NUMBERS),
        "min_size": NO_COUNTS,
        "bits": (*NO_COUNTS, 7, 17),
    },
    WeightsSpec: {
        "tag": (None, "", "a b", "a/b", "-v1", "v1@x", "v\n", 1, *NO_TAGS, *LIKE_FILES),
        "url": ("", "example.org/w", "ftp://example.org/w", "hf://owner/name", "file://w", "https://example.org", 3),
        "license": NO_TEXTS,
        "sha256": ("abc", "G" * 64, "A" * 64, "a" * 65, "a" * 7, 3, ""),
        "sha1": ("a" * 39, "a" * 41, "A" * 40, "g" * 40, "a" * 8, 3, ""),
        "md5": ("a" * 31, "a" * 40, "A" * 32, "g" * 32, 3, ""),
        "member": (
            *NO_TEXTS[1:],
            "/net.pth",
            "../net.pth",
            "a/../net.pth",
            "./net.pth",
            "a//net.pth",
            "a\\net.pth",
            "net.zip",
            "net",
        ),
        "size": NO_COUNTS,
        "num_classes": NO_COUNTS,
        "accuracy": ("71.6", (71.6,), math.nan, math.inf, -1, 100.1, True),
        "input": ((3, 224, 224), {"size": (3, 224, 224)}, InputSpec, make_stranger("InputSpec")),
        "lacks": NO_PATHS,
        "logits": (None, [0.5], 0.5, ("0.5",), (0.5, math.nan), (math.inf,), (True,)),
    },
    BlockSpec: {"name": NO_TEXTS, "prefixes": (*NO_PATHS, ())},
    BackboneSpec: {
        "name": (
            None,
            "net",
            "acme/",
            "/net",
            "Acme/net",
            "acme/ne t",
            "acme/a/b/c",
            "acme/a/",
            "acme/net@v1",
            "acme/net\n",
            3,
        ),
        "family": NO_TEXTS,
        "build": (None, "acme.build", 3),
        "head": (*NO_PATHS, ()),
        "blocks": (None, (), [BLOCK], ("stem",), BLOCK, (BLOCK, BLOCK), (make_stranger("BlockSpec"),)),
        "params": (*NO_COUNTS, None),
        "license": NO_TEXTS,
        "input": (None, (3, 224, 224), InputSpec, make_stranger("InputSpec")),
        "preprocessing": ("transforms", 3, InputSpec()),
        "weights": (None, [WEIGHTS], ("V1",), WEIGHTS, (WEIGHTS, WEIGHTS), (make_stranger("WeightsSpec"),)),
        "num_classes": (*NO_COUNTS, None),
        "classifier": NO_TEXTS[1:],
        "aux_heads": NO_PATHS,
        "aux_weight": (-0.1, "0.4", None, math.nan, math.inf, True),
        "fixed": NO_PATHS,
        "unused": NO_PATHS,
        "head_parameters": NO_PATHS,
        "features": NO_COUNTS,
        "first_conv": (3, "", "  ", "a\nb", (), ("a", "a"), (1,)),
        "output_field": (*NO_TEXTS[1:], "out.logits", "0", " logits"),
        "convert": ("convert", 3),
        "run_files": ("config.json", {}),
        "upstream": (*NO_TEXTS[1:], "timm", "==1.0", "timm>=", "timm=1.0", "timm>=1.0,", "timm==", "timm==1.0 or so"),
        "constructor": (
            *NO_TEXTS[1:],
            "net()",
            "acme.net",
            "acme.net({classes})",
            "acme.net({num_classes)",
            "acme.net(num_classes})",
            "acme.net({{num_classes}})",
            "acme.net({})",
            "acme.net(\n)",
            "acme.net() + 1",
            "acme.net(" + "{num_classes}" * 5000,
            "import acme\nacme.net()",
            "import acme\n  model = acme.net()",
            "import acme\nmodel == acme.net()",
            "import acme\n```\nmodel = acme.net()",
            "import acme\nmodel = acme.net()\x1b[31m",
            "model = acme.net()",
            "import acme\nmodel = acme.net(" + "1" * 5000 + ")",
        ),
        "supports": (None, "bf16", ["bf16"], ("fp8",), ("bf16", 3), ("bf16", "bf16"), EXPECTED),
        "unsupported": (*NO_REASONS, {"fp8": "slow"}),
        "expected_failures": NO_REASONS,
    },
    DatasetSpec: {
        "name": (None, "", "a b", "a/b/c", "Acme/pets", "-pets", "pets\n", 3),
        "description": NO_TEXTS,
        "license": NO_TEXTS,
        "url": (None, "example.org/p.zip", "", 3),
        "sha256": ("a" * 63, "a" * 8, "A" * 64, 3, ""),
        "size": NO_COUNTS,
        "root": (*NO_TEXTS, "..", "a/../../b", "a/..", "/etc", "a\\..\\b", "\\etc", "C:\\pets"),
        "make": (3, "draw"),
        "source": (3, "", "MNIST", "https://example.org/p.zip", "Acme:a", "hf:", "a:b"),
        "citation": tuple(value for value in NO_TEXTS if value is not None),
    },
    SourceSpec: {
        "prefix": (None, 3, "", "a", "Acme", "acme:", "hf", "torchvision", "https"),
        "description": NO_TEXTS,
        "fetch": (None, 3, "fetch"),
    },
}

#: Valid values of each field, other than those in GOOD.
RIGHT: dict[type, dict[str, tuple[Any, ...]]] = {
    InputSpec: {
        "crop": ("center", "squash", "border"),
        "interpolation": ("nearest", "bilinear", "bicubic"),
        "mean": ((0, 0, 0), (-0.5, 0.5, 1.5)),
        "std": ((1, 1, 1),),
        "min_size": (None, 1, 32),
        "resize": (1, 256),
    },
    WeightsSpec: {
        "tag": ("V1", "tv_in1k", "a1.b-2", "1k", "none_v1", "safetensors", "v1.pth.1"),
        "url": (None, "http://example.org/a", "hf://owner/name/a/b.safetensors", "file:///w/a.pth"),
        "sha256": (None, "a" * 8, "0123456789abcdef" * 4),
        "sha1": (None, "0123456789" * 4),
        "md5": (None, "0123456789abcdef" * 2),
        "member": (None, "net.pth", "a b/net-1.2.safetensors"),
        "size": (None, 1),
        "num_classes": (None, 1, 21841),
        "accuracy": (None, 71.592, 80, 0.0, 100.0),
        "input": (None, InputSpec()),
        "lacks": ((), ("fc", "head.bias")),
        "logits": ((), (0.5, -1, 2.25)),
    },
    BlockSpec: {"prefixes": (("a", "b.c"),)},
    BackboneSpec: {
        "name": ("acme/net", "a-b_1/Net-1.x", "acme/9", "acme/owner/net-1.x"),
        "head": (("head", "head_dist"), lambda _model: ("fc",)),
        "blocks": ((BLOCK, BlockSpec("layer1", ("layer1",))), lambda _model: (BLOCK,)),
        "preprocessing": (None, print),
        "output_field": (None, "logits"),
        "head_parameters": ((), ("logit_scale", "head.scale")),
        "features": (None, 768),
        "weights": ((), (WEIGHTS, dataclasses.replace(WEIGHTS, tag="V2"))),
        "classifier": (None, "classifier"),
        "aux_heads": ((), ("aux1", "aux2")),
        "aux_weight": (0, 0.4),
        "fixed": ((), ("mask", "layer1.mask"), lambda _model: ("mask",)),
        "unused": ((), ("mask_token",), lambda _model: ("mask_token",)),
        "convert": (None, print),
        "run_files": (None, print),
        "upstream": (None, "timm==1.0.31", "timm>=1.0.25,<2", "open_clip_torch ~=3.0, !=3.1.*"),
        "constructor": (
            None,
            "acme.net()",
            "acme.net(num_classes={num_classes})",
            'acme.nets.net("a (b)", {num_classes}, {image_size}{num_classes}, x=f(1))',
            "from acme import Net\n\nmodel = Net({num_classes}, size={image_size}, options={'a': 1})\n",
            "from acme import Net\nmodel: Net = Net({num_classes})\nmodel.eval()",
        ),
        "first_conv": (None, "conv1", ("stem.0", "stem.1")),
        "supports": ((), ("bf16",), tuple(name for name in CAPABILITIES if name != "channels")),
        "unsupported": ({}, dict.fromkeys((*EXPECTED, *CAPABILITIES), "its stem is one layer")),
        "expected_failures": ({}, {"head.found": "known upstream"}),
    },
    DatasetSpec: {
        "name": ("pets", "acme/pets", "Pets-2.1"),
        "sha256": (None, "0123456789abcdef" * 4),
        "size": (None, 1),
        "root": (".", "a/b", "a/..b", "my pets"),
        "citation": (None, "A. Author. Pets. 2026."),
    },
    SourceSpec: {
        "prefix": ("acme", "acme-albums", "a1"),
        "description": ("an album of the Acme camera",),
        "fetch": (print,),
    },
}
