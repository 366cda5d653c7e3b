"""Writes docs/benchmarks.md. The prose is here; all numbers come from measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pairs import SEEDS, is_whole
from ratios import Spread, describe_accuracy, describe_work, spread, spread_ratios
from workloads import BATCH_SIZE, OURS, PEERS, WORKLOADS, Workload

#: Results of a pair.
Line = dict[str, Any]

PROSE = f"""# Benchmarks

This page compares zoo with other tools for the same work. It is written by `tests/benchmarks/compare.py`; do not edit
it.

Each number compares whole processes, from the start of the command to its end, including imports. zoo and a peer run
alternately (zoo, peer, zoo, peer), and a ratio is computed for each pair, so that a machine whose speed drifts favors
neither. The tables show the median of these ratios, and the minimum and maximum in parentheses. **Above 1, zoo is
faster** or uses less memory.

- All tools get the same images, batches of {BATCH_SIZE}, the same epochs, and the seeds 0 to {SEEDS - 1}, one per pair.
  Each script in `tests/benchmarks/peers/` follows the documentation of its peer, and says where and why it does not.
- zoo is `zoo finetune` with its defaults. Its cache is empty at the start of each run, except in "zoo again". It uses
  channels_last, uses bfloat16 if the CPU supports it, and keeps freed memory for later tensors. The others do what
  their documentation shows, which is float32 unless a row says otherwise. If everything is trained, that is most of
  the difference.
- *Images* is the number of training images in all epochs together, and *trained* is the number of trained parameters.
  A note below the table says if the work is not the same.
- *Accuracy* is measured on the validation images, after the best and the last epoch, as a mean over the pairs.
  *Difference* is how many percentage points zoo's best accuracy is above the peer's. Without pretrained weights,
  training starts from random weights, and the accuracy is not meaningful.
- *Memory* is the peak of a process and its children, to about 5%. If n processes share memory, each is charged 1/n.
- The limit is the work that cannot be avoided: each image is decoded and sent through the network once, or, if
  everything is trained, only the steps are taken, on images in memory. It uses channels_last and the faster of bfloat16
  and float32, and keeps freed memory. It does not fold batch norms into convolutions, as zoo does for a frozen network,
  so zoo can be faster there.
- `--train head` computes the frozen part once, for one view of each image (a center crop), and trains the head on the
  result. This is the default because it is not less accurate. The peers do not do this; they crop and flip in every
  epoch. That is the difference in the first two tables.

To run the comparison, you need only Python and a package registry. It creates an environment for the peers in the
folder (several gigabytes), continues there if it was interrupted, and takes hours on two cores:

```sh
python tests/benchmarks/compare.py --folder ../benchmarks --output docs/benchmarks.md
```

`--data FOLDER` uses your own images instead of drawn ones. `--weights mobilenet_v2=FILE timm/mobilenetv2_100=FILE` uses
pretrained weights. `--timm-train FILE` is timm's train.py, which its distributions do not contain. `--only`, `--peers`,
`--pairs` and `--images` shorten the comparison.
"""

HEADER = """\
| | time | memory | accuracy: best | last | difference | images | trained |
|---|---|---|---|---|---|---|---|
"""


def write_page(results: Mapping[str, Sequence[Line]], settings: Mapping[str, Any], machine: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        results: Results of all pairs by workload.
        settings: Settings that all results have in common.
        machine: Where and when they were measured.
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
    return "\n".join(["## Machine and settings", "", *lines, ""])


def write_table(workload: Workload, lines: Sequence[Line], settings: Mapping[str, Any]) -> str:
    """Return the table of a workload."""
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
    """Return who starts from pretrained weights. Peers use torchvision's network or timm's."""
    names = {"torchvision": workload.model, "timm": f"timm/{workload.timm_model}"}
    given = [library for library, name in names.items() if name in weights]
    if len(given) == len(names):
        return "from pretrained weights"
    return (
        f"from pretrained weights for {given[0]}'s network, otherwise from random weights"
        if given
        else "from random weights"
    )


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
    """Return a peer's row, with empty cells if it never finished."""
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
    """Return the duration of a run without the time that is not part of the work."""
    return float(run["seconds"] - run["answer"]["aside"])


def read_steps(line: Line) -> tuple[float, float] | None:
    """Return zoo's and the peer's seconds for the training steps alone, if both did the same work and reported them."""
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
    """Format the accuracy of the best and the last epoch, the images, and the trained parameters."""
    if not answers:
        return "", "", "", ""
    accuracies = [answer["accuracy"] for answer in answers if answer["accuracy"]]
    best, last = (
        f"{sum(accuracy[key] for accuracy in accuracies) / len(accuracies):.3f}" if accuracies else ""
        for key in ("best", "last")
    )
    return best, last, f"{answers[-1]['images']:,}", f"{answers[-1]['learning']:,}"


def list_notes(name: str, lines: Sequence[Line], images: int, epochs: int) -> list[str]:
    """Return the notes about a peer below the table."""
    mine = [line for line in lines if line["peer"] == name]
    runs = [line["theirs"] for line in mine]
    failed = [run["error"] for run in runs if "error" in run]
    ours = [line[OURS]["error"] for line in mine if "error" in line[OURS]]
    answers = [run["answer"] for run in runs if "answer" in run]
    notes = [PEERS[name].note] if PEERS[name].note and answers else []
    for answer in answers:
        notes += describe_work(answer, images=images, epochs=epochs, batch_size=BATCH_SIZE)
    if name == "limit" and (steps := spread_ratios([pair for line in mine if (pair := read_steps(line))])):
        notes.append(
            f"warmed up, its training steps take {show(steps)} times as long as zoo's, which include loading images"
        )
    for who, errors in (("", failed), ("zoo ", ours)):
        if errors:
            notes.append(f"{who}failed in {len(errors)} of {len(runs)} pairs: {errors[-1]}")
    return [f"{PEERS[name].title}: {note}" for note in dict.fromkeys(notes)]
