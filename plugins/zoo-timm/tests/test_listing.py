"""Listing is fast, because it imports nothing heavy. It prints nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = "{'torch', 'timm', 'torchvision', 'numpy'}"
FIND = (
    "import sys, zoo_timm; found = zoo_timm.zoo_find_backbone('{}'); "
    f"print(found and found.name, sys.modules.keys() & {{{HEAVY}}})"
)


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.strip()


def test_listing_imports_neither_torch_nor_timm() -> None:
    code = (
        f"import sys, zoo_timm; n = len(list(zoo_timm.zoo_backbones())); print(n > 1000, sys.modules.keys() & {HEAVY})"
    )
    assert run(code) == "True set()"


def test_finding_a_listed_name_imports_neither_torch_nor_timm() -> None:
    assert run(FIND.format("vgg16.tv_in1k")) == "timm/vgg16 set()"


@pytest.mark.usefixtures("cataloged_timm")
def test_the_cataloged_timm_is_not_asked_for_other_names() -> None:
    assert run(FIND.format("no_such_net")) == "None set()"
