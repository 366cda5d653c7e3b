"""Listing is cheap: it imports nothing heavy and says nothing."""

from __future__ import annotations

import subprocess
import sys

HEAVY = "{'torch', 'timm', 'torchvision', 'numpy'}"


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
    code = (
        "import sys, zoo_timm; print(zoo_timm.zoo_find_backbone('vgg16.tv_in1k').name, "
        f"zoo_timm.zoo_find_backbone('no_such_net'), sys.modules.keys() & {HEAVY})"
    )
    assert run(code) == "timm/vgg16 None set()"
