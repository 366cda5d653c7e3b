"""A network that was found by the name that the user passed."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.plugin import BackboneSpec
from zoo.registry.origin import Origin


@dataclass(frozen=True)
class Resolved:
    """A backbone that was found by its name."""

    #: Name that the user passed.
    asked: str
    backbone: BackboneSpec
    #: Tag of the weights in the name, or None.
    tag: str | None
    #: Remarks for the user, one line each.
    notes: tuple[str, ...] = ()
    #: How the network was built if no plugin provides it, else None.
    origin: Origin | None = None

    @property
    def name(self) -> str:
        """The full name, with the tag if the user passed one."""
        return self.backbone.name if self.tag is None else f"{self.backbone.name}@{self.tag}"
