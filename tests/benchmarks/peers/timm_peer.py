"""Train with timm's own train.py as in its page on training scripts, with only the arguments that the job requires.

timm's distributions do not contain train.py, so the job names a copy from a checkout of the same version.
"""

from __future__ import annotations

import csv
import re
import subprocess
import sys

from job import Job, print_answer, read_job


def list_arguments(job: Job) -> list[str]:
    """Return the arguments for the job. Everything else, such as the learning rate, has train.py's default."""
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
    """Return the duration of each epoch of ``images`` images, from the mean rate in the epoch's last log line."""
    rates = re.findall(r"^Train: (\d+) \[.*\(\d+\.\d+s, +(\d+\.\d+)/s\)", log, re.MULTILINE)
    last = {epoch: float(rate) for epoch, rate in rates}
    return [images / rate for rate in last.values()]


def main() -> None:
    """Run train.py with any additional flags from the command line, and print the answer from its output."""
    job = read_job()
    if job.timm_train is None:
        sys.exit("timm's distribution does not contain train.py; pass a copy with --timm-train")
    command = [sys.executable, str(job.timm_train), *list_arguments(job), *sys.argv[2:]]
    log = subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True).stderr
    sys.stderr.write(log)
    with (job.output / "run" / "summary.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    batches, params = re.search(r"Train: 0 \[\s*\d+/(\d+)", log), re.search(r"param count: *(\d+)", log)
    assert batches, "the log of train.py does not contain the number of batches"
    assert params, "the log of train.py does not contain the number of parameters"
    images = int(batches[1]) * job.batch_size
    print_answer(
        images=images * len(rows),  # train.py drops the last, smaller batch
        epochs=len(rows),
        learning=int(params[1]),
        accuracies=[float(row["eval_top1"]) / 100 for row in rows],
        epoch_seconds=read_epoch_seconds(log, images),
    )


if __name__ == "__main__":
    main()
