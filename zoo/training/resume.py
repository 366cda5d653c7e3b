"""Interrupted runs: when their state is saved, where it is found again, and what must not have changed since."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.engine.distributed.world import World
from zoo.engine.state import Checkpoint
from zoo.errors import OptionError, RunError
from zoo.files.atomic import make_folder, remove
from zoo.progress import Progress
from zoo.runs.checkpoints import Checkpoints
from zoo.runs.folder import CHECKPOINTS, MODEL, RUN, RunFolder
from zoo.runs.record import Record
from zoo.training.checkpointing import FORMAT

#: What a run was begun with.
BEGUN = f"{CHECKPOINTS}/begun.json"
#: Fields of a recipe that may be others when a run goes on. Another device rounds otherwise, the rest changes no bit.
FREE = ("weights", "device", "workers", "save_every", "baseline")


@dataclass(frozen=True)
class EarlierRun:
    """What an earlier process left of a run."""

    folder: RunFolder
    #: The facts of the run, as run.json has them.
    run: Mapping[str, Any]
    #: Where it goes on; None where nothing was saved yet, or nothing is left to do.
    state: Checkpoint | None
    is_over: bool = False


def find_earlier(output: Path | None, progress: Progress) -> EarlierRun | None:
    """Return what there is of the run in ``output``; None where there is none.

    Raises:
        OptionError: no folder is named.
        RunError: the folder holds what no run wrote, or states of which none can be used.
    """
    if output is None:
        raise OptionError("`resume` needs `output`, the folder of the run to continue.")
    if not output.exists():
        return None
    folder = RunFolder.reopen(output)
    if (output / RUN).is_file():
        return EarlierRun(folder, folder.read_json(RUN), None, is_over=True)
    if not (output / BEGUN).is_file():
        folder.refuse_begun()
        return None
    saved, complaints = Checkpoints(output / CHECKPOINTS).load(output / MODEL)
    for complaint in complaints:
        progress.say(f"warning: {complaint}; the state before it is taken")
    if saved is None:
        if complaints:
            raise RunError(f"none of the states in {output / CHECKPOINTS} can be used; remove {output} to start anew.")
        return EarlierRun(folder, folder.read_json(BEGUN), None)
    if saved.facts["format"] != FORMAT:
        raise RunError(f"{output} was begun by another version of zoo, and can only be resumed by it.")
    if saved.facts["state"]["history"] and not (output / MODEL).is_file():
        raise RunError(f"{output} has lost its {MODEL}, the best model so far; remove the folder to start anew.")
    return EarlierRun(folder, saved.facts["run"], Checkpoint(saved.tensors, saved.facts["state"]))


def share_earlier(earlier: EarlierRun | None, world: World) -> EarlierRun | None:
    """Return what the first process has found, in all of them: they may have no disk in common.

    Raises:
        LostProcess: another process is gone.
    """
    if world.size == 1:
        return earlier
    facts = earlier and [str(earlier.folder.path), earlier.run, earlier.state and earlier.state.facts, earlier.is_over]
    told = json.loads(world.spread(json.dumps(facts)))
    if told is None:
        return None
    path, run, state, is_over = told
    tensors = world.spread_tensors(earlier.state.tensors if earlier and earlier.state else {})
    return EarlierRun(
        RunFolder(Path(path)), run, None if state is None else Checkpoint(tensors, state), is_over=is_over
    )


def note_begin(record: Record) -> None:
    """Write down how a run begins, so that it is not resumed with other options."""
    make_folder(record.folder.path / CHECKPOINTS)
    record.folder.write_json(BEGUN, record.facts)


def remove_states(folder: RunFolder) -> None:
    """Remove all states of a run that is over."""
    if (folder.path / CHECKPOINTS).is_dir():
        remove(folder.path / BEGUN)
        Checkpoints(folder.path / CHECKPOINTS).clear()


def refuse_other(kept: Mapping[str, Any], facts: Mapping[str, Any], output: Path | None) -> None:
    """Raise OptionError when something that matters is not what it was when the run began; name the first."""
    then, now = _list_identity(kept), _list_identity(json.loads(json.dumps(facts)))
    for field in then:
        if then[field] != now.get(field):
            raise OptionError(
                f"{output} was begun with {field} {_show(then[field])}, not {_show(now.get(field))}; "
                "resume it with the same, or choose another `output`."
            )


def _list_identity(facts: Mapping[str, Any]) -> dict[str, Any]:
    """List all that decides what comes out, under the names that the user knows."""
    recipe = {name: value for name, value in facts["recipe"].items() if name not in FREE}
    return {
        "backbone": facts["backbone"],
        "weights": facts["weights"]["label"],
        "classes": facts["classes"],
        "data of the fingerprint": facts["data"]["fingerprint"],
        **recipe,
        "precision": facts["hardware"]["precision"],
        # All that is frozen in the first phase; what learned in it is in the state.
        "starting weights of the fingerprint": facts["phases"][0]["frozen"],
    }


def _show(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
