"""Check many backbones in several processes. If one dies, only the remaining results of one backbone are lost."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait

import torch

from zoo.testing.isolation.fresh_process import follow_parent, fresh_context, hidden_script, preload_upstreams
from zoo.testing.plugin_under_test import PluginUnderTest, examine
from zoo.testing.promises import list_checks
from zoo.testing.results.result import Result
from zoo.testing.runner import Runner, Scope

#: Number of backbones after which a process is replaced by a new one, whose memory is not fragmented.
JOBS_PER_PROCESS = 25
#: Seconds without a result from any process after which all processes are considered hung and are killed.
PATIENCE = 1800.0

Job = tuple[str, Scope]


def check_many(plugin: PluginUnderTest, jobs: Iterable[Job], processes: int) -> Iterator[list[Result]]:
    """Check backbones in several processes; yield the results of each backbone as soon as it is done.

    Args:
        plugin: The plugin that the backbones belong to.
        jobs: The full name of each backbone, and the scope of its checks.
        processes: Maximum number of processes that run at the same time; they share the CPU's cores.
    """
    waiting = deque(jobs)
    threads = max(1, (os.cpu_count() or 1) // processes)
    preload_upstreams(plugin)
    busy: dict[Connection, _Worker] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < processes:
                worker = _Worker(plugin.namespace, threads)
                busy[worker.pipe] = worker
                worker.send(waiting.popleft())
            ready = wait(list(busy), PATIENCE)
            for worker in busy.values() if not ready else ():
                worker.process.kill()  # Its pipe becomes ready.
            for pipe in ready:
                worker = busy[pipe]  # type: ignore[index]  # wait() returns what it was given
                if results := worker.receive():
                    if waiting and worker.jobs_left:
                        worker.send(waiting.popleft())
                    else:
                        del busy[worker.pipe]
                        worker.stop()
                    yield results
    finally:
        for worker in busy.values():
            worker.stop()


class _Worker:
    """A process that checks one backbone after another."""

    def __init__(self, namespace: str, threads: int) -> None:
        self.jobs_left = JOBS_PER_PROCESS
        context = fresh_context()
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, namespace, threads))  # type: ignore[attr-defined]  # all have it
        with hidden_script():
            self.process.start()
        theirs.close()

    def send(self, job: Job) -> None:
        """Send a job to the process."""
        self._name, _ = job
        self._results: list[Result] = []
        self.jobs_left -= 1
        with contextlib.suppress(OSError):  # The process may have died; `receive` reports it.
            self.pipe.send(job)

    def receive(self) -> list[Result] | None:
        """Receive one result. If it was the last one, return all results of the backbone, otherwise None."""
        try:
            self._results.append(self.pipe.recv())
        except (EOFError, OSError):  # OSError if the process never read the job
            self.process.join()
            self._results += _describe_death(self._name, len(self._results), self.process.exitcode)
            self.jobs_left = 0
        return self._results if len(self._results) == len(list_checks(of_plugin=False)) else None

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _describe_death(name: str, done: int, exitcode: int | None) -> Iterator[Result]:
    """Report the check that ran when the process died as an error, and those after it as not run."""
    interrupted, *rest = list_checks(of_plugin=False)[done:]
    yield Result(name, interrupted.name, "error", f"the process died with exit code {exitcode}")
    for check in rest:
        yield Result(name, check.name, "not-run", f"the process died in {interrupted.name}")


def _serve(pipe: Connection, namespace: str, threads: int) -> None:
    """Run in the process until the parent ends it: receive jobs, and send their results one by one."""
    follow_parent()
    os.dup2(2, 1)  # A network may print, but stdout belongs to the command.
    torch.set_num_threads(min(threads, torch.get_num_threads()))
    plugin = examine(namespace, is_known_to_load=True)
    with contextlib.suppress(EOFError, BrokenPipeError):  # The parent has ended.
        while True:
            name, scope = pipe.recv()
            runner = Runner(plugin, plugin.get_backbone(name), scope)
            for check in list_checks(of_plugin=False):
                pipe.send(runner.get_result(check))
