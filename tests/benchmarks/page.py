"""Write docs/benchmarks.md. This module contains the prose; all numbers come from measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pairs import SEEDS, is_whole
from ratios import Spread, describe_accuracy, describe_work, spread, spread_ratios
from workloads import BATCH_SIZE, OURS, PEERS, WORKLOADS, Workload

#: Results of a pair.
Line = dict[str, Any]

PROSE = f"""# Benchmarks

This page compares zoo with other tools: running time, memory and accuracy.
`tests/benchmarks/compare.py` generates this page; do not edit it by hand.

## Method

Each figure compares complete processes, from the start of the command to its end, including imports. zoo and
another tool run alternately (zoo, other tool, zoo, other tool), and a ratio is computed for each pair. This way,
changes in the speed of the machine favor neither tool. The tables show the median of the ratios and, in
parentheses, the lowest and the highest. **If the ratio is above 1, zoo is faster** or uses less memory.

- All tools get the same images, epochs, batch size ({BATCH_SIZE}, unless the title says otherwise) and seeds (0 to
  {SEEDS - 1}, one per pair). Each script in `tests/benchmarks/peers/` follows the documentation of its tool, and states
  where it deviates and why.
- zoo runs as `zoo finetune` with default options. Its cache is empty at the start of each run, except in the row
  "zoo again". By default, zoo uses the channels-last memory format, uses bfloat16 if the CPU supports it natively,
  and keeps freed memory for reuse. The other tools run as in their documentation, in float32 unless a row says
  otherwise. If all parameters are trained, these settings cause most of the difference.
- *Images* is the number of training images over all epochs, and *trainable* is the number of trainable parameters.
  The notes below a table state where a tool's work differs.
- *Accuracy* is the validation accuracy of the best epoch and of the last epoch, as the mean over the pairs. *Ahead*
  is zoo's best accuracy minus the other tool's, in percentage points. Without pretrained weights, a tool
  starts from random weights, and its accuracy is not meaningful.
- *Memory* is the peak memory of a process and its children, accurate to about 5%. Memory that several processes
  share is divided between them.
- "The limit" is a script that does only the work that cannot be avoided. With a frozen network, it decodes each
  image once and runs the network on it once. If all parameters are trained, it runs only the forward pass, the
  backward pass and the optimizer step, on images in memory. It uses channels-last and bfloat16 or float32,
  whichever is faster, and keeps freed memory. It does not fold batch norms into convolutions. zoo does this in
  frozen networks, so with a frozen network even the limit can be slower than zoo (a ratio above 1).
- With `--train head`, zoo runs the frozen part once, on one center-cropped view of each image, and trains the head
  on the output. This is the default, because augmentation does not improve the accuracy. The other tools run the
  full network in every epoch, on randomly cropped and flipped images. This difference in work causes the
  difference in time in the first two tables.

## Repeat the measurement

You need only Python and access to a package index. The command creates a virtual environment for the other tools
in the folder, which takes several gigabytes, and runs for hours on two cores. If it is interrupted, run the same
command again to continue.

```sh
python tests/benchmarks/compare.py --folder ../benchmarks --output docs/benchmarks.md
```

By default, the command generates synthetic images and uses random weights. `--data FOLDER` uses your own images.
`--weights mobilenet_v2=FILE timm/mobilenetv2_100=FILE` uses pretrained weights. `--timm-train FILE` is the path of
timm's train.py, which is not part of the timm package. `--only`, `--peers`, `--pairs` and `--images` reduce the
amount of work.
"""

HEADER = """\
| | time | memory | accuracy: best | last | ahead | images | trainable |
|---|---|---|---|---|---|---|---|
"""


def write_page(results: Mapping[str, Sequence[Line]], settings: Mapping[str, Any], machine: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        results: Results of all pairs by workload.
        settings: Settings that all results have in common.
        machine: The machine, and the date of the measurements.
    """
    tables = [write_table(WORKLOADS[name], lines, settings) for name, lines in results.items() if lines]
    return "\n".join([PROSE, write_setting(settings, machine), *tables])


def write_setting(settings: Mapping[str, Any], machine: Mapping[str, str]) -> str:
    """Return the section about the machine and the settings."""
    versions = ", ".join(f"{name} {version}" for name, version in settings["versions"].items())
    images, weights = settings["images"], ", ".join(settings["weights"]) or "none"
    lines = [f"- {name}: {value}" for name, value in machine.items()]
    lines += [f"- versions: {versions}"]
    lines += [f"- images: {images['train']:,} for training, {images['val']:,} for validation; {settings['source']}"]
    lines += [f"- pretrained weights: {weights}"]
    return "\n".join(["## Machine and versions", "", *lines, ""])


def write_table(workload: Workload, lines: Sequence[Line], settings: Mapping[str, Any]) -> str:
    """Return the table of a workload."""
    epochs = settings["epochs"] or workload.epochs
    rows = [write_ours(lines)]
    for name in PEERS:
        if mine := [line for line in lines if line["peer"] == name]:
            rows += [write_row(PEERS[name].title, mine)]
    work = {"images": settings["images"]["train"], "epochs": epochs, "batch_size": workload.batch_size}
    notes = [note for name in PEERS for note in list_notes(name, lines, work)]
    start = describe_start(workload, settings["weights"])
    title = f"## {workload.title}\n\n{epochs} epoch{'s' * (epochs != 1)}, {start}.\n\n{HEADER}"
    return title + "\n".join(rows) + "\n" + "".join(f"\n- {note}" for note in notes) + "\n" * bool(notes)


def describe_start(workload: Workload, weights: Sequence[str]) -> str:
    """Describe the initial weights. Each peer uses either torchvision's network or timm's."""
    names = {"torchvision": workload.model, "timm": f"timm/{workload.timm_model}"}
    pretrained = [library for library, name in names.items() if name in weights]
    if len(pretrained) == len(names):
        return "from pretrained weights"
    if not pretrained:
        return "from random weights"
    return f"from pretrained weights for {pretrained[0]}'s network, otherwise from random weights"


def write_ours(lines: Sequence[Line]) -> str:
    """Return zoo's row, with absolute numbers."""
    runs = [line[OURS] for line in lines if "answer" in line[OURS]]
    seconds, memory = spread([run["seconds"] for run in runs]), spread([run["memory"] or 0 for run in runs])
    shown = [
        f"{show(seconds, 1)} s",
        f"{memory.median / 2**20:,.0f} MiB" if memory and memory.median else "unknown",
        *show_answers([run["answer"] for run in runs]),
    ]
    best, last, images, trained = shown[2:]
    return f"| **zoo** | {shown[0]} | {shown[1]} | {best} | {last} | | {images} | {trained} |"


def write_row(title: str, lines: Sequence[Line]) -> str:
    """Return a peer's row, with empty cells if the peer never finished."""
    whole = [line for line in lines if is_whole(line)]
    if not whole:
        return f"| {title} | failed | | | | | | |"
    time = spread_ratios([(line[OURS]["seconds"], count_seconds(line["theirs"])) for line in whole])
    title += f", {len(whole)} pair{'s' * (len(whole) != 1)}"
    known = [line for line in whole if line[OURS]["memory"] and line["theirs"]["memory"]]
    memory = spread_ratios([(line[OURS]["memory"], line["theirs"]["memory"]) for line in known])
    best, last, images, trained = show_answers([line["theirs"]["answer"] for line in whole])
    pairs = [[line[side]["answer"]["accuracy"] for side in (OURS, "theirs")] for line in whole]
    ahead = describe_accuracy([(ours["best"], theirs["best"]) for ours, theirs in pairs if ours and theirs])
    return f"| {title} | {show(time)} | {show(memory)} | {best} | {last} | {ahead} | {images} | {trained} |"


def count_seconds(run: Mapping[str, Any]) -> float:
    """Return the duration of a run in seconds, without the time that does not count as work."""
    return float(run["seconds"] - run["answer"]["aside"])


def read_steps(line: Line) -> tuple[float, float] | None:
    """Return the seconds that zoo and the peer report for the training steps alone, or None if their work differs."""
    if not is_whole(line):
        return None
    ours, theirs = line[OURS]["answer"], line["theirs"]["answer"]
    is_same = ours["learning"] == theirs["learning"] and ours["images"] == theirs["images"]
    return (ours["steps"], theirs["steps"]) if is_same and ours["steps"] and theirs["steps"] else None


def show(figure: Spread | None, digits: int = 2) -> str:
    """Format a median with its range."""
    if figure is None:
        return ""
    return f"{figure.median:.{digits}f} ({figure.low:.{digits}f} to {figure.high:.{digits}f})"


def show_answers(answers: Sequence[Mapping[str, Any]]) -> tuple[str, str, str, str]:
    """Format the accuracy of the best and the last epoch, and the numbers of images and trainable parameters."""
    if not answers:
        return "", "", "", ""
    accuracies = [answer["accuracy"] for answer in answers if answer["accuracy"]]
    best, last = (
        f"{sum(accuracy[key] for accuracy in accuracies) / len(accuracies):.3f}" if accuracies else ""
        for key in ("best", "last")
    )
    return best, last, f"{answers[-1]['images']:,}", f"{answers[-1]['learning']:,}"


def list_notes(name: str, lines: Sequence[Line], work: Mapping[str, int]) -> list[str]:
    """Return the notes about a peer that appear below the table.

    Args:
        name: Name of the peer.
        lines: Results of the workload.
        work: The ``images``, ``epochs`` and ``batch_size`` of a run.
    """
    mine = [line for line in lines if line["peer"] == name]
    runs = [line["theirs"] for line in mine]
    failed = [run["error"] for run in runs if "error" in run]
    ours = [line[OURS]["error"] for line in mine if "error" in line[OURS]]
    answers = [run["answer"] for run in runs if "answer" in run]
    notes = [PEERS[name].note] if PEERS[name].note and answers else []
    for answer in answers:
        notes += describe_work(answer, **work)
    if name == "limit" and (steps := spread_ratios([pair for line in mine if (pair := read_steps(line))])):
        ratio = f"{show(steps)} times as long as zoo's"
        notes.append(f"after warm-up, its training steps take {ratio}, which include loading images")
    for who, errors in (("", failed), ("zoo ", ours)):
        if errors:
            notes.append(f"{who}failed in {len(errors)} of {len(runs)} pairs: {errors[-1]}")
    return [f"{PEERS[name].title}: {note}" for note in dict.fromkeys(notes)]
