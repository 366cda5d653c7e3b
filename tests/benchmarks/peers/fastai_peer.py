"""fastai as its quick start and its page on vision.learner show it: ImageDataLoaders, vision_learner, fit_one_cycle.

`vision_learner` freezes the body of what it takes for pretrained, and leaves its batch norms learning, as documented;
`unfreeze` lets all learn. Its `fine_tune` is the two after each other. The architecture is a function, which is
documented too, since weights come from a file here; fastai cuts it at its last pooling layer. Crop and flip are those
of the others and not `aug_transforms`, whose rotations and warps would be more work.
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
    """Build a learner; only its head learns, unless all is to."""
    loaders = ImageDataLoaders.from_folder(
        job.data,
        train="train",
        valid="val",
        item_tfms=[RandomResizedCrop(job.size), FlipItem(0.5)],
        batch_tfms=Normalize.from_stats(*imagenet_stats),
        bs=job.batch_size,
        device=job.device,
        drop_last=False,  # by default it leaves out the last batch of every epoch
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
