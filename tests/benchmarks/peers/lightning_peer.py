"""Train a module with a backbone and a head, as in Lightning's pages on transfer learning and BackboneFinetuning.

The callback `BackboneFinetuning` unfreezes the backbone at an epoch that is never reached. Batch norms stay trainable,
which is the default of the callback. If all parameters are trained, the callback is not used. The data loaders have one
worker per core and keep their workers between epochs, as Lightning recommends in its warnings.
"""

from __future__ import annotations

import os
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import BackboneFinetuning
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassAccuracy
from torchvision.datasets import ImageFolder

from job import Job, print_answer, read_job
from networks import Counter, build_transform, count_trainable, split_network


class Classifier(lightning.LightningModule):
    """A module with a backbone and a head."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.backbone, head = split_network(job)
        self.head = nn.Sequential(nn.Flatten(), head)
        self.train_all = job.workload == "full"
        self.accuracy = MulticlassAccuracy(len(job.classes), average="micro")
        self.accuracies: list[float] = []

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.backbone(images))
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
        images, labels = batch
        loss = nn.functional.cross_entropy(self(images), labels)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _index: int) -> None:
        images, labels = batch
        self.accuracy(self(images), labels)
        self.log("val_accuracy", self.accuracy, on_epoch=True, prog_bar=True)

    def on_validation_epoch_end(self) -> None:
        if not self.trainer.sanity_checking:
            self.accuracies.append(float(self.accuracy.compute()))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        trainable = filter(lambda parameter: parameter.requires_grad, self.parameters())
        return torch.optim.Adam(trainable, lr=1e-4 if self.train_all else 1e-3)


def build_loader(job: Job, split: str) -> DataLoader[Any]:
    """Build the data loader of a split."""
    folder = ImageFolder(job.data / split, build_transform(job, training=split == "train"))
    workers = os.cpu_count() or 1
    return DataLoader(folder, job.batch_size, shuffle=split == "train", num_workers=workers, persistent_workers=True)


def main() -> None:
    """Train, and print the answer."""
    job = read_job()
    lightning.seed_everything(job.seed, workers=True)
    model = Classifier(job)
    counter = Counter(model)
    callbacks = [] if job.workload == "full" else [BackboneFinetuning(unfreeze_backbone_at_epoch=job.epochs + 1)]
    trainer = lightning.Trainer(
        max_epochs=job.epochs, callbacks=callbacks, accelerator=job.device, default_root_dir=job.output
    )
    trainer.fit(model, build_loader(job, "train"), build_loader(job, "val"))
    print_answer(images=counter.images, epochs=job.epochs, learning=count_trainable(model), accuracies=model.accuracies)


if __name__ == "__main__":
    main()
