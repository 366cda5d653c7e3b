"""fastai as in its quick start and its page on vision.learner: ImageDataLoaders, vision_learner, fit_one_cycle.

`vision_learner` freezes the body if it is pretrained, except for its batch norms, as documented; `unfreeze` makes all
parameters trainable. `fine_tune` does both in turn. The architecture is a function, which is also documented, because
the weights come from a file here; fastai cuts it at its last pooling layer. The crop and flip are those of the others
instead of `aug_transforms`, whose rotations and warps would be additional work.
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

from job import Job, read_job, tell
from networks import Counter, build_classifier, count_learning, split_network


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
        drop_last=False,  # by default, the last batch of every epoch is left out
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
    """Train with one cycle."""
    job = read_job()
    set_seed(job.seed)
    learner = build_learner(job)
    counter = Counter(learner.model)
    learner.fit_one_cycle(job.epochs)
    accuracies = [float(values[-1]) for values in learner.recorder.values]
    learning = count_learning(learner.model)
    tell(images=counter.images, epochs=len(accuracies), learning=learning, accuracies=accuracies)


if __name__ == "__main__":
    main()
