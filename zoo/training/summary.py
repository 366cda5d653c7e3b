"""Messages at the start of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.progress import Progress


def report_changes(before: Mapping[str, Any], now: Mapping[str, Any], progress: Progress) -> None:
    """Report versions and hardware that have changed since the start of the run.

    Such changes can alter the last digits of the results.
    """
    for field in ("versions", "hardware"):
        for name, value in before.get(field, {}).items():
            if now[field].get(name) != value:
                progress.say(f"note: {name} has changed from {value} to {now[field].get(name)} since the run started")


def report_plan(facts: Mapping[str, Any], progress: Progress) -> None:
    """Report what is trained, for how many epochs, and how."""
    recipe, params, phases, hardware = (facts[name] for name in ("recipe", "params", "phases", "hardware"))
    processes = f", {hardware['processes']} processes" if hardware["processes"] > 1 else ""
    progress.say(
        f"training {_name_trained(facts)}: {params['learning']:,} of {params['total']:,} parameters, "
        f"{_count_epochs(recipe['epochs'])}, {recipe['optimizer']} at {recipe['lr']:g} ({recipe['schedule']}), "
        f"{hardware['precision']} on {hardware['device']}{processes}"
    )
    if len(phases) > 1:
        each = (f"{phase['train']} for {_count_epochs(phase['epochs'])} at {phase['lr']:g}" for phase in phases)
        progress.say(f"phases: {', then '.join(each)}")


def _name_trained(facts: Mapping[str, Any]) -> str:
    """Return the trained blocks, or what each term of the scope matches."""
    if terms := facts.get("terms"):
        return ", ".join(f"{match['term']} ({_count_tensors(match)})" for match in terms)
    trained = [block["name"] for block in facts["blocks"] if block["learns"]]
    blocks = " to ".join(dict.fromkeys([trained[0], trained[-1]])) + " and " if trained else ""
    return f"{blocks}the head ({facts['recipe']['head']})"


def _count_tensors(match: Mapping[str, Any]) -> str:
    return f"{match['params']:,} parameters in {match['tensors']} tensor{'s' * (match['tensors'] != 1)}"


def _count_epochs(count: int) -> str:
    return f"{count} epoch{'s' * (count != 1)}"
