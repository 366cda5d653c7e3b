"""Processes meet in a store that earlier processes have used."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from torch.distributed import HashStore
from torch.distributed.distributed_c10d import Store

from zoo.engine.distributed.process_group import join_world, meet
from zoo.errors import OptionError, PeerError


def meet_all(store: Store, ranks: tuple[int, ...]) -> dict[int, Store]:
    """Call ``meet`` in one thread per rank, started in this order, and return the store of each rank."""
    with ThreadPoolExecutor(len(ranks)) as pool:
        futures = {rank: pool.submit(meet, store, rank, len(ranks)) for rank in ranks}
    return {rank: each.result() for rank, each in futures.items()}


@pytest.mark.parametrize("ranks", [(0, 1), (1, 0), (2, 0, 1), (0, 3, 2, 1)], ids=str)
def test_all_processes_find_the_same_part_of_the_store(ranks: tuple[int, ...]) -> None:
    found = meet_all(HashStore(), ranks)
    for rank in ranks:
        found[rank].set(f"by/{rank}", "here")
    assert all(store.check([f"by/{rank}" for rank in ranks]) for store in found.values())


def test_the_notices_of_earlier_processes_are_not_found() -> None:
    store = HashStore()
    for _ in range(3):
        found = meet_all(store, (0, 1))
        assert not any(each.check(["left/0"]) for each in found.values())
        found[0].set("left/0", "it was killed")


def test_an_earlier_process_that_has_exited_is_not_joined() -> None:
    store = HashStore()
    store.set("join/1", "a token of an earlier process, which nobody waits for")
    store.set("answer/of-an-earlier-process", "an earlier name")
    found = meet_all(store, (0, 1))
    found[0].set("here", "")
    assert found[1].check(["here"])


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"WORLD_SIZE": "many"}, "the environment variable WORLD_SIZE must be a whole number, as torchrun sets it"),
        ({"WORLD_SIZE": "2", "RANK": ""}, "the environment variable RANK must be a whole number"),
        ({"WORLD_SIZE": "2", "RANK": "2"}, "rank 2 of 2 processes, 0 of 1 on this machine, is impossible; unset"),
        ({"WORLD_SIZE": "0"}, "rank 0 of 0 processes"),
    ],
)
def test_variables_that_torchrun_did_not_set_are_an_error(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], text: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(OptionError, match=text), join_world():
        raise AssertionError


def test_a_missing_address_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(PeerError, match=r"rank 0 cannot join the other processes: .* MASTER_ADDR"), join_world():
        raise AssertionError
