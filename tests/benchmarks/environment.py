"""An environment of its own, with all peers and zoo from this checkout."""

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
#: What the peers spend a while importing.
HEAVY = ("torch", "torchvision", "timm", "fastai.vision.all", "lightning", "transformers", "datasets")
#: Would lead a process to other code or other files than those of the environment.
FOREIGN = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "ZOO_CACHE", "ZOO_TEST_ASSETS")


def list_pins() -> dict[str, str]:
    """List what is installed for the peers; torch and torchvision as they are where this runs, if they are."""
    pins = dict(PINS)
    for name in ("torch", "torchvision"):
        try:
            pins[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pins[name] = ""
    return pins


def build_environment(folder: Path) -> Path:
    """Install what is not there yet, or is not as it is wanted, into a virtual environment; return its Python."""
    python, pins, code = folder / "bin" / "python", list_pins(), {"zoo": digest_code()}
    if not is_noted(folder / "peers.json", pins):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip(python, "install", *(f"{name}=={version}" if version else name for name, version in pins.items()))
        note(folder / "peers.json", pins)
    if not is_noted(folder / "zoo.json", code):
        pip(python, "install", *map(str, PACKAGES))
        pip(python, "install", "--no-deps", "--force-reinstall", *map(str, PACKAGES))  # its version may be the same
        note(folder / "zoo.json", code)
    return python


def warm_up(python: Path, folder: Path) -> None:
    """Import everything once, so that the first one measured does not pay for a cold disk."""
    subprocess.run([python, "-c", f"import {', '.join(HEAVY)}"], check=True, env=plain_environment(folder))


def is_noted(path: Path, facts: dict[str, str]) -> bool:
    """Say whether these facts were noted."""
    return path.is_file() and json.loads(path.read_text(encoding="utf-8")) == facts


def note(path: Path, facts: dict[str, str]) -> None:
    """Note facts."""
    path.write_text(json.dumps(facts), encoding="utf-8")


def pip(python: Path, *arguments: str) -> None:
    """Call the environment's own pip."""
    subprocess.run([python, "-m", "pip", "--quiet", *arguments], check=True, stdout=sys.stderr)


def plain_environment(folder: Path, device: str = "cpu") -> dict[str, str]:
    """Return variables under which nothing is fetched and nothing of the user's own is found."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {}
    offline = {"ZOO_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    # fastai imports matplotlib, which looks for fonts once and keeps what it found.
    return {**kept, **hidden, **offline, "MPLCONFIGDIR": str(folder / "matplotlib"), "PYTHONWARNINGS": "ignore"}


def list_versions(python: Path) -> dict[str, str]:
    """List the installed versions of what is compared."""
    names = ("zoo-backbones", "torch", "torchvision", *PINS)
    code = f"import json, importlib.metadata as m; print(json.dumps({{n: m.version(n) for n in {names!r}}}))"
    done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def digest_code() -> str:
    """Return a digest of zoo's own code and of the benchmark's: figures of other code are not figures of this one."""
    digest = hashlib.sha256()
    folders = ("zoo/**", "plugins/*/src/**", "tests/benchmarks/**")
    code = [path for folder in folders for path in ROOT.glob(f"{folder}/*.py")]
    facts = [ROOT / "registry.toml", ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")]
    for path in sorted([*code, *facts]):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
