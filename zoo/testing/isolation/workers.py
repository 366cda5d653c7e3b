"""Checks many backbones in processes of their own: one that dies loses the remaining results of one backbone."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait

from zoo.testing.isolation.fresh_process import follow_parent, fresh_context, hidden_script, preload_upstreams
from zoo.testing.plugin_under_test import PluginUnderTest, examine
from zoo.testing.promises import list_checks
from zoo.testing.results.result import Result
from zoo.testing.runner import Runner, Scope

#: Backbones after which a process is replaced by a new one, whose memory is not fragmented.
SERVES = 25

#: Seconds without a single result from any process, after which they are taken to hang.
PATIENCE = 1800.0

Job = tuple[str, Scope]


def check_many(plugin: PluginUnderTest, jobs: Iterable[Job], processes: int) -> Iterator[list[Result]]:
    """Check backbones in several processes; yields the results of each as soon as it is done.

    Args:
        plugin: the plugin.
        jobs: the full name of a backbone, and which of its checks to run.
        processes: how many at a time; they share the processor's cores.
    """
    waiting = deque(jobs)
    threads = max(1, (os.cpu_count() or 1) // processes)
    preload_upstreams(plugin)
    workers = [_Worker(plugin.namespace, threads) for _ in range(min(processes, len(waiting)))]
    try:
        for worker in workers:
            worker.give(waiting.popleft())
        while busy := {worker.pipe: worker for worker in workers if worker.job}:
            ready = wait(list(busy), PATIENCE)
            for worker in busy.values() if not ready else ():
                worker.kill()  # which makes its pipe ready
            for pipe in ready:
                worker = busy[pipe]  # type: ignore[index]  # wait() returns what it was given
                if results := worker.take():
                    if waiting:
                        worker.give(waiting.popleft())
                    yield results
    finally:
        for worker in workers:
            worker.stop()


class _Worker:
    """A process that checks one backbone after the other."""

    def __init__(self, namespace: str, threads: int) -> None:
        self._arguments = (namespace, threads)
        self.job: Job | None = None
        self._start()

    def give(self, job: Job) -> None:
        """Let it check a backbone."""
        if self._served == SERVES:
            self.stop()
            self._start()
        self.job = job
        self._results: list[Result] = []
        self._served += 1
        with contextlib.suppress(OSError):  # it has died already, which `take` reports
            self.pipe.send(job)

    def take(self) -> list[Result]:
        """Take a result that is ready; returns all of the backbone's with the last one, or if it has died."""
        assert self.job is not None
        try:
            self._results.append(self.pipe.recv())
        except (EOFError, OSError):  # OSError if it never read the job
            self._process.join()
            self._results += _describe_death(self.job[0], len(self._results), self._process.exitcode)
            self._start()
        if len(self._results) < len(list_checks(of_plugin=False)):
            return []
        self.job = None
        return self._results

    def kill(self) -> None:
        """End it, whatever upstream does about signals; `take` reports it."""
        self._process.kill()

    def stop(self) -> None:
        """End it for good."""
        self.kill()
        self._process.join()
        self.pipe.close()

    def _start(self) -> None:
        context = fresh_context()
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, *self._arguments))  # type: ignore[attr-defined]  # all have it
        with hidden_script():
            self._process.start()
        theirs.close()
        self._served = 0


def _describe_death(name: str, done: int, exitcode: int | None) -> Iterator[Result]:
    """Report the check that ran when the process died as an error, and those after it as not run."""
    under_way, *rest = list_checks(of_plugin=False)[done:]
    yield Result(name, under_way.name, "error", f"the process died with exit code {exitcode}")
    for check in rest:
        yield Result(name, check.name, "not-run", f"the process died in {under_way.name}")


def _serve(pipe: Connection, namespace: str, threads: int) -> None:
    """Run in the process, until it is ended."""
    import torch

    follow_parent()
    os.dup2(2, 1)  # stdout belongs to the command, and upstream's networks may print
    torch.set_num_threads(min(threads, torch.get_num_threads()))
    plugin = examine(namespace, is_known_to_load=True)
    while True:
        try:
            name, scope = pipe.recv()
        except EOFError:
            return
        runner = Runner(plugin, plugin.get_backbone(name), scope)
        for check in list_checks(of_plugin=False):
            try:
                pipe.send(runner.get_result(check))
            except BrokenPipeError:  # nobody waits for it anymore
                return
