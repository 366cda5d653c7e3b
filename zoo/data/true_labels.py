"""The labels of images that are predicted or embedded: those of the source, or the names of their folders."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path

from zoo.data.listing import ImageFile


@dataclass(frozen=True, slots=True)
class LabelRule:
    """How the labels of images are found that are not in a table or another source with labels."""

    #: Classes of the run.
    classes: frozenset[str] = frozenset()
    #: Whether every image needs a label. A source whose labels cannot be read is then an error, and an image without
    #: a folder of a class gets the name of its own folder.
    is_required: bool = False

    def label(self, file: ImageFile, top: Path | None) -> ImageFile:
        """Return an image file with the name of its folder as its class.

        Args:
            file: The image file.
            top: Folder that the user named, whose name may be a class, too; None if the user named the file.
        """
        folder = file.path.absolute().parent
        if top is None:
            return replace(file, class_name=_normalize(folder.name)) if self.is_required else file
        top = top.absolute()
        inner = [folder.name for folder in (folder, *folder.parents) if folder.is_relative_to(top) and folder != top]
        names = [_normalize(name) for name in (*inner, *([top.name] if self.is_required else ()))]
        name = next((name for name in names if name in self.classes), names[0] if names else "")
        return replace(file, class_name=name)


def _normalize(name: str) -> str:
    """Return a name in Unicode NFC, like the names of classes."""
    return unicodedata.normalize("NFC", name)
