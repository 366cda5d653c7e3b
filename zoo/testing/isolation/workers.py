"""Looks at many backbones, in processes of their own: one that dies loses the rest of one backbone's results."""

from __future__ import annotations

import contextlib
import gc
import os
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import cast

from zoo.testing.isolation.fresh_process import fresh_context, preload_upstreams, start_process
from zoo.testing.plugin_under_test import Examined, examine
from zoo.testing.promises import list_checks
from zoo.testing.results.result import Result
from zoo.testing.runner import Scope, Session

#: Backbones after which a process is replaced by another one, which begins with memory that is in one piece.
SERVES = 25

#: Seconds without a single result from any process, after which those that work are taken to hang.
PATIENCE = 1800.0

Job = tuple[str, Scope]


def check_many(examined: Examined, jobs: Iterable[Job], processes: int) -> Iterator[list[Result]]:
    """Look at backbones in so many processes at a time; yields the results of each as soon as it is done.

    Args:
        examined: the plugin.
        jobs: the full name of a backbone, and how far to look at it.
        processes: how many at a time; they share the processor's cores.
    """
    waiting = deque(jobs)
    threads = max(1, (os.cpu_count() or 1) // processes)
    preload_upstreams(examined)
    workers = [_Worker(examined.namespace, threads) for _ in range(min(processes, len(waiting)))]
    try:
        for worker in workers:
            worker.give(waiting.popleft())
        while busy := {worker.pipe: worker for worker in workers if worker.job}:
            ready = wait(list(busy), PATIENCE)
            for worker in busy.values() if not ready else ():
                worker.end()  # which makes its pipe ready
            for pipe in ready:
                worker = busy[cast("Connection", pipe)]
                results = worker.take()
                if results is None:
                    continue
                if waiting:
                    worker.give(waiting.popleft())
                yield results
    finally:
        for worker in workers:
            worker.stop()


class _Worker:
    """A process that looks at one backbone after the other."""

    def __init__(self, namespace: str, threads: int) -> None:
        self._arguments = (namespace, threads)
        self.job: Job | None = None
        self._results: list[Result] = []
        self._start()

    def give(self, job: Job) -> None:
        """Let it look at a backbone."""
        if self._served == SERVES:
            self.stop()
            self._start()
        self.job, self._results = job, []
        self._served += 1
        with contextlib.suppress(OSError):  # it has died already, which `take` tells
            self.pipe.send(job)

    def take(self) -> list[Result] | None:
        """Take the result that it has ready; returns all of its backbone's with the last one, or if it has died."""
        assert self.job is not None
        try:
            self._results.append(self.pipe.recv())
        except (EOFError, OSError):  # OSError where it never read the job
            self._process.join()
            self._results += _describe_death(self.job[0], len(self._results), self._process.exitcode)
            self._start()
        if len(self._results) < len(list_checks(of_plugin=False)):
            return None
        self.job = None
        return self._results

    def end(self) -> None:
        """End it, whatever it does; `take` says so."""
        self._process.terminate()

    def stop(self) -> None:
        """End it for good, whatever upstream does about signals."""
        self._process.kill()
        self._process.join()
        self.pipe.close()

    def _start(self) -> None:
        context = fresh_context()
        self.pipe, theirs = context.Pipe()
        self._process = start_process(context, _serve, (theirs, *self._arguments))
        theirs.close()
        self._served = 0


def _describe_death(name: str, done: int, exitcode: int | None) -> Iterator[Result]:
    """Say of the check that was looked at when the process died that it did, and of the others that they were not."""
    under_way, *rest = list_checks(of_plugin=False)[done:]
    yield Result(name, under_way.name, "error", f"the process died with exit code {exitcode}")
    for check in rest:
        yield Result(name, check.name, "not-run", f"the process died in {under_way.name}")


def _serve(pipe: Connection, namespace: str, threads: int) -> None:
    """Run in the process, until it is ended."""
    import torch

    os.dup2(2, 1)  # stdout is for the answer, and upstream's networks may print
    torch.set_num_threads(min(threads, torch.get_num_threads()))
    examined = examine(namespace, is_known_to_load=True)
    gc.freeze()  # thousands of specs that stay: no need to look through them for garbage again and again
    while True:
        try:
            name, scope = pipe.recv()
        except EOFError:
            return
        session = Session(examined, examined.get_backbone(name), scope)
        for check in list_checks(of_plugin=False):
            try:
                pipe.send(session.get_result(check))
            except BrokenPipeError:  # nobody waits for it any more
                return
