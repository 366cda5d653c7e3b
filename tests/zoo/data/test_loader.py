"""Loading batches of samples, in the calling thread and in workers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from made_samples import make_sample
from zoo.data.decode import decode_image
from zoo.data.loader import Batch, EvalBatches, LoaderOptions, TrainBatches
from zoo.data.pixel_cache import Pixels
from zoo.data.sample import Sample
from zoo.data.sampler import Sampler, mix_seed
from zoo.data.transform import build_eval_transform, build_train_transform
from zoo.errors import DataError
from zoo.plugin import InputSpec

Plant = Callable[[Path, Mapping[str, int]], Path]

INPUT = InputSpec(size=(3, 12, 12), resize=14)
AUGMENTED = build_train_transform(INPUT, "crop-flip")
PLAIN = build_eval_transform(INPUT)
#: Seed of the first image's augmentation in the first epoch of a run with seed 0.
FIRST = mix_seed(0, 0, 0)


@pytest.fixture
def samples(tmp_path: Path, plant: Plant) -> list[Sample]:
    folder = plant(tmp_path, {"ant": 13})
    paths = sorted(folder.glob("ant/*.png"))
    return [make_sample(path, label) for label, path in enumerate(paths)]


def train(samples: list[Sample], loading: LoaderOptions, seed: int) -> TrainBatches:
    return TrainBatches(samples, Pixels(AUGMENTED, 0), loading, Sampler(loading.batch_size, seed))


def equal(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a, b) for pair in zip(one, other, strict=True) for a, b in zip(*pair, strict=True)
    )


def list_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("load")}


def labels_of(batches: list[Batch]) -> list[int]:
    return [label for _, labels in batches for label in labels.tolist()]


def test_only_training_batches_of_weighted_images_contain_weights(samples: list[Sample]) -> None:
    loading = LoaderOptions(batch_size=4)
    weighted = [replace(sample, file=replace(sample.file, loss_weight=0.5 + sample.label)) for sample in samples]
    batches = list(train(weighted, loading, seed=0).epoch(0))
    assert all(torch.equal(weights, 0.5 + labels) for _, labels, weights in batches)
    assert {len(batch) for batch in train(samples, loading, seed=0).epoch(0)} == {2}
    assert {len(batch) for batch in EvalBatches(weighted, Pixels(AUGMENTED, 0), loading)} == {2}


def test_batches_have_the_right_shapes_and_contain_every_sample(samples: list[Sample]) -> None:
    loaded = train(samples, LoaderOptions(batch_size=4), seed=0)
    batches = list(loaded.epoch(0))
    assert [images.shape for images, _ in batches] == [(4, 3, 12, 12), (4, 3, 12, 12), (5, 3, 12, 12)]
    assert len(loaded) == 3
    assert {images.dtype for images, _ in batches} == {torch.uint8}
    assert {labels.dtype for _, labels in batches} == {torch.int64}
    assert sorted(labels_of(batches)) == list(range(13))


def test_evaluation_batches_are_in_order_and_can_be_repeated(samples: list[Sample]) -> None:
    batches = EvalBatches(samples, Pixels(PLAIN, 0), LoaderOptions(batch_size=4))
    first = list(batches)
    assert labels_of(first) == list(range(13))
    assert [len(labels) for _, labels in first] == [4, 4, 4, 1]
    assert len(batches) == 4
    assert equal(first, list(batches))
    expected = torch.stack([PLAIN.reduce(decode_image(sample.path)) for sample in samples])
    assert torch.equal(torch.cat([images for images, _ in first]), expected)


def test_workers_do_not_change_the_batches_and_are_kept_for_all_epochs(samples: list[Sample]) -> None:
    without_workers = train(samples, LoaderOptions(batch_size=4), seed=3)
    with_workers = train(samples, LoaderOptions(batch_size=4, workers=2), seed=3)
    workers = set()
    for epoch in (0, 1, 5):
        assert equal(list(without_workers.epoch(epoch)), list(with_workers.epoch(epoch)))
        workers |= list_threads()
    with_workers.close()
    assert len(workers) == 2
    assert equal(
        list(EvalBatches(samples, Pixels(PLAIN, 0), LoaderOptions(batch_size=4))),
        list(EvalBatches(samples, Pixels(PLAIN, 0), LoaderOptions(batch_size=4, workers=2))),
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_does_not_depend_on_earlier_ones(samples: list[Sample], workers: int) -> None:
    fresh = list(train(samples, LoaderOptions(batch_size=4), seed=3).epoch(2))
    loaded = train(samples, LoaderOptions(batch_size=4, workers=workers), seed=3)
    list(loaded.epoch(0))
    next(loaded.epoch(1))  # This epoch is abandoned after one batch.
    assert equal(list(loaded.epoch(2)), fresh)
    assert not equal(list(loaded.epoch(0)), fresh)


def test_augmentation_depends_on_seed_epoch_and_sample_but_not_on_the_batch(samples: list[Sample]) -> None:
    def by_label(batch_size: int, seed: int, epoch: int) -> dict[int, Tensor]:
        batches = train(samples, LoaderOptions(batch_size=batch_size), seed=seed).epoch(epoch)
        return {int(label): image for images, labels in batches for image, label in zip(images, labels, strict=True)}

    one, other = by_label(2, seed=0, epoch=0), by_label(5, seed=0, epoch=0)
    assert all(torch.equal(one[label], other[label]) for label in one)
    for seed, epoch in ((0, 1), (1, 0)):
        changed = by_label(2, seed=seed, epoch=epoch)
        assert not any(torch.equal(one[label], changed[label]) for label in one)


def test_two_samples_of_the_same_image_are_augmented_differently(samples: list[Sample]) -> None:
    twice = [samples[0], samples[0]]
    ((images, _),) = train(twice, LoaderOptions(batch_size=2), seed=0).epoch(0)
    assert not torch.equal(images[0], images[1])


@pytest.mark.parametrize("workers", [0, 2])
def test_loading_does_not_use_the_global_generator(samples: list[Sample], workers: int) -> None:
    state = torch.get_rng_state()
    list(train(samples, LoaderOptions(batch_size=4, workers=workers), seed=0).epoch(0))
    list(EvalBatches(samples, Pixels(PLAIN, 0), LoaderOptions(batch_size=4, workers=workers)))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_changes_during_training_is_an_error_with_its_path(samples: list[Sample], workers: int) -> None:
    loaded = train(samples, LoaderOptions(batch_size=4, workers=workers), seed=0)
    list(loaded.epoch(0))
    samples[5].path.write_bytes(samples[5].path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"has changed.*run again") as caught:
        list(loaded.epoch(1))
    loaded.close()
    assert list_threads() == set()
    assert str(samples[5].path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_closing_stops_the_workers_even_during_an_epoch(samples: list[Sample]) -> None:
    for batches in (
        train(samples, LoaderOptions(batch_size=1, workers=2), seed=0),
        EvalBatches(samples, Pixels(PLAIN, 0), LoaderOptions(batch_size=1, workers=2)),
    ):
        next(batches.epoch(0) if isinstance(batches, TrainBatches) else iter(batches))
        assert len(list_threads()) == 2
        batches.close()
        batches.close()
        assert list_threads() == set()


@pytest.mark.parametrize("ahead", [0, 1, 9])
def test_loading_ahead_does_not_change_the_batches(samples: list[Sample], ahead: int) -> None:
    expected = list(train(samples, LoaderOptions(batch_size=3), seed=1).epoch(0))
    batches = train(samples, LoaderOptions(batch_size=3, workers=2, ahead=ahead), seed=1)
    assert equal(list(batches.epoch(0)), expected)
    batches.close()


def test_no_more_batches_are_loaded_ahead_than_requested(samples: list[Sample]) -> None:
    decoded: list[int] = []

    def reduce(pixels: Tensor) -> Tensor:
        decoded.append(1)
        return PLAIN.reduce(pixels)

    batches = EvalBatches(
        samples, Pixels(replace(PLAIN, reduce=reduce), 0), LoaderOptions(batch_size=2, workers=1, ahead=1)
    )
    iterator = iter(batches)
    next(iterator)
    batches.close()  # This waits for images that are being decoded.
    assert len(decoded) <= 4


def test_loader_threads_do_not_change_the_number_of_torch_threads(samples: list[Sample]) -> None:
    torch.set_num_threads(3)
    try:
        batches = EvalBatches(samples, Pixels(PLAIN, 0), LoaderOptions(batch_size=2, workers=2))
        list(batches)
        batches.close()
        assert torch.get_num_threads() == 3
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(1)


def test_a_single_sample_makes_a_batch(samples: list[Sample]) -> None:
    ((images, labels),) = train(samples[:1], LoaderOptions(batch_size=4), seed=0).epoch(0)
    assert images.shape == (1, 3, 12, 12)
    assert labels.tolist() == [0]


@pytest.mark.parametrize("ranks", [2, 3, 5])
@pytest.mark.parametrize("start", [0, 1])
def test_several_processes_together_load_the_same_batches_as_one(samples: list[Sample], ranks: int, start: int) -> None:
    loading, pixels = LoaderOptions(batch_size=5), Pixels(AUGMENTED, 0)
    alone = list(TrainBatches(samples, pixels, loading, Sampler(5, 2)).epoch(1, start))
    orders = [Sampler(5, 2, rank=rank, ranks=ranks) for rank in range(ranks)]
    loaded = [list(TrainBatches(samples, pixels, loading, order).epoch(1, start)) for order in orders]
    together = [
        tuple(torch.cat([tensor for tensor in parts if len(tensor)]) for parts in zip(*batch, strict=True))
        for batch in zip(*loaded, strict=True)
    ]
    assert equal(together, alone)
    assert {labels.dtype for batches in loaded for _, labels in batches} == {torch.int64}


def test_an_image_that_is_drawn_again_in_an_epoch_is_augmented_differently(samples: list[Sample]) -> None:
    order = Sampler(4, 0, sample_weights=(1.0, *[0.0] * 12))  # only the first image is drawn
    batches = TrainBatches(samples, Pixels(AUGMENTED, 0), LoaderOptions(batch_size=4), order)
    images = torch.cat([images for images, _ in batches.epoch(0)])
    assert len(images.flatten(1).unique(dim=0)) == 13
    resumed = list(batches.epoch(0, 2))
    assert torch.equal(torch.cat([images for images, _ in resumed]), images[8:])
    assert torch.equal(images[0], train(samples, LoaderOptions(batch_size=4), seed=0)._pixels.get(samples[0], FIRST))


def test_an_image_that_is_drawn_again_in_an_epoch_has_the_same_view(samples: list[Sample]) -> None:
    order = Sampler(4, 0, views=2, sample_weights=(1.0, *[0.0] * 12))
    batches = TrainBatches(samples, Pixels(AUGMENTED, 0), LoaderOptions(batch_size=4), order)
    images = torch.cat([images for images, _ in batches.epoch(0)])
    assert len(images.flatten(1).unique(dim=0)) == 1
