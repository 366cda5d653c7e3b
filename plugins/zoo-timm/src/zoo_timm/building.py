"""Build backbones and convert published weights, the two operations that need timm.

The callables in the specs of this plugin are methods of `Upstream`. They import timm only when they are called.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from zoo.plugin import NameNotFound, WeightsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from PIL import Image
    from torch import Tensor, nn

#: Number of outputs of every head as built, regardless of the weights.
NUM_CLASSES = 1000


@dataclass(frozen=True, slots=True)
class Upstream:
    """An architecture in timm."""

    name: str

    def build(self, tag: str | None) -> nn.Module:
        """Build timm's model offline, with random weights and 1000 outputs.

        Raises:
            NameNotFound: If the installed timm lacks the architecture or the tag.
        """
        import timm

        from zoo_timm.encoder import add_head, lacks_head

        self._check_available(tag)
        model = timm.create_model(self._full_name(tag), pretrained=False, num_classes=NUM_CLASSES)
        return add_head(model, NUM_CLASSES) if lacks_head(model) else model

    def convert(self, tag: str, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Convert the tensors of a published file to the keys and shapes of the model, including the file's head.

        timm loads the tensors into a model with the file's number of classes, because it would drop the head with any
        other number.

        Raises:
            NameNotFound: If the installed timm lacks the architecture or the tag.
            WeightsError: If the tensors belong to a different backbone.
        """
        import timm

        self._check_available(tag)
        overlay = {"state_dict": dict(tensors)}
        try:
            model = timm.create_model(self._full_name(tag), pretrained=True, pretrained_cfg_overlay=overlay)
        except (RuntimeError, KeyError, ValueError, AssertionError) as error:
            reason = str(error).strip().partition("\n")[0]
            message = f"these weights do not match timm/{self.name}@{tag} ({reason}); use a file for that backbone."
            raise WeightsError(message) from error
        return model.state_dict()

    def preprocessing(self, tag: str | None) -> Callable[[Image.Image], Tensor]:
        """Return timm's own transform for evaluation, for the weights ``tag`` or the default configuration.

        Raises:
            NameNotFound: If the installed timm lacks the architecture or the tag.
        """
        from timm.data.config import resolve_data_config
        from timm.data.transforms_factory import create_transform
        from timm.models import get_pretrained_cfg

        self._check_available(tag)
        cfg = get_pretrained_cfg(self._full_name(tag))
        config = resolve_data_config(pretrained_cfg=cfg.to_dict()) if cfg else {}  # type: ignore[no-untyped-call]  # timm has few types
        return cast("Callable[[Image.Image], Tensor]", create_transform(**config, is_training=False))

    def _full_name(self, tag: str | None) -> str:
        return f"{self.name}.{tag}" if tag else self.name

    def _check_available(self, tag: str | None) -> None:
        """Raise NameNotFound if the installed timm lacks something. Unlike timm's error, it suggests a solution."""
        import timm

        if not timm.is_model(self.name):
            raise NameNotFound(
                f"timm/{self.name} is in the catalog, but not in the installed timm {timm.__version__}; "
                "install the timm that `zoo info` shows, or choose another backbone.",
            )
        if tag and not _has_tag(self._full_name(tag)):
            raise NameNotFound(
                f"timm/{self.name} has no weights {tag!r} in the installed timm {timm.__version__}; "
                "install the timm that `zoo info` shows, or choose other weights.",
            )


def _has_tag(full_name: str) -> bool:
    from timm.models import get_pretrained_cfg

    try:
        return get_pretrained_cfg(full_name, allow_unregistered=False) is not None
    except RuntimeError:
        return False
