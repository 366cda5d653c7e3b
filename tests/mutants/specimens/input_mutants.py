"""Backbones whose declared input is not the one that upstream's preprocessing prepares."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from specimens.good import INPUT, declare_weights
from specimens.register import declared
from specimens.upstream import build_preprocessing

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from zoo.plugin import InputSpec

#: The input of upstream.
UPSTREAM = replace(INPUT, size=(3, 48, 48), resize=56)
IMAGENET_MEAN = (0.485, 0.456, 0.406)


def mistaken(name: str, message: str, **changes: Any) -> None:
    """Register an input that differs from upstream's in some fields."""
    declared(
        name,
        {"input.upstream": message},
        lambda: {"input": replace(UPSTREAM, **changes), "preprocessing": lambda _tag: build_preprocessing(UPSTREAM)},
    )


mistaken(
    "mean-of-imagenet",
    "for the network without weights, upstream's preprocessing looks like mean (0.5, 0.5, 0.5); correct the input",
    mean=IMAGENET_MEAN,
)
mistaken("std-of-inception", "looks like std (0.25, 0.25, 0.25);", std=(0.5, 0.5, 0.5))
mistaken(
    "mean-and-std-of-imagenet",
    "looks like mean (0.5, 0.5, 0.5) and std (0.25, 0.25, 0.25);",
    mean=IMAGENET_MEAN,
    std=(0.229, 0.224, 0.225),
)
mistaken("wrong-interpolation", "looks like interpolation bilinear;", interpolation="bicubic")
mistaken("wrong-resize", "looks like resize 56;", resize=48)
mistaken("resize-off-by-one", "looks like resize 56;", resize=57)
mistaken("wrong-crop", "looks like crop center;", crop="squash")
mistaken(
    "everything-wrong",
    "looks like crop center, resize 56, interpolation bilinear, mean (0.5, 0.5, 0.5);",
    crop="squash",
    resize=48,
    interpolation="bicubic",
    mean=IMAGENET_MEAN,
)
mistaken(
    "wrong-size-of-the-photos",
    "gives images of shape (3, 48, 48), but the input has size=(3, 64, 64); correct the input",
    size=(3, 64, 64),
)
declared(
    "wrong-mean-of-the-second-tag",
    {"input.upstream": "for weights V2, upstream's preprocessing looks like mean (0.5, 0.5, 0.5);"},
    lambda: {
        "weights": (declare_weights(), declare_weights(tag="V2", input=replace(INPUT, mean=IMAGENET_MEAN))),
        "preprocessing": lambda _tag: build_preprocessing(INPUT),
    },
)
declared(
    "wrong-size-of-the-second-tag",
    {"input.upstream": "for weights V2, upstream's preprocessing gives images of shape (3, 16, 16), but"},
    lambda: {
        "weights": (declare_weights(), declare_weights(tag="V2", input=UPSTREAM)),
        "preprocessing": lambda _tag: build_preprocessing(INPUT),
    },
)


def changed(message: str, expected: InputSpec = UPSTREAM, **options: Any) -> Callable[[Any], None]:
    """Register preprocessing whose result the decorated function changes."""

    def register(change: Callable[[Tensor], Any]) -> None:
        preprocess = build_preprocessing(expected, **options)

        def choose(_tag: str | None) -> Callable[[Image.Image], Any]:
            return lambda image: change(preprocess(image))

        name = change.__name__.replace("_", "-")
        declared(name, {"input.upstream": message}, lambda: {"input": expected, "preprocessing": choose})

    return register


@changed("looks like it reverses the channels (BGR); reverse those of the first layer in convert")
def reversed_channels(images: Tensor) -> Tensor:
    return images.flip(0)


@changed("looks like its crop is 1 pixel lower; declare why in expected_failures", down=1)
def shifted_crop(images: Tensor) -> Tensor:
    return images


@changed("and no other crop, resize or interpolation explains it")
def upside_down(images: Tensor) -> Tensor:
    return images.flip(1)


@changed("for pixels from 0 to 1, so it may divide pixels by 255 twice")
def divided_twice(images: Tensor) -> Tensor:
    return ((images * 0.25 + 0.5) / 255 - 0.5) / 0.25


@changed("gives images of shape (1, 3, 48, 48), but the input has size=(3, 48, 48)")
def batched(images: Tensor) -> Tensor:
    return images[None]


@changed("gives torch.uint8; return a float tensor of shape (C, H, W)")
def integers(images: Tensor) -> Tensor:
    return images.byte()


@changed("gives an object of type list; return a float tensor of shape (C, H, W)")
def list_of_numbers(images: Tensor) -> Any:
    return images.tolist()


@changed("gives numbers that are not finite")
def not_finite(images: Tensor) -> Tensor:
    return images.log()


@changed("raises KeyError: 'pixel_values'")
def raises_a_key_error(_images: Tensor) -> Any:
    return {}["pixel_values"]


@changed("connects to ('localhost', 1); write the values of upstream's file into the plugin")
def fetches_upstreams_values(images: Tensor) -> Tensor:
    socket.create_connection(("localhost", 1))
    return images


declared(
    "preprocessing-of-the-wrong-type",
    {"input.upstream": "preprocessing(None) returns an object of type InputSpec; it must return a function"},
    lambda: {"preprocessing": lambda _tag: INPUT},
)
