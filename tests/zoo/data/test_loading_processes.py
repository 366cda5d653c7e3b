"""Batches that are loaded in several processes are the same as those that one process loads."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from made_samples import make_sample
from zoo.data import loader
from zoo.data.decode import decode_image
from zoo.data.decoding_memory import DECODING
from zoo.data.loader import Batch, EvalBatches, LoaderOptions, TrainBatches
from zoo.data.loading_processes import Loaded, LoadingProcesses
from zoo.data.pixel_cache import Pixels
from zoo.data.sample import Sample
from zoo.data.sampler import Sampler
from zoo.data.transform import build_eval_transform, build_train_transform
from zoo.data.unexamined import identify
from zoo.errors import DataError
from zoo.plugin import InputSpec

Plant = Callable[[Path, Mapping[str, int]], Path]

INPUT = InputSpec(size=(3, 12, 12), resize=14)
AUGMENTED = build_train_transform(INPUT, "crop-flip")
PLAIN = build_eval_transform(INPUT)
ALONE = LoaderOptions(batch_size=4)
TOGETHER = LoaderOptions(batch_size=4, workers=2, use_processes=True)


@pytest.fixture(autouse=True)
def _few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "MIN_IMAGES", 10)


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    yield
    assert not multiprocessing.active_children()


@pytest.fixture
def samples(tmp_path: Path, plant: Plant) -> list[Sample]:
    paths = sorted(plant(tmp_path, {"ant": 13}).glob("ant/*.png"))
    return [make_sample(path, label) for label, path in enumerate(paths)]


def train(samples: list[Sample], loading: LoaderOptions) -> TrainBatches:
    return TrainBatches(samples, Pixels(AUGMENTED, 0), loading, Sampler(loading.batch_size, 3))


def equal(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a, b) for pair in zip(one, other, strict=True) for a, b in zip(*pair, strict=True)
    )


def test_the_batches_are_the_same_and_the_processes_are_kept_for_all_epochs(samples: list[Sample]) -> None:
    alone, together = train(samples, ALONE), train(samples, TOGETHER)
    found = []
    for epoch in (0, 1, 5):
        assert equal(list(alone.epoch(epoch)), list(together.epoch(epoch)))
        found.append({process.pid for process in multiprocessing.active_children()})
    assert len(found[0]) == 2
    assert found[0] == found[1] == found[2]
    together.close()


def test_an_epoch_does_not_depend_on_an_abandoned_one(samples: list[Sample]) -> None:
    expected = list(train(samples, ALONE).epoch(2))
    batches = train(samples, TOGETHER)
    next(batches.epoch(1))
    assert equal(list(batches.epoch(2)), expected)
    batches.close()


def test_processes_start_only_if_their_batches_fit_into_the_shared_memory(
    samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch_bytes = 4 * 3 * 12 * 12
    for free, count in ((4 * batch_bytes - 1, 0), (4 * batch_bytes, 1), (10**9, 2)):
        monkeypatch.setattr("shutil.disk_usage", lambda _path, free=free: SimpleNamespace(free=free))
        batches = EvalBatches(samples, Pixels(PLAIN, 0), TOGETHER)
        assert equal(list(batches), list(EvalBatches(samples, Pixels(PLAIN, 0), ALONE)))
        assert len(multiprocessing.active_children()) == count
        batches.close()


def test_the_handler_of_ended_processes_stays(samples: list[Sample]) -> None:
    before = signal.getsignal(signal.SIGCHLD)
    batches = EvalBatches(samples, Pixels(PLAIN, 0), TOGETHER)
    list(batches)
    assert signal.getsignal(signal.SIGCHLD) == before
    batches.close()


def test_a_lock_that_another_thread_holds_does_not_stop_the_processes(samples: list[Sample]) -> None:
    pixels = Pixels(PLAIN, 0)
    batches = EvalBatches(samples, pixels, TOGETHER)
    expected = list(EvalBatches(samples, Pixels(PLAIN, 0), ALONE))
    with DECODING.reserve(10**12):  # The budget is used up, so threads would wait.
        batches._processes = LoadingProcesses(batches._load_batch, 2, pin_memory=False)
        assert equal(list(batches), expected)
    batches.close()


def test_processes_that_hang_are_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.2)
    reader, writer = os.pipe()

    def hang(_keys: Sequence[int]) -> Loaded:
        os.write(writer, b"!")
        threading.Event().wait()
        return Loaded()

    processes = LoadingProcesses(hang, 2, pin_memory=False)
    processes._plan.batches = [[1], [2]]
    iter(processes._loader)
    assert os.read(reader, 1) + os.read(reader, 1) == b"!!"
    processes.close()
    os.close(reader)
    os.close(writer)


def test_few_images_are_loaded_in_threads(samples: list[Sample]) -> None:
    batches = EvalBatches(samples[:9], Pixels(PLAIN, 0), TOGETHER)
    list(batches)
    assert not multiprocessing.active_children()
    assert [thread for thread in threading.enumerate() if thread.name.startswith("load")]
    batches.close()


def test_loading_does_not_use_the_global_generator(samples: list[Sample]) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    batches = train(samples, TOGETHER)
    list(batches.epoch(0))
    list(batches.epoch(1))
    batches.close()
    assert torch.equal(torch.get_rng_state(), before)


def test_kept_images_are_shared_and_no_more_are_kept(samples: list[Sample]) -> None:
    pixels = Pixels(PLAIN, 10**6)
    for sample in samples[:5]:
        pixels.offer(sample.digest, decode_image(sample.path))
    expected = list(EvalBatches(samples, Pixels(PLAIN, 0), ALONE))
    for sample in samples[:5]:
        sample.path.unlink()
    batches = EvalBatches(samples, pixels, TOGETHER)
    assert equal(list(batches), expected)
    samples[7].path.unlink()
    with pytest.raises(DataError, match="cannot use the image"):
        list(batches)
    batches.close()


def test_an_image_that_changes_is_an_error_with_its_path_on_one_line(samples: list[Sample]) -> None:
    batches = train(samples, TOGETHER)
    list(batches.epoch(0))
    samples[5].path.write_bytes(samples[5].path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"has changed.*run again") as caught:
        list(batches.epoch(1))
    batches.close()
    assert str(samples[5].path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_images_are_left_out_and_reported(samples: list[Sample]) -> None:
    samples[3].path.write_bytes(b"no image")
    unexamined = [replace(sample, digest=identify(sample.file), is_examined=False) for sample in samples]
    pixels = Pixels(PLAIN, 0)
    batches = EvalBatches(unexamined, pixels, TOGETHER)
    labels = [label for _, batch in batches for label in batch.tolist()]
    batches.close()
    assert labels == [label for label in range(13) if label != 3]
    assert list(pixels.unreadable) == [samples[3].path]


def test_interrupts_of_the_process_group_do_not_reach_the_processes(samples: list[Sample]) -> None:
    batches = train(samples, TOGETHER)
    list(batches.epoch(0))
    for process in multiprocessing.active_children():
        assert process.pid is not None
        os.kill(process.pid, signal.SIGINT)
        os.kill(process.pid, signal.SIGTERM)
    assert equal(list(batches.epoch(1)), list(train(samples, ALONE).epoch(1)))
    batches.close()


def test_closing_ends_the_processes_even_during_an_epoch(samples: list[Sample]) -> None:
    batches = EvalBatches(samples, Pixels(PLAIN, 0), TOGETHER)
    next(iter(batches))
    assert len(multiprocessing.active_children()) == 2
    batches.close()
    batches.close()


def test_a_process_that_is_killed_is_an_error_that_says_what_to_do(samples: list[Sample]) -> None:
    batches = train(samples, TOGETHER)
    list(batches.epoch(0))
    for process in multiprocessing.active_children():
        process.kill()
    with pytest.raises(
        DataError, match=r"a process that loads images was killed \(DataLoader worker.*use fewer `workers`"
    ):
        list(batches.epoch(1))
    batches.close()
