"""Building a backbone, and fitting published weights to it: the two things that need timm.

Instances of `Upstream` are the callables of every spec of this plugin. Nothing is imported before they are called.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.errors import NameNotFound, WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

#: Outputs of every head as built, whatever the weights have.
NUM_CLASSES = 1000


@dataclass(frozen=True, slots=True)
class Upstream:
    """One architecture of timm, by timm's name."""

    name: str

    def build(self, tag: str | None) -> nn.Module:
        """Build timm's model offline, randomly initialised, with 1000 outputs.

        Raises:
            NameNotFound: the installed timm lacks the architecture or the tag.
        """
        import timm

        from zoo_timm.encoder import add_head, lacks_head

        self._check(tag)
        model = timm.create_model(self._spelled(tag), pretrained=False, num_classes=NUM_CLASSES)
        return add_head(model, NUM_CLASSES) if lacks_head(model) else model

    def convert(self, tag: str, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Turn a published file's tensors into the model's own keys and shapes, the file's head included.

        timm loads them into a model with the file's number of classes: with another number it would drop the head.

        Raises:
            NameNotFound: the installed timm lacks the architecture or the tag.
            WeightsError: the tensors are not of this backbone.
        """
        import timm

        self._check(tag)
        overlay = {"state_dict": dict(tensors)}
        try:
            model = timm.create_model(self._spelled(tag), pretrained=True, pretrained_cfg_overlay=overlay)
        except (RuntimeError, KeyError, ValueError, AssertionError) as error:
            reason = str(error).strip().partition("\n")[0]
            message = f"These weights do not fit timm/{self.name}@{tag} ({reason}); give a file of that backbone."
            raise WeightsError(message) from error
        return model.state_dict()

    def _spelled(self, tag: str | None) -> str:
        return f"{self.name}.{tag}" if tag else self.name

    def _check(self, tag: str | None) -> None:
        """Say what the installed timm lacks; its own error names neither versions nor a way out."""
        import timm

        if not timm.is_model(self.name):
            raise NameNotFound(
                f"timm/{self.name} is in the catalogue, but not in the installed timm {timm.__version__}; "
                "install the timm that `zoo info` shows, or choose another backbone.",
            )
        if tag and not _knows_tag(self._spelled(tag)):
            raise NameNotFound(
                f"timm/{self.name} has no weights {tag!r} in the installed timm {timm.__version__}; "
                "install the timm that `zoo info` shows, or choose other weights.",
            )


def _knows_tag(spelled: str) -> bool:
    from timm.models import get_pretrained_cfg

    try:
        return get_pretrained_cfg(spelled, allow_unregistered=False) is not None
    except RuntimeError:
        return False
