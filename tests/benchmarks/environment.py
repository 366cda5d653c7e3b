"""A virtual environment that contains all peers, and zoo from this checkout."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

from workloads import PINS

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = [ROOT, *sorted(ROOT.glob("plugins/zoo-*"))]
#: Modules of the peers that are slow to import.
HEAVY = ("torch", "torchvision", "timm", "fastai.vision.all", "lightning", "transformers", "datasets")
#: Environment variables that would make a process use code or files outside the environment.
FOREIGN = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "ZOO_CACHE", "ZOO_TEST_ASSETS")


def list_pins() -> dict[str, str]:
    """Return the versions of the peers' packages, and the installed versions of torch and torchvision."""
    pins = dict(PINS)
    for name in ("torch", "torchvision"):
        try:
            pins[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pins[name] = ""
    return pins


def build_environment(folder: Path) -> Path:
    """Create or update the environment. Return the path of its Python."""
    python, pins, code = folder / "bin" / "python", list_pins(), {"zoo": digest_code()}
    if not is_noted(folder / "peers.json", pins):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip(python, "install", *(f"{name}=={version}" if version else name for name, version in pins.items()))
        note(folder / "peers.json", pins)
    if not is_noted(folder / "zoo.json", code):
        pip(python, "install", *map(str, PACKAGES))
        pip(
            python, "install", "--no-deps", "--force-reinstall", *map(str, PACKAGES)
        )  # the code may have changed although the version has not
        note(folder / "zoo.json", code)
    return python


def warm_up(python: Path, folder: Path) -> None:
    """Import everything once, so that a cold disk cache does not slow down the first measurement."""
    subprocess.run([python, "-c", f"import {', '.join(HEAVY)}"], check=True, env=plain_environment(folder))


def is_noted(path: Path, versions: dict[str, str]) -> bool:
    """Return whether these versions are saved in a file."""
    return path.is_file() and json.loads(path.read_text(encoding="utf-8")) == versions


def note(path: Path, versions: dict[str, str]) -> None:
    """Save versions in a file."""
    path.write_text(json.dumps(versions), encoding="utf-8")


def pip(python: Path, *arguments: str) -> None:
    """Run pip in the environment."""
    subprocess.run([python, "-m", "pip", "--quiet", *arguments], check=True, stdout=sys.stderr)


def plain_environment(folder: Path, device: str = "cpu") -> dict[str, str]:
    """Return environment variables that prevent downloads and hide the user's own files."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {}
    offline = {"ZOO_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    # fastai imports matplotlib, which searches for fonts once and caches them.
    return {**kept, **hidden, **offline, "MPLCONFIGDIR": str(folder / "matplotlib"), "PYTHONWARNINGS": "ignore"}


def list_versions(python: Path) -> dict[str, str]:
    """Return the installed versions of zoo, torch, torchvision and the peers."""
    names = ("zoo-backbones", "torch", "torchvision", *PINS)
    code = f"import json, importlib.metadata as m; print(json.dumps({{n: m.version(n) for n in {names!r}}}))"
    done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def digest_code() -> str:
    """Return a hash of the code of zoo and of the benchmark, since results are valid only for the same code."""
    digest = hashlib.sha256()
    folders = ("zoo/**", "plugins/*/src/**", "tests/benchmarks/**")
    code = [path for folder in folders for path in ROOT.glob(f"{folder}/*.py")]
    settings = [ROOT / "registry.toml", ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")]
    for path in sorted([*code, *settings]):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
