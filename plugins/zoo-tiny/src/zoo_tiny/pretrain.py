"""Write weights.safetensors: generate images of shapes and train the network on them with zoo.

    python -m zoo_tiny.pretrain

The command takes a few minutes, and prints nothing until it is done. On the same machine, it always writes the same
file. It prints the size and the SHA-256 of the file, which belong in the plugin's ``WeightsSpec``.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

import zoo
from zoo_tiny import WEIGHTS
from zoo_tiny.drawing import draw_folder
from zoo_tiny.figures import FIGURES


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The number of images to generate, and the training settings."""

    #: Number of training images per shape.
    train: int = 250
    #: Number of validation images per shape.
    val: int = 25
    epochs: int = 20
    lr: float = 5e-3


def pretrain(target: Path, plan: Plan) -> float:
    """Train the network and write the weights of the best epoch to ``target``.

    Returns:
        The validation accuracy, from 0 to 1.
    """
    from safetensors.torch import load_file, save_file

    with tempfile.TemporaryDirectory() as temporary:
        folder, output = Path(temporary, "figures"), Path(temporary, "run")
        draw_folder(folder / "train", FIGURES, count=plan.train, seed="figures/train")
        draw_folder(folder / "val", FIGURES, count=plan.val, seed="figures/val")
        run = zoo.finetune(
            "tiny/tiny",
            folder,
            output=output,
            weights="none",
            train="all",
            epochs=plan.epochs,
            lr=plan.lr,
            device="cpu",  # so that the file is the same on a machine with a GPU
            precision="fp32",
        )
        save_file(load_file(output / "model.safetensors"), target)
    accuracy: float = run.facts["best"]["val_accuracy"]
    return accuracy


def hash_file(file: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def main() -> None:
    """Write the weights and print their accuracy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="file to write")
    target = parser.parse_args().output
    torch.set_num_threads(1)  # so that the file does not depend on the number of cores
    accuracy = pretrain(target, Plan())
    sys.stdout.write(f"{target}: accuracy {accuracy:.3f}, {target.stat().st_size} bytes, SHA-256 {hash_file(target)}\n")  # noqa: TID251  # numbers only


if __name__ == "__main__":
    main()
