"""timm's own train.py, as its page on training scripts shows it, with nothing but what the data demands.

The script is no part of timm's distributions; whoever runs this names a copy of it, from a checkout of that version.
"""

from __future__ import annotations

import csv
import re
import subprocess
import sys

from job import Job, read_job, tell


def list_arguments(job: Job) -> list[str]:
    """List the arguments that the work asks for; rate, schedule and all else are as train.py has them."""
    weights = ["--pretrained", "--pretrained-path", str(job.timm_weights)] if job.timm_weights else []
    return [
        f"--data-dir={job.data}",
        "--train-split=train",
        "--val-split=val",
        f"--model={job.timm_model}",
        f"--num-classes={len(job.classes)}",
        f"--batch-size={job.batch_size}",
        f"--epochs={job.epochs}",
        f"--seed={job.seed}",
        f"--device={job.device}",
        f"--output={job.output}",
        "--experiment=run",
        *weights,
    ]


def read_epoch_seconds(log: str, images: int) -> list[float]:
    """Return the seconds that each epoch of ``images`` images took, from the mean rate in the epoch's last line."""
    rates = re.findall(r"^Train: (\d+) \[.*\(\d+\.\d+s, +(\d+\.\d+)/s\)", log, re.MULTILINE)
    last = {epoch: float(rate) for epoch, rate in rates}
    return [images / rate for rate in last.values()]


def main() -> None:
    """Run the script with further flags from the command line, and tell what it wrote."""
    job = read_job()
    if job.timm_train is None:
        sys.exit("timm's train.py is not in its distribution; name a copy with --timm-train")
    command = [sys.executable, str(job.timm_train), *list_arguments(job), *sys.argv[2:]]
    log = subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True).stderr
    sys.stderr.write(log)
    with (job.output / "run" / "summary.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    batches, params = re.search(r"Train: 0 \[\s*\d+/(\d+)", log), re.search(r"param count: *(\d+)", log)
    assert batches, "train.py's log names no batches"
    assert params, "train.py's log names no parameters"
    images = int(batches[1]) * job.batch_size
    tell(
        images=images * len(rows),  # it leaves out a last, smaller batch
        epochs=len(rows),
        learning=int(params[1]),
        accuracies=[float(row["eval_top1"]) / 100 for row in rows],
        epoch_seconds=read_epoch_seconds(log, images),
    )


if __name__ == "__main__":
    main()
