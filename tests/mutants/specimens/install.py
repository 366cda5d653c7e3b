"""Install the plugins in a folder as pip does."""

from __future__ import annotations

import importlib
from pathlib import Path
from zipfile import ZipFile

from specimens.plugin_mutants import PLUGIN_MUTANTS

#: Sizes of the published network.
CLASSES, HIDDEN = 10, 12
#: Files of weights that belong to the plugins; other files are only in the same folder.
SHIPPED = ("good", "wide", "short", "nan", "huge", "renamed", "headless")


def install_all(folder: Path) -> None:
    """Install the good plugin, the plugin of mutant backbones, and all mutant plugins."""
    install(folder, "good", "specimens.good")
    install(folder, "mutants", "specimens.plugin")
    for name, mutant in PLUGIN_MUTANTS.items():
        module = f"plugin_{name}".replace("-", "_").lower()
        (folder / f"{module}.py").write_text(mutant.source.replace("NAMESPACE", name))
        for distribution in mutant.distributions or (f"zoo-{name}",):
            install(folder, name, mutant.module or module, distribution, mutant.requires)
    _write_weights(folder)
    importlib.invalidate_caches()


def install(
    folder: Path, namespace: str, module: str, distribution: str | None = None, requires: tuple[str, ...] = ()
) -> None:
    """Install a plugin's module, which need not be in the folder, under a namespace."""
    distribution = distribution or f"zoo-{namespace}"
    info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    required = "".join(f"Requires-Dist: {text}\n" for text in requires)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n{required}")
    (info / "entry_points.txt").write_text(f"[zoo]\n{namespace} = {module}\n")
    # The mutants are declared with the weights of the good plugin.
    files = SHIPPED if namespace in ("good", "mutants") else ()
    names = [f"{name}.safetensors" for name in files] + (["good.zip"] if files else [])
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in names))


def _write_weights(folder: Path) -> None:
    """Write good weights, and files with one fault each."""
    import torch
    from safetensors.torch import save_file

    from specimens.networks import make_weights

    good = make_weights()
    files = {
        "good": good,
        "wide": {**good, "layer1.0.weight": torch.ones(8, 9, 3, 3)},
        "short": {name: tensor for name, tensor in good.items() if name != "layer2.0.bias"},
        "nan": {**good, "classifier.0.bias": torch.full((HIDDEN,), torch.nan)},
        "huge": {**good, "classifier.3.weight": torch.full((CLASSES, HIDDEN), 3e38)},
        "renamed": {name.replace("stem.0.weight", "conv1.weight"): tensor for name, tensor in good.items()},
        "headless": {name: tensor for name, tensor in good.items() if not name.startswith("classifier.3.")},
        "elsewhere": good,
    }
    for name, tensors in files.items():
        save_file(tensors, folder / f"{name}.safetensors")
    with ZipFile(folder / "good.zip", "w") as archive:
        archive.write(folder / "good.safetensors", "nets/good.safetensors")
