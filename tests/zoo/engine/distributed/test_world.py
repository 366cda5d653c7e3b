"""The communication between the processes of a run."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import zoo.engine.distributed.process_group
from worlds import get_results
from zoo.engine.distributed.process_group import get_world, join_world
from zoo.engine.distributed.world import ALONE, World
from zoo.errors import DataError, OptionError, ReportedByPeer

SIZES = [pytest.param(2, marks=pytest.mark.breadth), 3]
DTYPES = [
    torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.int32, torch.uint8, torch.bool,
    torch.int16,
]  # fmt: skip


def join(size: int, work: Callable[[World], Any]) -> list[Any]:
    """Join several processes and do work in each; return the results."""

    def join_and_work(_rank: int) -> Any:
        with join_world() as world:
            return work(world)

    return get_results(size, join_and_work)


# Joining and leaving.


def test_a_single_process_does_not_communicate() -> None:
    tensor = torch.ones(3)
    with join_world() as world:
        assert (world.rank, world.size, world.is_first, world.is_first_here) == (0, 1, True, True)
        assert world.sum_numbers([1.0, 2.0]) == [1.0, 2.0]
        assert world.broadcast("text") == "text"
        assert torch.equal(world.all_gather(tensor), tensor)
        world.sum_(tensor)
        world.broadcast_([tensor])
        world.require_same("images", "these")
    assert torch.equal(tensor, torch.ones(3))
    assert world is get_world() is ALONE


@pytest.mark.parametrize("size", SIZES)
def test_each_process_knows_its_rank_until_it_leaves(size: int) -> None:
    def work(_rank: int) -> Any:
        with join_world() as world:
            assert get_world() is world
            with join_world() as inner:
                assert inner is world
            assert get_world() is world
            world.sum_numbers([1.0])  # no process leaves before all of them are connected
            facts = (world.rank, world.size, world.is_first, world.local_rank, world.local_size, world.is_first_here)
        assert get_world() is ALONE
        return facts

    assert get_results(size, work) == [(rank, size, rank == 0, rank, size, rank == 0) for rank in range(size)]


@given(st.integers(0, 300), st.integers(1, 9))
def test_slices_are_consecutive_and_cover_all(count: int, size: int) -> None:
    slices = [World(rank, size).slice_of(count) for rank in range(size)]
    assert [index for indices in slices for index in indices] == list(range(count))
    assert max(map(len, slices)) - min(map(len, slices)) <= 1


def test_processes_can_join_again_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo.engine.distributed.process_group, "ECHO", 60.0)

    def work(rank: int) -> Any:
        def fail() -> None:
            with join_world():
                raise OptionError("no")

        def total() -> list[float]:
            with join_world() as world:
                return world.sum_numbers([rank])

        first = total()
        with pytest.raises((OptionError, ReportedByPeer)):
            fail()
        return first, total(), total()

    assert get_results(2, work) == [([1.0], [1.0], [1.0])] * 2


# Collective operations.


@pytest.mark.parametrize("size", SIZES)
def test_sums_over_all_processes_are_bit_identical_in_all(size: int) -> None:
    def make_tensor(rank: int) -> Tensor:
        return torch.randn(1000, generator=torch.Generator().manual_seed(rank))

    def work(world: World) -> list[Tensor]:
        return [world.sum_(make_tensor(world.rank)), torch.tensor(world.sum_numbers([world.rank + 1, 0.1]))]

    first, *others = join(size, work)
    wanted = torch.stack([make_tensor(rank) for rank in range(size)]).sum(0)
    torch.testing.assert_close(first, [wanted, torch.tensor([size * (size + 1) / 2, 0.1 * size])])
    for other in others:
        assert all(torch.equal(found, same) for found, same in zip(first, other, strict=True))


@pytest.mark.parametrize("size", SIZES)
def test_the_other_processes_receive_the_tensors_of_the_first(size: int) -> None:
    def make_tensors(rank: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(rank)
        values = {str(dtype): (10 * torch.rand(2, 5, generator=generator)).to(dtype) for dtype in DTYPES}
        return {**values, "scalar": torch.tensor(rank), "empty": torch.empty(0, 3), "odd": torch.tensor(float("nan"))}

    def work(world: World) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        replaced = make_tensors(world.rank)
        world.broadcast_([*replaced.values()])
        return replaced, dict(world.broadcast_tensors(make_tensors(0) if world.is_first else {}))

    wanted = make_tensors(0)
    for replaced, received in join(size, work):
        for found in (replaced, received):
            assert list(found) == list(wanted)
            torch.testing.assert_close(found, wanted, rtol=0, atol=0, equal_nan=True)


def test_the_other_processes_receive_the_text_of_the_first() -> None:
    texts = ["", "one line", "猫\n" * 1000]
    assert (
        join(3, lambda world: [world.broadcast(text if world.is_first else "another text") for text in texts])
        == [texts] * 3
    )


@pytest.mark.parametrize("size", SIZES)
def test_rows_are_gathered_in_the_order_of_the_ranks(size: int) -> None:
    def work(world: World) -> list[Tensor]:
        found = []
        for counts, dtype in product(product(range(3), repeat=size), (torch.float32, torch.bfloat16, torch.float64)):
            rows = torch.arange(4.0 * sum(counts)).reshape(-1, 4).to(dtype)
            own_rows = rows[sum(counts[: world.rank]) :][: counts[world.rank]]
            if len(rows):
                gathered = world.all_gather(own_rows if len(own_rows) else None)
                found.append(gathered.dtype == dtype and torch.equal(gathered, rows))
        return found

    assert join(size, work) == [[True] * 3 * (3**size - 1)] * size


# Work that fails in all processes or in none.


@pytest.mark.parametrize("victim", [0, 1, 2])
def test_work_that_fails_in_one_process_fails_in_all(victim: int) -> None:
    def work(world: World) -> str:
        def open_file() -> str:
            if world.rank == victim:
                raise DataError("no file")
            return "opened"

        assert world.run_in_all(lambda: "done", DataError) == "done"
        with pytest.raises(DataError) as caught:
            world.run_in_all(open_file, DataError)
        world.sum_numbers([1.0])  # communication still works
        return str(caught.value)

    wanted = [f"rank {victim}: no file"] * 3
    wanted[victim] = "no file"
    assert join(3, work) == wanted


def test_a_failure_keeps_no_tensors_alive() -> None:
    def work(world: World) -> bool:
        references: list[weakref.ref[Tensor]] = []

        def fail() -> None:
            large = torch.ones(1000)
            references.append(weakref.ref(large))
            raise MemoryError("short")

        gc.disable()  # there must be no reference cycles
        with suppress(MemoryError):
            world.run_in_all(fail, MemoryError)
        return references[0]() is None

    assert join(2, work) == [True, True]


def test_the_error_names_the_rank_that_differs() -> None:
    def work(world: World) -> str:
        world.require_same("images", "these")
        with pytest.raises(OptionError) as caught:
            world.require_same("images", "others" if world.rank == 1 else "these")
        return str(caught.value)

    assert join(3, work) == ["rank 1 does not have the same images as rank 0; all processes need the same images."] * 3
