"""Listing is fast, because it imports nothing heavy. It prints nothing."""

from __future__ import annotations

import subprocess
import sys

HEAVY = "{'torch', 'transformers', 'huggingface_hub', 'numpy'}"


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.strip()


def test_listing_imports_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, zoo_transformers; n = len(list(zoo_transformers.zoo_backbones())); "
        f"print(n > 200, sys.modules.keys() & {HEAVY})"
    )
    assert run(code) == "True set()"


def test_finding_the_repository_of_a_listed_backbone_imports_neither() -> None:
    code = (
        "import sys, zoo_transformers; found = zoo_transformers.zoo_find_backbone('google/vit-base-patch16-224'); "
        f"print(found.name, sys.modules.keys() & {HEAVY})"
    )
    assert run(code) == "transformers/vit-base-patch16-224 set()"
