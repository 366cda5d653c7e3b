"""Resume an interrupted run: find its checkpoint, and require that everything that affects the result is unchanged."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.engine.distributed.world import World
from zoo.engine.state import Checkpoint
from zoo.errors import OptionError, RunError
from zoo.files.atomic import make_folder, remove
from zoo.files.paths import accessing
from zoo.files.schema import BegunRun, CheckpointFacts, Run
from zoo.files.validation import Invalid, check
from zoo.progress import Progress
from zoo.registry.recipe import make_recipe
from zoo.runs.checkpoints import Checkpoints
from zoo.runs.confusion import is_consistent
from zoo.runs.folder import CHECKPOINTS, MODEL, RUN, RunFolder
from zoo.runs.lock import RunLock
from zoo.runs.record import Record
from zoo.training.checkpointing import FORMAT

#: File with the fields of run.json that are known before the first step.
BEGUN = f"{CHECKPOINTS}/begun.json"
#: Options that may differ when a run resumes. A different device may round differently; the other options do not affect
#: the result.
CHANGEABLE = ("weights", "device", "workers", "save_every", "baseline")


@dataclass(frozen=True)
class EarlierRun:
    """A run that an earlier process began or finished."""

    folder: RunFolder
    #: Fields of run.json.
    facts: Mapping[str, Any]
    #: Checkpoint to resume from; None if there is none yet, or if the run is finished.
    checkpoint: Checkpoint | None
    is_finished: bool = False


def find_earlier(output: Path | None, lock: RunLock, progress: Progress) -> EarlierRun | None:
    """Lock the ``output`` folder and return the run in it, or None if it contains no run.

    Raises:
        OptionError: If ``output`` is None.
        RunError: If the folder contains other files, if none of its checkpoints can be used, or if another process has
            locked it.
    """
    if output is None:
        raise OptionError("`resume` needs `output`, the folder of the run to continue.")
    with accessing(output, RunError, "choose another `output`"):
        if not output.exists():
            return None
    lock.take(output)
    folder = RunFolder.reopen(output)
    if (output / RUN).is_file():
        return EarlierRun(folder, folder.read_json(RUN, Run), None, is_finished=True)
    if not (output / BEGUN).is_file():
        folder.reset()
        return None
    saved, complaints = Checkpoints(output / CHECKPOINTS).load(output / MODEL)
    for complaint in complaints:
        progress.say(f"warning: {complaint}; using the previous checkpoint")
    if saved is None:
        if complaints:
            raise RunError(
                f"no checkpoint in {output / CHECKPOINTS} can be used; remove {output} to start from scratch."
            )
        return EarlierRun(folder, folder.read_json(BEGUN, BegunRun), None)
    if saved.facts.get("format") != FORMAT:
        raise RunError(f"{output} was started by a different version of zoo; resume it with that version.")
    _check_facts(saved.facts, output)
    if saved.facts["state"]["history"] and not (output / MODEL).is_file():
        raise RunError(f"{output} is missing {MODEL}, the best model so far; remove the folder to start from scratch.")
    return EarlierRun(folder, saved.facts["run"], Checkpoint(saved.tensors, saved.facts["state"]))


def _check_facts(facts: Mapping[str, Any], output: Path) -> None:
    """Raise RunError if the facts of a checkpoint are not in this version's format."""
    try:
        check(facts, CheckpointFacts)
    except Invalid as error:
        raise RunError(f"{output} has a checkpoint that this version of zoo cannot read: {error}.") from error
    run = facts["run"]
    if "val" in run and not is_consistent(run["val"], run["classes"]):
        raise RunError(f"{output} has a damaged checkpoint: its confusion matrix does not match its classes.")


def broadcast_earlier(earlier: EarlierRun | None, world: World) -> EarlierRun | None:
    """Return, in every process, what the first process found. The processes may run on machines with different disks.

    Raises:
        PeerError: If another process has died.
    """
    checkpoint = earlier.checkpoint if earlier else None
    found = earlier and [str(earlier.folder.path), earlier.facts, checkpoint and checkpoint.facts, earlier.is_finished]
    shared = json.loads(world.broadcast(json.dumps(found)))
    if shared is None:
        return None
    path, facts, state, is_finished = shared
    tensors = world.broadcast_tensors(checkpoint.tensors if checkpoint else {})
    checkpoint = Checkpoint(tensors, state) if state else None
    return EarlierRun(RunFolder(Path(path)), facts, checkpoint, is_finished=is_finished)


def record_start(record: Record) -> None:
    """Record how a run begins, so that it cannot be resumed with different options."""
    make_folder(record.folder.path / CHECKPOINTS)
    record.folder.write_json(BEGUN, record.facts)


def remove_states(folder: RunFolder) -> None:
    """Remove all checkpoints of a finished run."""
    remove(folder.path / BEGUN)
    Checkpoints(folder.path / CHECKPOINTS).clear()


def require_same_run(before: Mapping[str, Any], now: Mapping[str, Any], output: Path | None) -> None:
    """Raise OptionError for the first field that affects the result of a run and has changed since the run began."""
    if before["recipe"].get("schedule") == "step":  # This version records it as step:7,0.1.
        raise OptionError(
            f"{output} was started by a version of zoo whose `schedule` step lowered the learning rate after each "
            "third of the run; resume it with that version, or choose another `output`."
        )
    before = {**before, "recipe": {**_list_defaults(before["recipe"], now["recipe"]), **before["recipe"]}}
    old, new = _list_identity(before), _list_identity(json.loads(json.dumps(now)))
    for field in old:
        if old[field] != new.get(field):
            raise OptionError(
                f"{output} was started with {field} {_shorten(old[field])}, not {_shorten(new.get(field))}; "
                "resume it with the same value, or choose another `output`."
            )


def _list_defaults(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of the options that the version of zoo which began the run did not have."""
    missing = now.keys() - before.keys()
    if not missing:
        return {}
    recipe = make_recipe({name: value for name, value in now.items() if name not in missing})
    defaults = {**dataclasses.asdict(recipe), **recipe.list_decided()}
    return {name: defaults[name] for name in missing}


def _list_identity(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that affects the result of a run, under the names that users know."""
    recipe = {name: value for name, value in facts["recipe"].items() if name not in CHANGEABLE}
    return {
        "backbone": facts["backbone"],
        # The file of the user's own network may be in another folder now.
        **{f"network {name}": value for name, value in facts.get("network", {}).items() if name != "file"},
        "weights": facts["weights"]["label"],
        "classes": facts["classes"],
        "fold": facts["recipe"].get("fold"),  # This comes before the fingerprint, which depends on it.
        "data fingerprint": facts["data"]["fingerprint"],
        "bits of 16-bit images": facts["input"].get("bits"),
        **recipe,
        "precision": facts["hardware"]["precision"],
        # Digest of the tensors that are frozen in the first phase. All other tensors are in the checkpoint.
        "weights fingerprint": facts["phases"][0]["frozen"],
    }


def _shorten(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
