"""Draw a contact sheet of the images whose labels are most doubtful."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.data.contact_sheet import Row
from zoo.data.decode import quiet_pillow
from zoo.data.pixel_cache import Views
from zoo.data.transform import Normalize
from zoo.training.label_check import LabelCheck
from zoo.training.label_ranking import LabelDoubt
from zoo.training.show import Sheet, Tiles

#: Numbers of images to show: all probable errors up to a maximum, and at least the few most doubtful ones.
_MIN_SHOWN, _MAX_SHOWN = 20, 100
_COLUMNS = 5


def draw_doubts(check: LabelCheck) -> Sheet:
    """Return a contact sheet of the most doubtful labels, with the given and the suggested label below each image.

    Raises:
        DataError: If an image can no longer be read.
    """
    count = min(max(sum(doubt.is_error for doubt in check.ranking.doubts), _MIN_SHOWN), _MAX_SHOWN)
    shown = check.ranking.doubts[:count]
    tiles = Tiles([doubt.sample for doubt in shown], Views.build(check.input, "none"), Normalize(check.input))
    with quiet_pillow():
        rows = [
            _draw_row(tiles, shown, range(first, min(first + _COLUMNS, len(shown))))
            for first in range(0, len(shown), _COLUMNS)
        ]
    data = check.examination.data
    return Sheet(data, f"the {len(shown)} most doubtful labels of {data}, checked with {check.backbone}", rows)


def _draw_row(tiles: Tiles, shown: Sequence[LabelDoubt], places: range) -> Row:
    title = f"{places.start + 1} to {places.stop}" if len(places) > 1 else str(places.stop)
    return Row(title, [tiles.draw(place) for place in places], [_list_lines(shown[place]) for place in places])


def _list_lines(doubt: LabelDoubt) -> list[str]:
    """Return the lines below an image. The name comes last, because it may be too long."""
    return [
        f"label: {doubt.label} ({doubt.probability:.1%})",
        f"suggested: {doubt.suggested} ({doubt.suggested_probability:.1%})",
        f"{doubt.sample.file.split}: {doubt.sample.file.name}",
    ]
