"""The images that turned out to be unreadable during the first epoch, in all processes."""

from __future__ import annotations

import json

from zoo.data.pixel_cache import Views
from zoo.engine.distributed.world import World


def gather_unreadable(views: Views, world: World) -> dict[str, str]:
    """Return the paths of the images that turned out to be unreadable so far, with the reasons, sorted by path.

    Raises:
        PeerError: If another process has died.
    """
    mine = json.dumps({str(path): reason for path, reason in views.list_unreadable().items()})
    found: dict[str, str] = {}
    for rank in range(world.size):
        found.update(json.loads(world.broadcast_text(mine, source=rank)))
    return dict(sorted(found.items()))
