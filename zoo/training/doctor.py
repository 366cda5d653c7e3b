"""Check what this installation and this machine support, and report how to fix problems."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

import torch

from zoo.data.cores import count_cores
from zoo.data.jpeg_decoder import find_jpeg_decoder
from zoo.engine.precision import computes_bf16
from zoo.files.cache import KINDS, cache_folder, list_entries
from zoo.files.versions import read_version
from zoo.registry.registry import Registry

#: Packages that every run needs.
PACKAGES = ("zoo", "torch", "torchvision", "safetensors", "pillow")
#: Free disk space in bytes below which a warning is shown.
LITTLE_ROOM = 5 * 10**9
GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """A fact about the installation, and what to do if something is wrong."""

    #: ``versions``, ``device``, ``images``, ``cache`` or ``plugin``.
    about: str
    fact: str
    is_ok: bool = True
    advice: str | None = None


def examine_installation(registry: Registry) -> list[Finding]:
    """Check versions, devices, the image decoder, the cache folder and the plugins, without changing anything."""
    return [*_list_versions(), *_list_devices(), _describe_decoder(), *_list_caches(), *_list_plugins(registry)]


def _list_versions() -> Iterator[Finding]:
    yield Finding("versions", f"python {platform.python_version()} on {platform.platform()}")
    for package in PACKAGES:
        try:
            yield Finding("versions", f"{package} {read_version(package)}")
        except metadata.PackageNotFoundError:
            advice = "pip install ." if package == "zoo" else f"pip install {package}"
            yield Finding("versions", f"{package} is not installed", is_ok=False, advice=advice)


def _list_devices() -> Iterator[Finding]:
    cores = count_cores()
    precision = "bf16" if computes_bf16(torch.device("cpu")) else "fp32"
    yield Finding("device", f"cpu: {cores} cores, {torch.get_num_threads()} threads, auto precision {precision}")
    for index in range(torch.cuda.device_count()):
        device, found = torch.device("cuda", index), torch.cuda.get_device_properties(index)
        precision = "bf16" if computes_bf16(device) else "fp32"
        memory = f"{found.total_memory / GIB:.0f} GiB"
        yield Finding("device", f"cuda:{index}: {found.name}, {memory}, auto precision {precision}")
    if torch.backends.mps.is_available():
        yield Finding("device", "mps: Apple GPU, precision fp32")
    if not torch.cuda.is_available() and shutil.which("nvidia-smi"):
        advice = "install a CUDA build of torch that matches the driver; see https://pytorch.org/get-started/locally/"
        yield Finding("device", "an NVIDIA driver is installed, but torch finds no GPU", is_ok=False, advice=advice)


def _describe_decoder() -> Finding:
    if find_jpeg_decoder() is not None:
        return Finding("images", "JPEG is decoded by torchvision's libjpeg-turbo, all other formats by Pillow")
    fact = "JPEG is decoded by Pillow, which can take twice as long, because torchvision's decoder cannot be loaded"
    advice = f"install the torchvision that was built for torch {torch.__version__}"
    return Finding("images", fact, is_ok=False, advice=advice)


def _list_caches() -> Iterator[Finding]:
    folder = cache_folder()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        advice = "set ZOO_CACHE to a writable folder"
        yield Finding("cache", f"{folder} is not writable", is_ok=False, advice=advice)
    sizes = {kind: sum(entry.size for entry in list_entries(kind)) for kind in KINDS}
    shown = ", ".join(f"{kind} {size / GIB:.1f} GiB" for kind, size in sizes.items() if size > GIB // 20)
    yield Finding("cache", f"{folder}: {shown or 'nearly empty'}")
    if (free := shutil.disk_usage(existing).free) < LITTLE_ROOM:
        advice = "run `zoo cache clear`, or set ZOO_CACHE to a folder on a different disk"
        yield Finding("cache", f"only {free / GIB:.1f} GiB free in {existing}", is_ok=False, advice=advice)


def _list_plugins(registry: Registry) -> Iterator[Finding]:
    for plugin in registry.plugins:
        name = f"{plugin.namespace} ({plugin.distribution} {plugin.version})"
        if plugin.state == "ok":
            count = len(plugin.backbones)
            yield Finding("plugin", f"{name}: {count} backbone{'s' * (count != 1)}")
        else:
            is_ok = plugin.state == "disabled"
            yield Finding("plugin", f"{name} is {plugin.state}: {plugin.reason}", is_ok=is_ok)
    if not registry.plugins:
        yield Finding("plugin", "no plugin is installed", is_ok=False, advice="pip install plugins/zoo-torchvision")
