"""Fine-tune the best candidates, and compare the runs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo.data.source import name_source
from zoo.errors import CacheError, DataError, ZooError
from zoo.files.atomic import make_folder
from zoo.files.paths import expand_user
from zoo.progress import Progress
from zoo.runs.compare import compare_runs, find_close
from zoo.training.finetune import finetune
from zoo.training.rank.record import Ranked, list_suggested


def finetune_best(
    records: Sequence[Ranked], count: int, output: Path, arguments: Mapping[str, Any], progress: Progress
) -> list[Ranked]:
    """Fine-tune the best candidates, each in a folder of its own in ``output``, and return all records.

    Finished runs in the folder are used again, and interrupted ones are resumed.

    Args:
        records: Records with ranks and suggestions, the best first.
        count: Number of candidates to fine-tune.
        output: Folder of the runs.
        arguments: The other arguments of `zoo.finetune`.
        progress: Where to report progress.

    Raises:
        DataError: If the images cannot be used.
    """
    chosen = {record.name for record in list_suggested(records, count)}
    found = [_finetune(record, output, arguments, progress) if record.name in chosen else record for record in records]
    compared = {one.run: one for one in compare_runs([record.run for record in found if record.run])}
    tuned = [compared[record.run] for record in found if record.run]
    close = find_close(sorted(tuned, key=lambda one: -one.accuracy)) if tuned else {}
    return [
        replace(
            record,
            tuned=one.accuracy,
            tuned_low=one.low,
            tuned_high=one.high,
            tuned_split=one.split,
            tuned_close=one.run in close,
        )
        if (one := compared.get(record.run or ""))
        else record
        for record in found
    ]


def choose_folder(output: str | Path | None, data: Any) -> Path:
    """Return the folder of the runs, and create it: ``output``, or ``runs/rank-DATA``."""
    folder = Path("runs") / f"rank-{_clean(Path(name_source(data)).name)}" if output is None else expand_user(output)
    if output is None:
        make_folder(folder.parent)
    make_folder(folder)
    return folder


def _finetune(record: Ranked, output: Path, arguments: Mapping[str, Any], progress: Progress) -> Ranked:
    """Return the record with its run folder, or with the reason why the fine-tuning failed."""
    name, equals, file = record.name.partition("=")
    weights: dict[str, Any] = {"weights": file} if equals else {}
    progress.say(f"fine-tuning {record.name}")
    try:
        run = finetune(name, output=output / _name_folder(record), resume=True, **weights, **arguments)
    except (CacheError, DataError):  # The next candidate would fail for the same reason.
        raise
    except ZooError as error:
        progress.say(f"{record.name}: fine-tuning failed: {error}")
        return replace(record, problem=f"fine-tuning failed: {error}")
    return replace(record, run=str(run.path))


def _name_folder(record: Ranked) -> str:
    """Return the name of the run folder. The digest tells files of the same name apart."""
    digest = hashlib.sha256(record.name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{_clean(record.backbone.rpartition('/')[2])}-{digest[:8]}"


def _clean(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "data"
