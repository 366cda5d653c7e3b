"""Batch norms on GPUs that compute their statistics over the images of all processes, with torch's own function.

torch's ``SyncBatchNorm`` would replace the layers, and with them the activation in timm's batch norms. Here, the layers
stay, and their calls to ``batch_norm`` are intercepted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch.distributed as dist
from torch.nn import functional
from torch.nn.modules._functions import SyncBatchNorm
from torch.overrides import TorchFunctionMode

#: The arguments of ``batch_norm`` in order, and those of torch's synchronized function.
_CALLED = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
_SYNCED = ("input", "weight", "bias", "running_mean", "running_var", "eps", "momentum")


class SyncedBatchNorm(TorchFunctionMode):
    """A mode in which batch norms in train mode use the statistics of the full batch. Every process needs images.

    Source: Peng et al. 2017, arXiv:1711.07240.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is functional.batch_norm:
            call = {"momentum": 0.1, "eps": 1e-5, **dict(zip(_CALLED, args, strict=False)), **(kwargs or {})}
            if call.get("training"):
                values = [call.get(name) for name in _SYNCED]
                return SyncBatchNorm.apply(*values, dist.group.WORLD, dist.get_world_size())
        return func(*args, **(kwargs or {}))
