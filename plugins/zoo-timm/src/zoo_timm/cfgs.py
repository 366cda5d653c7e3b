"""Published weights, their inputs and their licenses, read from timm's pretrained cfgs.

Source: ``timm/models/_pretrained.py`` (the fields), ``_builder.py`` (which file is fetched), ``_hub.py`` (its name),
``data/transforms_factory.py`` (resize and crop).
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, cast

from timm.models import get_arch_pretrained_cfgs, get_pretrained_cfg

from zoo.plugin import InputSpec, WeightsSpec
from zoo_timm.facts import hub_url

if TYPE_CHECKING:
    from timm.models import PretrainedCfg

    from zoo.plugin import Crop, Interpolation

#: SPDX identifiers, keyed by timm's name of a license. A license without one becomes ``LicenseRef-`` and its name.
LICENSES = {
    "apache-2.0": "Apache-2.0",
    "bsd-3-clause": "BSD-3-Clause",
    "cc-by-4.0": "CC-BY-4.0",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
    "mit": "MIT",
}
HASHED_FILE = re.compile(r"-([0-9a-f]{8,64})\.[a-z.]+$")


def read_weights(name: str) -> tuple[WeightsSpec, ...]:
    """Return all published weights of an architecture, timm's default first."""
    own = read_input(name)
    cfgs = (cfg for cfg in get_arch_pretrained_cfgs(name).values() if cfg.tag and cfg.has_weights)
    return tuple(_weights(cfg, own) for cfg in cfgs)


def read_input(name: str) -> InputSpec:
    """Return the input that an architecture expects with its default weights."""
    cfg = get_pretrained_cfg(name)
    return _input(cfg) if cfg else InputSpec()


def read_license(value: str | None) -> str:
    """Return the SPDX identifier of a license, or ``unknown``."""
    if not value or value == "unknown":
        return "unknown"
    return LICENSES.get(value, f"LicenseRef-{value}")


def _weights(cfg: PretrainedCfg, own: InputSpec) -> WeightsSpec:
    url = _url(cfg)
    hashed = HASHED_FILE.search(url) if url.startswith("https:") else None
    expected = _input(cfg)
    return WeightsSpec(
        tag=cast("str", cfg.tag),
        url=url,
        license=read_license(cfg.license),
        sha256=hashed[1] if hashed else None,
        num_classes=cfg.num_classes or None,
        input=None if expected == own else expected,
    )


def _url(cfg: PretrainedCfg) -> str:
    """Return the URL that timm would download from. timm prefers the Hub to a URL."""
    if cfg.hf_hub_id:
        return hub_url(cfg.hf_hub_id, cfg.hf_hub_filename)
    return cast("str", cfg.url)


def _input(cfg: PretrainedCfg) -> InputSpec:
    channels, height, width = cfg.input_size
    return InputSpec(
        size=(channels, height, width),
        # Most inputs are square. For the few others, the crop must fit into the longer side.
        resize=math.floor(max(height, width) / cfg.crop_pct),
        crop=cast("Crop", cfg.crop_mode),
        interpolation=cast("Interpolation", cfg.interpolation),
        mean=tuple(cfg.mean),
        std=tuple(cfg.std),
        min_size=_min_size(cfg),
    )


def _min_size(cfg: PretrainedCfg) -> int | None:
    """Return the smallest side, or None if height and width differ. A model of fixed size accepts only that size."""
    smallest = cfg.input_size if cfg.fixed_input_size else cfg.min_input_size
    if smallest is None or smallest[1] != smallest[2]:
        return None
    return smallest[1]
