"""The images that turned out to be unreadable during the first epoch, in all processes."""

from __future__ import annotations

from zoo.data.pixel_cache import Views
from zoo.engine.distributed.world import World


def gather_unreadable(views: Views, world: World) -> dict[str, str]:
    """Return the paths of the images that turned out to be unreadable so far, with the reasons, sorted by path.

    Raises:
        PeerError: If another process has died.
    """
    mine = {str(path): reason for path, reason in views.list_unreadable().items()}
    found = dict(item for of_rank in world.gather(mine) for item in of_rank.items())
    return dict(sorted(found.items()))
