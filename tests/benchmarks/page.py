"""Writes the page: what is compared and how stands here, figures come from runs alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pairs import SEEDS, is_whole
from ratios import Spread, describe_accuracy, describe_work, spread, spread_ratios
from workloads import BATCH_SIZE, OURS, PEERS, WORKLOADS, Workload

#: A pair, as it is kept.
Line = dict[str, Any]

PROSE = f"""# Benchmarks

How long zoo takes, against what people would use instead. Written by `tests/benchmarks/compare.py`; do not edit.

Each figure compares whole processes: from the start of the command, imports included, to its end. zoo and a peer run
in turn, zoo, peer, zoo, peer, and a ratio is taken within each pair, so that a machine whose speed drifts favours
neither. Shown is the median of these ratios, and in brackets the lowest and the highest. **Above 1, zoo is faster**, or
takes less memory.

- All are given the same images, batches of {BATCH_SIZE}, epochs and seeds, pair after pair those from 0 to {SEEDS - 1}.
  Each script in `tests/benchmarks/peers/` follows its peer's documentation, and says where it does not and why.
- zoo is `zoo finetune` with its defaults. Its cache is empty at the start of each run, except in "zoo again". It
  takes channels last, bfloat16 if the processor computes in it, and keeps freed memory for its next tensors; the
  others do what their documentation shows, which is float32 but where a row says otherwise. Where all learns, that is
  most of the difference.
- *Images* is how many were trained on in all epochs together, *learns* how many parameters did; work that is not the
  same is said.
- *Accuracy* is that of the best and of the last epoch on the validation images, the mean over the pairs; *ahead* is
  by how many percentage points zoo's best is above the peer's. Who was given no pretrained weights starts from random
  ones, whose accuracy says nothing.
- *Memory* is the most that a process and its children held at a time, to about 5%; of what several share, each is
  charged its part.
- The limit is the work with nothing around it: each image decoded and sent through the network once, or, where all
  learns, the steps alone on images that are in memory; channels last, in the faster of bfloat16 and float32, freed
  memory kept. It folds no batch norms into convolutions, as zoo does where nothing learns: there its ratio may be
  above 1.
- `--train head` computes the frozen part once and trains the head on what came out, of one view of each image, cropped
  at its centre: that is its default, as it is no less accurate. None of the peers does; they crop and flip at every
  epoch. That is the difference in the first two tables.

To measure it yourself, with no more than Python and a package registry (it makes an environment for the peers in the
folder, of several gigabytes, goes on there where it was broken off, and takes hours on two cores):

```sh
python tests/benchmarks/compare.py --folder ../benchmarks --output docs/benchmarks.md
```

`--data FOLDER` takes other images than drawn ones, `--weights mobilenet_v2=FILE timm/mobilenetv2_100=FILE` pretrained
weights, and `--timm-train FILE` timm's train.py, which is in none of its distributions. `--only`, `--peers`, `--pairs`
and `--images` make it shorter.
"""

HEADER = """\
| | time | memory | accuracy: best | last | ahead | images | learns |
|---|---|---|---|---|---|---|---|
"""


def write_page(results: Mapping[str, Sequence[Line]], settings: Mapping[str, Any], machine: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        results: by workload, a line for each pair.
        settings: what the figures have in common.
        machine: where and when they were measured.
    """
    tables = [write_table(WORKLOADS[name], lines, settings) for name, lines in results.items() if lines]
    return "\n".join([PROSE, write_setting(settings, machine), *tables])


def write_setting(settings: Mapping[str, Any], machine: Mapping[str, str]) -> str:
    """Write where the figures are from."""
    versions = ", ".join(f"{name} {version}" for name, version in settings["versions"].items())
    images, weights = settings["images"], ", ".join(settings["weights"]) or "none, random ones everywhere"
    lines = [f"- {name}: {value}" for name, value in machine.items()]
    lines += [f"- versions: {versions}"]
    lines += [f"- images: {images['train']:,} to train on, {images['val']:,} to validate on; {settings['source']}"]
    lines += [f"- pretrained weights: {weights}"]
    return "\n".join(["## Where", "", *lines, ""])


def write_table(workload: Workload, lines: Sequence[Line], settings: Mapping[str, Any]) -> str:
    """Write the table of a workload."""
    epochs = settings["epochs"] or workload.epochs
    rows = [write_ours(lines)]
    for name in PEERS:
        if mine := [line for line in lines if line["peer"] == name]:
            rows += [write_row(PEERS[name].title, mine)]
    notes = [note for name in PEERS for note in list_notes(name, lines, settings["images"]["train"], epochs)]
    start = describe_start(workload, settings["weights"])
    title = f"## {workload.title}\n\n{epochs} epoch{'s' * (epochs != 1)}, {start}.\n\n{HEADER}"
    return title + "\n".join(rows) + "\n" + "".join(f"\n- {note}" for note in notes) + "\n" * bool(notes)


def describe_start(workload: Workload, weights: Sequence[str]) -> str:
    """Say who starts from pretrained weights; peers take torchvision's network or timm's."""
    names = {"torchvision": workload.model, "timm": f"timm/{workload.timm_model}"}
    given = [library for library, name in names.items() if name in weights]
    if len(given) == len(names):
        return "from pretrained weights"
    return f"from pretrained weights with {given[0]}'s network, else random ones" if given else "from random weights"


def write_ours(lines: Sequence[Line]) -> str:
    """Write zoo's own row, with absolute figures of that machine on that day."""
    runs = [line[OURS] for line in lines if "answer" in line[OURS]]
    seconds, memory = spread([run["seconds"] for run in runs]), spread([run["memory"] or 0 for run in runs])
    shown = [
        f"{show(seconds, 1)} s",
        f"{memory.median / 2**20:,.0f} MiB" if memory and memory.median else "unknown",
        *show_answers([run["answer"] for run in runs]),
    ]
    best, last, images, learns = shown[2:]
    return f"| **zoo** | {shown[0]} | {shown[1]} | {best} | {last} | | {images} | {learns} |"


def write_row(title: str, lines: Sequence[Line]) -> str:
    """Write a peer's row; dashes where it never ran to its end."""
    whole = [line for line in lines if is_whole(line)]
    if not whole:
        return f"| {title} | failed | | | | | | |"
    time = spread_ratios([(line[OURS]["seconds"], count_seconds(line["theirs"])) for line in whole])
    title += f", {len(whole)} pair{'s' * (len(whole) != 1)}"
    known = [line for line in whole if line[OURS]["memory"] and line["theirs"]["memory"]]
    memory = spread_ratios([(line[OURS]["memory"], line["theirs"]["memory"]) for line in known])
    best, last, images, learns = show_answers([line["theirs"]["answer"] for line in whole])
    pairs = [[line[side]["answer"]["accuracy"] for side in (OURS, "theirs")] for line in whole]
    ahead = describe_accuracy([(ours["best"], theirs["best"]) for ours, theirs in pairs if ours and theirs])
    return f"| {title} | {show(time)} | {show(memory)} | {best} | {last} | {ahead} | {images} | {learns} |"


def count_seconds(run: Mapping[str, Any]) -> float:
    """Return how long a run took, without what it said was no part of the work."""
    return float(run["seconds"] - run["answer"]["aside"])


def read_steps(line: Line) -> tuple[float, float] | None:
    """Return the seconds of the training steps alone, zoo's and the peer's, where both told them of the same work."""
    if not is_whole(line):
        return None
    ours, theirs = line[OURS]["answer"], line["theirs"]["answer"]
    is_same = ours["learning"] == theirs["learning"] and ours["images"] == theirs["images"]
    return (ours["steps"], theirs["steps"]) if is_same and ours["steps"] and theirs["steps"] else None


def show(figure: Spread | None, digits: int = 2) -> str:
    """Show a median with what lies around it."""
    if figure is None:
        return ""
    return f"{figure.median:.{digits}f} ({figure.low:.{digits}f} to {figure.high:.{digits}f})"


def show_answers(answers: Sequence[Mapping[str, Any]]) -> tuple[str, str, str, str]:
    """Show what was answered: accuracy of the best and the last epoch, images, and parameters that learnt."""
    if not answers:
        return "", "", "", ""
    accuracies = [answer["accuracy"] for answer in answers if answer["accuracy"]]
    best, last = (
        f"{sum(accuracy[key] for accuracy in accuracies) / len(accuracies):.3f}" if accuracies else ""
        for key in ("best", "last")
    )
    return best, last, f"{answers[-1]['images']:,}", f"{answers[-1]['learning']:,}"


def list_notes(name: str, lines: Sequence[Line], images: int, epochs: int) -> list[str]:
    """List what is to be said of a peer below the table."""
    mine = [line for line in lines if line["peer"] == name]
    runs = [line["theirs"] for line in mine]
    failed = [run["error"] for run in runs if "error" in run]
    ours = [line[OURS]["error"] for line in mine if "error" in line[OURS]]
    answers = [run["answer"] for run in runs if "answer" in run]
    notes = [PEERS[name].note] if PEERS[name].note and answers else []
    for answer in answers:
        notes += describe_work(answer, images=images, epochs=epochs, batch_size=BATCH_SIZE)
    if name == "limit" and (steps := spread_ratios([pair for line in mine if (pair := read_steps(line))])):
        notes.append(f"warm, its training steps take {show(steps)} of the time of zoo's, which load the images as well")
    for who, errors in (("", failed), ("zoo ", ours)):
        if errors:
            notes.append(f"{who}failed in {len(errors)} of {len(runs)} pairs: {errors[-1]}")
    return [f"{PEERS[name].title}: {note}" for note in dict.fromkeys(notes)]
