"""transformers' Trainer on a timm network, as in its guide to image classification and its page on TimmWrapper.

From the guide: an image folder as data set with a transform and a crop, evaluation and a checkpoint after every epoch,
the best one loaded at the end, and a tenth of the steps for warmup. The learning rate is not the guide's 5e-5, which is
meant for a full transformer and too low for a single new layer. The loaders use one worker process per core, as its
page on training arguments recommends.
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

from job import Job, read_job, tell
from networks import Counter, build_transform, count_learning

RATES = {"frozen": 5e-3, "vgg": 5e-4, "full": 3e-4}


def build_model(job: Job) -> nn.Module:
    """Build the network as from a checkpoint folder, with a new head. Freeze the rest unless everything is trained."""
    if job.timm_weights:
        folder = job.output / "checkpoint"
        folder.mkdir()
        (folder / "model.safetensors").symlink_to(job.timm_weights)
        facts = {"architecture": job.timm_model, "num_classes": 1000, "model_type": "timm_wrapper"}
        (folder / "config.json").write_text(json.dumps(facts), encoding="utf-8")
        model = TimmWrapperForImageClassification.from_pretrained(
            folder, num_labels=len(job.classes), ignore_mismatched_sizes=True
        )
    else:
        config = TimmWrapperConfig(architecture=job.timm_model, num_labels=len(job.classes))
        model = TimmWrapperForImageClassification(config)
    if job.workload != "full":
        freeze(model.timm_model)
    return model  # type: ignore[no-any-return]


def freeze(network: Any) -> None:
    """Freeze everything except the head, which in VGG includes the two hidden layers."""
    for parameter in network.parameters():
        parameter.requires_grad = False
    heads = (network.pre_logits, network.head) if isinstance(network, timm.models.VGG) else (network.get_classifier(),)
    for head in heads:
        for parameter in head.parameters():
            parameter.requires_grad = True


def load_images(job: Job, split: str) -> Dataset:
    """Load the images in train or val, transformed on access."""
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
    """Build the arguments of the guide."""
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
    """Train."""
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
        compute_metrics=lambda said: {"accuracy": float((np.argmax(said[0], axis=1) == said[1]).mean())},
    )
    trainer.train()
    accuracies = [line["eval_accuracy"] for line in trainer.state.log_history if "eval_accuracy" in line]
    tell(images=counter.images, epochs=len(accuracies), learning=count_learning(model), accuracies=accuracies)


if __name__ == "__main__":
    main()
