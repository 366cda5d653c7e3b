"""Train a timm network with transformers' Trainer, as in its guide to image classification and its page on TimmWrapper.

As in the guide, the data set is an image folder, each epoch ends with an evaluation and a checkpoint, the best
checkpoint is loaded at the end, and a tenth of the steps are for warmup. The learning rate is not 5e-5 as in the guide:
that rate is meant for a full transformer and is too low for a single new layer. The data loaders use one worker process
per core, as transformers' page on training arguments recommends.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import timm
from datasets import Dataset, load_dataset
from torch import nn
from transformers import (
    DefaultDataCollator,
    TimmWrapperConfig,
    TimmWrapperForImageClassification,
    Trainer,
    TrainingArguments,
    set_seed,
)

from job import Job, print_answer, read_job
from networks import Counter, build_transform, count_trainable

RATES = {"frozen": 5e-3, "vgg": 5e-4, "full": 3e-4}


def build_model(job: Job) -> nn.Module:
    """Build the network with a new head, and freeze everything else unless all parameters are trained."""
    if job.timm_weights:
        folder = job.output / "checkpoint"
        folder.mkdir()
        (folder / "model.safetensors").symlink_to(job.timm_weights)
        config = {"architecture": job.timm_model, "num_classes": 1000, "model_type": "timm_wrapper"}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        model = TimmWrapperForImageClassification.from_pretrained(
            folder, num_labels=len(job.classes), ignore_mismatched_sizes=True
        )
    else:
        architecture = TimmWrapperConfig(architecture=job.timm_model, num_labels=len(job.classes))
        model = TimmWrapperForImageClassification(architecture)
    if job.workload != "full":
        freeze(model.timm_model)
    return model  # type: ignore[no-any-return]


def freeze(network: Any) -> None:
    """Freeze everything except the head. VGG's head includes the two hidden layers."""
    for parameter in network.parameters():
        parameter.requires_grad = False
    heads = (network.pre_logits, network.head) if isinstance(network, timm.models.VGG) else (network.get_classifier(),)
    for head in heads:
        for parameter in head.parameters():
            parameter.requires_grad = True


def load_images(job: Job, split: str) -> Dataset:
    """Load the images of a split, which are transformed on access."""
    name = "validation" if split == "val" else split
    images = load_dataset("imagefolder", data_files={name: str(job.data / split / "**")}, split=name)
    transform = build_transform(job, training=split == "train")

    def prepare(examples: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {
            "pixel_values": [transform(image.convert("RGB")) for image in examples["image"]],
            "label": examples["label"],
        }

    return images.with_transform(prepare)


def build_arguments(job: Job) -> TrainingArguments:
    """Build the training arguments, as in the guide."""
    return TrainingArguments(
        output_dir=str(job.output / "run"),
        remove_unused_columns=False,
        eval_strategy="epoch",
        save_strategy="epoch",
        learning_rate=RATES[job.workload],
        per_device_train_batch_size=job.batch_size,
        per_device_eval_batch_size=job.batch_size,
        num_train_epochs=job.epochs,
        warmup_steps=0.1,  # as a fraction of the steps
        logging_steps=10,
        load_best_model_at_end=True,
        metric_for_best_model="accuracy",
        dataloader_num_workers=os.cpu_count() or 1,
        use_cpu=job.device == "cpu",
        report_to="none",
        seed=job.seed,
    )


def main() -> None:
    """Train, and print the answer."""
    job = read_job()
    set_seed(job.seed)
    model = build_model(job)
    counter = Counter(model)
    trainer = Trainer(
        model=model,
        args=build_arguments(job),
        data_collator=DefaultDataCollator(),
        train_dataset=load_images(job, "train"),
        eval_dataset=load_images(job, "val"),
        compute_metrics=lambda found: {"accuracy": float((np.argmax(found[0], axis=1) == found[1]).mean())},
    )
    trainer.train()
    accuracies = [line["eval_accuracy"] for line in trainer.state.log_history if "eval_accuracy" in line]
    print_answer(images=counter.images, epochs=len(accuracies), learning=count_trainable(model), accuracies=accuracies)


if __name__ == "__main__":
    main()
