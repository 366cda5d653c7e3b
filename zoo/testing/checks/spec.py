"""Checks of a backbone's declaration. None of them imports torch or builds anything."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from zoo.models.weights.locate import is_refused
from zoo.plugin import BlockSpec, InputSpec, WeightsSpec
from zoo.plugin.backbone_spec import (
    check_backbone_fields,
    check_backbone_license,
    check_backbone_name,
)
from zoo.plugin.block_spec import check_block
from zoo.plugin.capabilities import check_capabilities, check_first_conv
from zoo.plugin.input_spec import check_input
from zoo.plugin.weights_spec import check_weights
from zoo.registry.plugins.discovery import get_claims
from zoo.registry.upstream_version import is_declared
from zoo.testing.promises import OLD_NAMES, list_checks
from zoo.testing.results.place import find_function
from zoo.testing.results.result import CheckFailed
from zoo.testing.runner import Declaration
from zoo.testing.signatures import find_call_fault
from zoo.testing.spdx import refuse_prose

#: Fields that are or may be functions, and the arguments that zoo passes.
ARGUMENTS = {
    "build": ("tag",), "preprocessing": ("tag",), "head": ("model",), "blocks": ("model",), "fixed": ("model",),
    "unused": ("model",), "run_files": ("classes", "input"),
}  # fmt: skip
#: Addresses of pages that show a file or ask a question, instead of sending the file.
PAGES = re.compile(
    r"https?://((github\.com|huggingface\.co)/.+/(blob|tree)/|drive\.google\.com/|(www\.)?dropbox\.com/.*[?&]dl=0)"
)


def name(declared: Declaration) -> None:
    """Check that the name is ``namespace/name``."""
    check_backbone_name(declared.spec)
    if not declared.spec.name.startswith(f"{declared.namespace}/"):
        raise CheckFailed(f"its name must begin with {declared.namespace}/.")


def fields(declared: Declaration) -> None:
    """Check the fields of the backbone and of its blocks against the contract."""
    check_backbone_fields(declared.spec)
    if declared.spec.upstream is not None:
        is_declared(declared.spec.upstream, "0")  # raises PluginError if it cannot be compared with any version
    if isinstance(declared.spec.blocks, tuple):
        for block in declared.spec.blocks:
            assert isinstance(block, BlockSpec)  # check_backbone_fields ensures this
            check_block(block)
    for field, arguments in ARGUMENTS.items():
        function = getattr(declared.spec, field)
        if callable(function) and (fault := find_call_fault(function, *arguments)):
            raise CheckFailed(f"its {field} {fault}.", find_function(function))
    _check_convert(declared.spec.convert)


def _check_convert(convert: Callable[..., object] | None) -> None:
    """Raise CheckFailed if a function takes neither (tag, tensors) nor (tag, tensors, model)."""
    if convert is None or not find_call_fault(convert, "tag", "tensors", "model"):
        return
    if fault := find_call_fault(convert, "tag", "tensors"):
        raise CheckFailed(f"its convert {fault}.", find_function(convert))


def input(declared: Declaration) -> None:  # noqa: A001  # a check's name
    """Check the input of the backbone, and the inputs that its weights declare."""
    inputs = declared.spec.input, *(own.input for own in _list_weights(declared))
    for expected in (own for own in inputs if isinstance(own, InputSpec)):  # spec.fields reports other types
        if isinstance(expected.size, tuple) and expected.size[-1:] == (3,) and expected.size[0] != 3:
            raise CheckFailed(f"size {expected.size} has the channels last; write (channels, height, width).")
        check_input(expected)
        if expected.min_size is not None and expected.min_size > min(expected.size[1:]):
            raise CheckFailed(f"min_size {expected.min_size} is larger than the input size {expected.size}; lower it.")
        if not all(0 <= mean <= 1 for mean in expected.mean) or max(expected.std) > 1:
            raise CheckFailed(
                f"mean {expected.mean} and std {expected.std} do not fit pixels from 0 to 1; divide them by 255."
            )


def weights(declared: Declaration) -> None:
    """Check that every WeightsSpec is valid and has a usable url, and a digest if the file is a pickle."""
    for published in _list_weights(declared):
        check_weights(published)
        url = published.url
        if url is None:
            raise CheckFailed(f"weights {published.tag} have no url; declare one, or leave them out.")
        if PAGES.search(url):
            raise CheckFailed(
                f"weights {published.tag} have the url of a web page, {url}; declare the address of the file itself."
            )
        if url.startswith("file:"):
            _expect_in_wheel(declared, published.tag, url)
        if is_refused(published):
            raise CheckFailed(
                f"weights {published.tag} are a pickle, which zoo reads only with a digest; declare sha256, or sha1 "
                "or md5 if upstream publishes no better one."
            )


def license(declared: Declaration) -> None:
    """Check the license of the code, which must be known, and of the weights, which may be ``unknown``."""
    check_backbone_license(declared.spec)
    if declared.spec.license == "unknown":
        raise CheckFailed("the license of the code is unknown; find out, and declare it.")
    refuse_prose("the code", declared.spec.license)
    for own in _list_weights(declared):
        refuse_prose(f"weights {own.tag}", own.license)


def capabilities(declared: Declaration) -> None:
    """Check the names in supports, unsupported and expected_failures."""
    check_capabilities(declared.spec)
    check_first_conv(declared.spec)
    known = {*OLD_NAMES, *(check.name for check in list_checks(of_plugin=False))}
    if unknown := sorted(declared.spec.expected_failures.keys() - known):
        raise CheckFailed(
            f"expected_failures contains unknown backbone checks: {', '.join(unknown)}; correct or remove them."
        )


def _expect_in_wheel(declared: Declaration, tag: str, url: str) -> None:
    path = Path(url2pathname(urlsplit(url).path))
    if not path.is_file():
        raise CheckFailed(f"weights {tag} should be at {url}, but are missing; put them into the wheel.")
    if not _is_shipped(declared.namespace, path):
        raise CheckFailed(
            f"weights {tag} are at {url}, outside the plugin, and are missing on other machines; "
            "put them into its package, or publish them and declare an https:// or hf:// url."
        )


def _is_shipped(namespace: str, file: Path) -> bool:
    """Return whether a file belongs to an installed plugin of a namespace; other files exist only on this machine."""
    found = file.resolve()
    for plugin, entry_point in get_claims(namespace):
        distribution = importlib.metadata.distribution(plugin.distribution)
        if any(Path(str(part.locate())).resolve() == found for part in distribution.files or ()):
            return True
        # An editable installation lists no files, so all files in the package's folder count.
        package = importlib.util.find_spec(entry_point.module.partition(".")[0])
        folders = (package and package.submodule_search_locations) or ()
        if any(found.is_relative_to(Path(folder).resolve()) for folder in folders):
            return True
    return False


def _list_weights(declared: Declaration) -> Iterator[WeightsSpec]:
    """List the weights if they are a tuple; spec.fields reports other types."""
    if isinstance(declared.spec.weights, tuple):
        yield from (own for own in declared.spec.weights if isinstance(own, WeightsSpec))
