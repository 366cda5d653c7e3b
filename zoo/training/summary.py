"""What a run is about to do, in lines for the user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.progress import Progress


def say_changes(before: Mapping[str, Any], now: Mapping[str, Any], progress: Progress) -> None:
    """Say what is not as it was when the run began, and may change its last digits."""
    for field in ("versions", "hardware"):
        for name, value in before[field].items():
            if now[field].get(name) != value:
                progress.say(f"note: the run began with {name} {value}, and now it is {now[field].get(name)}")


def say_plan(facts: Mapping[str, Any], progress: Progress) -> None:
    """Say what is trained, for how long and how."""
    recipe, params, phases, hardware = (facts[name] for name in ("recipe", "params", "phases", "hardware"))
    shared = f", by {hardware['processes']} processes" if hardware["processes"] > 1 else ""
    learning = [block["name"] for block in facts["blocks"] if block["learns"]]
    blocks = learning[0] if len(learning) == 1 else f"{learning[0]} to {learning[-1]}" if learning else ""
    what = f"{blocks} and the head" if blocks else "the head"
    progress.say(
        f"learns: {what} ({recipe['head']}), {params['learning']:,} of {params['total']:,} parameters, "
        f"{_count_epochs(recipe['epochs'])}, {recipe['optimizer']} at {recipe['lr']:g} ({recipe['schedule']}), "
        f"{hardware['precision']} on {hardware['device']}{shared}"
    )
    if len(phases) > 1:
        each = (f"{phase['train']} for {_count_epochs(phase['epochs'])} at {phase['lr']:g}" for phase in phases)
        progress.say(f"phases: {', then '.join(each)}")


def _count_epochs(count: int) -> str:
    return f"{count} epoch{'s' * (count != 1)}"
