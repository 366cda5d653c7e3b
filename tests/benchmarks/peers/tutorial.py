"""Train with the loop of the PyTorch tutorial "Transfer Learning for Computer Vision" (ants and bees).

The following is as in the tutorial: ImageFolder, random crop and flip, four workers, a train and a val phase per epoch,
reading the loss after every step, saving the best weights to disk, and SGD with a step schedule if all parameters are
trained. On frozen networks, the loop uses Adam with a learning rate of 1e-3, as in most variants of the tutorial,
because the tutorial's learning rate is meant for batches of 4.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import nn, optim
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader
from torchvision import datasets

from job import Job, print_answer, read_job
from networks import (
    Counter,
    build_classifier,
    build_network,
    build_transform,
    count_trainable,
    replace_last_layer,
)

WORKERS = 4


def build_loaders(job: Job) -> dict[str, DataLoader[Any]]:
    """Build the data loaders of train and val."""
    folders = {
        split: datasets.ImageFolder(job.data / split, build_transform(job, training=split == "train"))
        for split in ("train", "val")
    }
    return {
        split: DataLoader(folder, batch_size=job.batch_size, shuffle=split == "train", num_workers=WORKERS)
        for split, folder in folders.items()
    }


def build_model(job: Job) -> nn.Module:
    """Build the network with a new head, and freeze everything else unless all parameters are trained."""
    model: Any = build_network(job)
    if job.workload != "full":
        for parameter in model.parameters():
            parameter.requires_grad = False
    if job.workload == "vgg":
        model.classifier = build_classifier(len(job.classes))
    else:
        replace_last_layer(model, len(job.classes))
    return model.to(job.device)  # type: ignore[no-any-return]


def build_optimizer(job: Job, model: nn.Module) -> optim.Optimizer:
    """Build the optimizer of the trainable parameters."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if job.workload == "full":  # the tutorial's learning rate of 0.001 is for batches of 4
        return optim.SGD(trainable, lr=0.001 * job.batch_size / 4, momentum=0.9)
    return optim.Adam(trainable, lr=1e-3)


def run_phase(model: nn.Module, loader: DataLoader[Any], optimizer: optim.Optimizer | None, device: str) -> float:
    """Train for one epoch, or evaluate if there is no optimizer. Return the accuracy."""
    model.train(optimizer is not None)
    loss_sum, correct, count = 0.0, 0, 0
    for inputs, labels in loader:
        images, targets = inputs.to(device), labels.to(device)
        if optimizer:
            optimizer.zero_grad()
        with torch.set_grad_enabled(optimizer is not None):
            outputs = model(images)
            loss = nn.functional.cross_entropy(outputs, targets)
            if optimizer:
                loss.backward()
                optimizer.step()
        loss_sum += loss.item() * len(images)
        correct += int((outputs.argmax(1) == targets).sum())
        count += len(images)
    return correct / count


def train(job: Job) -> dict[str, Any]:
    """Train, save the weights of the best epoch, and return the answer."""
    torch.manual_seed(job.seed)
    loaders, model = build_loaders(job), build_model(job)
    counter, accuracies = Counter(model), list[float]()
    optimizer = build_optimizer(job, model)
    schedule = lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    best, epoch_seconds = job.output / "best.pt", list[float]()
    for _ in range(job.epochs):
        started = time.perf_counter()
        run_phase(model, loaders["train"], optimizer, job.device)
        epoch_seconds.append(time.perf_counter() - started)
        schedule.step()
        accuracies.append(run_phase(model, loaders["val"], None, job.device))
        if accuracies[-1] > max(accuracies[:-1], default=-1):
            torch.save(model.state_dict(), best)
    model.load_state_dict(torch.load(best, weights_only=True))
    done = {"images": counter.images, "epochs": job.epochs, "learning": count_trainable(model)}
    return {**done, "accuracies": accuracies, "epoch_seconds": epoch_seconds}


if __name__ == "__main__":
    print_answer(**train(read_job()))
