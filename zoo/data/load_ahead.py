"""Load batches in threads, ahead of the current one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

Key = TypeVar("Key")
Prepared = TypeVar("Prepared")
Combined = TypeVar("Combined")

#: Seconds after which a signal such as Ctrl-C is noticed that arrives just before a wait begins.
_POLL = 1.0


def load_ahead(
    plan: Iterable[Sequence[Key]],
    prepare: Callable[[Key], Prepared],
    combine: Callable[[Sequence[Prepared]], Combined],
    pool: ThreadPoolExecutor | None,
    ahead: int,
) -> Iterator[Combined]:
    """Yield the batches of a plan.

    Args:
        plan: Keys of the items of each batch.
        prepare: Function that prepares an item.
        combine: Function that combines the items of a batch.
        pool: Threads that do both; None means the calling thread.
        ahead: Number of batches that the threads load ahead of the current one.
    """
    if pool is None:
        yield from (combine([prepare(key) for key in keys]) for keys in plan)
        return
    pending: deque[tuple[Sequence[Future[Prepared]], Future[Combined]]] = deque()
    try:
        for keys in plan:
            items = [pool.submit(prepare, key) for key in keys]
            # The items were submitted earlier, so other threads finish them while this one waits.
            pending.append((items, pool.submit(_combine, combine, items)))
            if len(pending) > ahead:
                yield _wait_for(pending.popleft()[1])
        while pending:
            yield _wait_for(pending.popleft()[1])
    finally:  # Batches remain if the caller stops before the last one.
        for prepared, batch in pending:
            batch.cancel()
            for item in prepared:
                item.cancel()


def _wait_for(batch: Future[Combined]) -> Combined:
    while not wait([batch], _POLL).done:
        pass
    return batch.result()


def _combine(combine: Callable[[Sequence[Prepared]], Combined], items: Sequence[Future[Prepared]]) -> Combined:
    return combine([item.result() for item in items])
