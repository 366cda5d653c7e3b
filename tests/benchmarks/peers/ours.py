"""Train with `zoo finetune` and its defaults, with an empty cache or with the cache of an earlier run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median

from job import Job, print_answer, read_job

FLAGS = {"frozen": (), "vgg": ("--head", "mlp:4096,4096"), "full": ("--train", "all")}


def list_arguments(job: Job) -> list[str]:
    """Return the arguments of the command."""
    return [
        "finetune",
        f"torchvision/{job.model}",
        f"--data={job.data}",
        f"--weights={job.weights or 'none'}",
        f"--epochs={job.epochs}",
        f"--batch-size={job.batch_size}",
        f"--seed={job.seed}",
        f"--device={job.device}",
        f"--output={job.output / 'run'}",
        *FLAGS[job.workload],
    ]


def main() -> None:
    """Run the command, and print the answer from its run folder."""
    job = read_job()
    shutil.rmtree(job.output / "run", ignore_errors=True)  # only the cache of the earlier run is needed
    subprocess.run([str(Path(sys.executable).with_name("zoo")), *list_arguments(job)], check=True)
    run = json.loads((job.output / "run" / "run.json").read_text(encoding="utf-8"))
    lines = (job.output / "run" / "history.jsonl").read_text(encoding="utf-8").splitlines()
    history = [json.loads(line) for line in lines]
    print_answer(
        images=run["data"]["images"]["train"] * len(history),
        epochs=len(history),
        learning=run["params"]["learning"],
        accuracies=[epoch["val_accuracy"] for epoch in history],
        # The median leaves out the warm-up in the first epoch, which the limit does not count either.
        steps=median(epoch["train_seconds"] for epoch in history) * len(history),
        epoch_seconds=[epoch["train_seconds"] for epoch in history],
    )


if __name__ == "__main__":
    main()
