"""Call the event hooks of a tracker with the events of a real run, and watch what they do."""

from __future__ import annotations

import copy
import io
import os
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from zoo.testing.events import record_events
from zoo.testing.isolation.side_effects import SideEffects, watch_side_effects
from zoo.testing.results.place import find_caller, find_function
from zoo.testing.results.result import CannotCheck, CheckFailed, describe_with_place


def track_run(hooks: Mapping[str, Callable[..., object]]) -> None:
    """Call hooks with the events of a run in a temporary folder.

    Args:
        hooks: The plugin's functions, keyed by the names of the hooks.
    """
    with TemporaryDirectory() as folder:
        for event in record_events(Path(folder)):
            if event.hook in hooks:
                _call(event.hook, hooks[event.hook], event.arguments)


class _Stdout(io.StringIO):
    """What a hook prints to stdout, and the place that printed first."""

    place = ""

    def write(self, text: str) -> int:
        self.place = self.place or find_caller()
        return super().write(text)


def _call(name: str, hook: Callable[..., object], arguments: Mapping[str, Any]) -> None:
    given, printed, folder = copy.deepcopy(dict(arguments)), _Stdout(), Path.cwd()
    with watch_side_effects(first=True) as effects, redirect_stdout(printed):
        try:
            hook(**given)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # it is reported
            effects.error = error if isinstance(error, Exception) else RuntimeError(f"SystemExit: {error}")
            effects.error.__cause__ = error.__cause__
            effects.error.__traceback__ = error.__traceback__
    os.chdir(folder)  # The folder of the run is removed afterwards.
    _refuse_effects(name, effects)
    if text := printed.getvalue().strip():
        raise CheckFailed(
            f"{name} prints {text[:80]!r} to stdout, which belongs to the result of the command; print to stderr, or "
            "use logging.",
            printed.place,
        )
    if changed := [argument for argument, value in arguments.items() if given[argument] != value]:
        raise CheckFailed(f"{name} changes its argument {changed[0]}; copy it first.", find_function(hook))
    if traces := [trace for trace in effects.traces if not trace.startswith("prints")]:
        raise CheckFailed(f"{name} {' and '.join(traces)}; leave that to the caller.", find_function(hook))


def _refuse_effects(name: str, effects: SideEffects) -> None:
    """Raise if a hook failed; one that needs a server cannot be checked, because the kit opens no connections."""
    if effects.error is None:
        return
    if effects.connections:
        raise CannotCheck(f"{name} connects to {effects.connections[0]}, and this check opens no connections")
    raise CheckFailed(
        f"{name} raises {describe_with_place(effects.error)}; zoo would send it no more events in this run."
    ) from effects.error
