"""Promises of a declaration. None of these imports torch, or builds anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from zoo.plugin import BlockSpec, InputSpec, WeightsSpec
from zoo.plugin.backbone_spec import (
    check_backbone_fields,
    check_backbone_license,
    check_backbone_name,
    check_capabilities,
)
from zoo.plugin.block_spec import check_block
from zoo.plugin.input_spec import check_input
from zoo.plugin.weights_spec import FILE_SUFFIXES, check_weights
from zoo.testing.promises import list_checks
from zoo.testing.results.result import CheckFailed
from zoo.testing.runner import Declaration
from zoo.testing.shipped_files import is_shipped
from zoo.testing.spdx import refuse_prose


def name(declared: Declaration) -> None:
    """``namespace/name``."""
    check_backbone_name(declared.spec)
    if not declared.spec.name.startswith(f"{declared.namespace}/"):
        raise CheckFailed(f"its name must begin with {declared.namespace}/.")


def fields(declared: Declaration) -> None:
    """By the contract; blocks too."""
    check_backbone_fields(declared.spec)
    if isinstance(declared.spec.blocks, tuple):
        for block in declared.spec.blocks:
            assert isinstance(block, BlockSpec)  # checked just now
            check_block(block)


def input(declared: Declaration) -> None:  # noqa: A001  # a check's name
    """Of the backbone, and of all its weights that have one of their own."""
    inputs = declared.spec.input, *(own.input for own in _list_weights(declared))
    for expected in (own for own in inputs if isinstance(own, InputSpec)):  # spec.fields reports what is none
        check_input(expected)
        if expected.min_size is not None and expected.min_size > min(expected.size[1:]):
            raise CheckFailed(f"min_size {expected.min_size} is above its own size {expected.size}; lower it.")
        if not all(0 <= mean <= 1 for mean in expected.mean) or max(expected.std) > 1:
            raise CheckFailed(
                f"mean {expected.mean} and std {expected.std} are of pixels scaled to 0..1; divide them by 255."
            )


def weights(declared: Declaration) -> None:
    """Each has a tag of its own, can be found, and can be verified."""
    for published in _list_weights(declared):
        check_weights(published)
        url = published.url
        if url is None:
            raise CheckFailed(f"weights {published.tag} have no url; give one, or leave them out.")
        if url.startswith("file:"):
            _expect_in_wheel(declared, published.tag, url)
        is_pickle = url.endswith(FILE_SUFFIXES) and not url.endswith(".safetensors")
        if is_pickle and published.sha256 is None:
            raise CheckFailed(f"weights {published.tag} are a pickle without sha256; zoo will not read it: pin it.")


def license(declared: Declaration) -> None:
    """Of the code it must be known; of weights it may be ``unknown``."""
    check_backbone_license(declared.spec)
    if declared.spec.license == "unknown":
        raise CheckFailed("the license of the code is unknown; find out, and declare it.")
    refuse_prose("the code", declared.spec.license)
    for own in _list_weights(declared):
        refuse_prose(f"weights {own.tag}", own.license)


def capabilities(declared: Declaration) -> None:
    """What it supports, what not, and which checks it is known to fail."""
    check_capabilities(declared.spec)
    known = {check.name for check in list_checks(of_plugin=False)}
    if unknown := sorted(declared.spec.expected_failures.keys() - known):
        raise CheckFailed(
            f"it expects {', '.join(unknown)} to fail, and no check of a backbone is called so; mend the name."
        )


def _expect_in_wheel(declared: Declaration, tag: str, url: str) -> None:
    path = Path(url2pathname(urlsplit(url).path))
    if not path.is_file():
        raise CheckFailed(f"weights {tag} should lie at {url} and do not; put them into the wheel.")
    if not is_shipped(declared.namespace, path):
        raise CheckFailed(
            f"weights {tag} lie at {url}, outside of the plugin, where other machines have nothing; "
            "put them into its package, or publish them and give an https:// or hf:// url."
        )


def _list_weights(declared: Declaration) -> Iterator[WeightsSpec]:
    """List the weights, if they are a tuple at all: spec.fields reports it if not."""
    if isinstance(declared.spec.weights, tuple):
        yield from (own for own in declared.spec.weights if isinstance(own, WeightsSpec))
