"""Train with fastai as in its quick start and its page on vision.learner.

As documented, `vision_learner` freezes a pretrained body except for its batch norms, and `unfreeze` makes all
parameters trainable. The architecture is passed as a function, which is also documented, because this script loads the
weights from a file. fastai cuts the network at its last pooling layer. The script uses the same crop and flip as the
other peers instead of `aug_transforms`, whose rotations and warps would be additional work.
"""

from __future__ import annotations

from fastai.vision.all import (
    FlipItem,
    ImageDataLoaders,
    Learner,
    Normalize,
    RandomResizedCrop,
    accuracy,
    imagenet_stats,
    set_seed,
    vision_learner,
)
from torch import nn

from job import Job, print_answer, read_job
from networks import Counter, build_classifier, count_trainable, split_network


def build_learner(job: Job) -> Learner:
    """Build a learner that trains the head, or all parameters."""
    loaders = ImageDataLoaders.from_folder(
        job.data,
        train="train",
        valid="val",
        item_tfms=[RandomResizedCrop(job.size), FlipItem(0.5)],
        batch_tfms=Normalize.from_stats(*imagenet_stats),
        bs=job.batch_size,
        device=job.device,
        drop_last=False,  # by default, fastai drops the last batch of every epoch
    )

    def build_architecture(*, pretrained: bool) -> nn.Module:
        assert pretrained
        return split_network(job)[0]

    head = nn.Sequential(nn.Flatten(), build_classifier(len(job.classes))) if job.workload == "vgg" else None
    if head is not None:
        head.insert(0, nn.AdaptiveAvgPool2d(7))
    learner = vision_learner(
        loaders, build_architecture, custom_head=head, metrics=accuracy, path=job.output, normalize=False
    )
    if job.workload == "full":
        learner.unfreeze()
    return learner


def main() -> None:
    """Train with the one-cycle schedule."""
    job = read_job()
    set_seed(job.seed)
    learner = build_learner(job)
    counter = Counter(learner.model)
    learner.fit_one_cycle(job.epochs)
    accuracies = [float(values[-1]) for values in learner.recorder.values]
    trainable = count_trainable(learner.model)
    print_answer(images=counter.images, epochs=len(accuracies), learning=trainable, accuracies=accuracies)


if __name__ == "__main__":
    main()
