"""Run zoo and a peer alternately, and save the results, one line for each pair."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from environment import plain_environment
from measure import measure
from workloads import OURS, PEERS, SIZE, Peer, Workload

SCRIPTS = Path(__file__).parent / "peers"
#: Number of seeds. With more pairs than this, the seeds repeat.
SEEDS = 5
#: Timeout of a run in seconds.
TIMEOUT = 3 * 3600

OURSELVES = Peer(OURS, "zoo", "ours.py")


@dataclass(frozen=True)
class Bench:
    """The settings that all runs share."""

    python: Path
    folder: Path
    data: Path
    #: Weights files by name: ``mobilenet_v2`` for torchvision, ``timm/mobilenetv2_100`` for timm.
    weights: dict[str, Path]
    device: str
    epochs: int | None
    timm_train: Path | None

    def describe(self, workload: Workload, pair: int, output: Path) -> str:
        """Return the job of a script as JSON."""
        job = {
            "workload": workload.task,
            "model": workload.model,
            "timm_model": workload.timm_model,
            "data": self.data,
            "output": output,
            "epochs": self.epochs or workload.epochs,
            "batch_size": workload.batch_size,
            "size": SIZE,
            "seed": pair % SEEDS,
            "device": self.device,
            "weights": self.weights.get(workload.model),
            "timm_weights": self.weights.get(f"timm/{workload.timm_model}"),
            "timm_train": self.timm_train,
        }
        return json.dumps(job, default=str)

    def run(self, peer: Peer, workload: Workload, pair: int, scratch: Path) -> dict[str, Any]:
        """Run a script with its own caches in ``scratch``."""
        scratch.mkdir(parents=True, exist_ok=True)
        caches = {"ZOO_CACHE": str(scratch / "zoo"), "HF_HOME": str(scratch / "hf")}
        logs = self.folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        return measure(
            [self.python, SCRIPTS / peer.script, self.describe(workload, pair, scratch), *peer.flags],
            {**plain_environment(self.folder, self.device), **caches},
            logs / f"{workload.name}-{peer.name}-{pair}",
            TIMEOUT,
        )


def run_pairs(bench: Bench, workload: Workload, peers: Sequence[str], count: int) -> None:
    """Run the missing ones of ``count`` pairs with each peer: first pair 0 with all peers, then pair 1, and so on."""
    path = bench.folder / f"{workload.name}.jsonl"
    done = {(line["peer"], line["pair"]) for line in read_lines(path) if is_whole(line)}
    for pair in range(count):
        for name in peers:
            if (name, pair) not in done:
                line = run_pair(bench, workload, PEERS[name], pair)
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
                say(workload, line)


def run_pair(bench: Bench, workload: Workload, peer: Peer, pair: int) -> dict[str, Any]:
    """Run zoo with an empty cache, then the peer. If the peer is zoo itself, it uses the cache of the first run."""
    scratch = bench.folder / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    ours = bench.run(OURSELVES, workload, pair, scratch / OURS)
    theirs = bench.run(peer, workload, pair, scratch / (OURS if peer.name == "warm" else peer.name))
    shutil.rmtree(scratch, ignore_errors=True)
    date = datetime.now(UTC).date().isoformat()
    return {"peer": peer.name, "pair": pair, "date": date, OURS: ours, "theirs": theirs}


def is_whole(line: dict[str, Any]) -> bool:
    """Return whether both runs succeeded."""
    return "answer" in line[OURS] and "answer" in line["theirs"]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the saved results. If a pair was repeated, only the last result counts."""
    if not path.is_file():
        return []
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return list({(line["peer"], line["pair"]): line for line in lines}.values())


def say(workload: Workload, line: dict[str, Any]) -> None:
    """Print the results of a pair."""
    took = ", ".join(
        f"{name} {run['error']}" if "error" in run else f"{name} {run['seconds']:.1f} s"
        for name, run in ((OURS, line[OURS]), (line["peer"], line["theirs"]))
    )
    sys.stderr.write(f"{workload.name}, pair {line['pair'] + 1}: {took}\n")


def list_settings(bench: Bench, images: dict[str, int], versions: dict[str, str], code: str) -> dict[str, Any]:
    """Return the settings that results in the same table must share."""
    fields = dataclasses.asdict(bench)
    kept = {name: fields[name] for name in ("device", "epochs")}
    files = {**bench.weights, **({"timm train.py": bench.timm_train} if bench.timm_train else {})}
    digests = {name: _digest(path) for name, path in sorted(files.items())}
    return {
        **kept,
        "weights": sorted(bench.weights),
        "files": digests,
        "images": images,
        "versions": versions,
        "code": code,
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def check_settings(path: Path, settings: dict[str, Any]) -> None:
    """Save the settings. Raise ValueError if the folder contains results with different settings."""
    if path.is_file() and (kept := json.loads(path.read_text(encoding="utf-8"))) != settings:
        changed = [name for name in settings if kept.get(name) != settings[name]]
        raise ValueError(f"{path.parent} contains results with different {', '.join(changed)}; choose a new --folder")
    path.write_text(json.dumps(settings, indent=1), encoding="utf-8")
