"""Run the stages of the GPU check, each in a process with a time limit, and save their results. See run.sh."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from photos import generate
from plan import choose_plan
from results import FAILED, VARIABLE, Result, append, read_results
from summary import describe_machine, update_page, write_summary

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
#: Seconds between two checks for new results.
PERIOD = 0.2
#: Seconds that a stage has to terminate the processes that it started.
GRACE = 5.0


@dataclass(frozen=True)
class Stage:
    """A part of the check that runs in its own process."""

    name: str
    #: Fraction of the total time that the stage may take. Unused time is left for the later stages.
    share: float
    #: Name of the stage's script, or an empty string to run the tests.
    script: str = ""


#: The stages in order of importance, because the check may be stopped early.
STAGES = (
    Stage("correctness", 0.20),
    Stage("steps", 0.13, "measure_steps.py"),
    Stage("epochs", 0.36, "measure_epochs.py"),
    Stage("frozen", 0.13, "measure_frozen.py"),
    Stage("compile", 0.18, "measure_compile.py"),
)


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="tests/gpu/run.sh", description="Check and measure zoo on one device.")
    add = parser.add_argument
    add("--device", choices=("cuda", "cpu"), default="cuda", help="[default: cuda]")
    add("--quick", action="store_true", help="run a little of everything, as a trial")
    add("--minutes", type=float, default=5.0, metavar="X", help="time limit in minutes  [default: 5]")
    add(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder for gpu.json, gpu.md and logs/  [default: $OUT, else gpu-check]",
    )
    add("--stages", nargs="+", choices=[stage.name for stage in STAGES], help="run only these stages")
    add("--page", type=Path, metavar="FILE", help="page whose GPU section is replaced by the results")
    add("--timm-train", type=Path, metavar="FILE", help="timm's train.py  [default: tests/gpu/packed/train.py]")
    return parser.parse_args()


class Check:
    """A run of all stages."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self._options = options
        self._scratch = scratch
        self._output: Path = (options.output or Path(os.environ.get("OUT") or "gpu-check")).resolve()
        self._logs = self._output / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._file = self._output / "results.jsonl"
        self._file.unlink(missing_ok=True)
        self._num_reported = 0
        self._machine = describe_machine(options.device)
        self._deadline = time.monotonic() + options.minutes * 60

    @property
    def results(self) -> list[Result]:
        """All results so far."""
        return read_results(self._file)

    def run(self) -> int:
        """Run the stages. Return 1 if a check failed or a stage did not finish."""
        photos, plan = self._scratch / "photos", choose_plan(quick=self._options.quick)
        generate(photos, plan.images, plan.val_images)
        wanted = [stage for stage in STAGES if not self._options.stages or stage.name in self._options.stages]
        for index, stage in enumerate(wanted):
            left = max(0.0, self._deadline - time.monotonic())
            limit = left * stage.share / sum(each.share for each in wanted[index:])
            self._run_stage(stage, photos, limit)
        failed = [result for result in self.results if result.outcome == FAILED]
        if self._options.page:
            update_page(self._options.page, self._output)
        say(f"{len(self.results)} results, {len(failed)} failed; {self._output}")
        return 1 if failed else 0

    def _run_stage(self, stage: Stage, photos: Path, limit: float) -> None:
        started = time.monotonic()
        with (self._logs / f"{stage.name}.log").open("wb") as log:
            process = subprocess.Popen(
                self._list_command(stage, photos),
                cwd=ROOT,
                env=self._make_environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = self._wait(process, started + limit)
            finally:
                end_session(process)
        if code is None:
            self._add(Result(stage.name, "the full stage", FAILED, f"stopped after {limit:.0f} s"))
        elif code and not any(result.stage == stage.name and result.outcome == FAILED for result in self.results):
            self._add(Result(stage.name, "the full stage", FAILED, f"exit code {code}; see {log.name}"))
        self._report()
        say(f"         {stage.name} took {time.monotonic() - started:.1f} s")

    def _wait(self, process: subprocess.Popen[bytes], end: float) -> int | None:
        """Report results until the process ends. Return its exit code, or None if it reached the time limit."""
        while time.monotonic() < end:
            self._report()
            try:
                return process.wait(PERIOD)
            except subprocess.TimeoutExpired:
                continue
        return None

    def _list_command(self, stage: Stage, photos: Path) -> list[str | Path]:
        if not stage.script:
            # Warnings from torch are not errors here, because they depend on the version and the machine.
            options = ["-q", "-p", "no:cacheprovider", "-o", "filterwarnings=", "--dist", "load", "-n"]
            return [sys.executable, "-m", "pytest", HERE, *options, str(min(8, os.cpu_count() or 1))]
        found = self._options.timm_train or HERE / "packed" / "train.py"
        return [
            sys.executable,
            HERE / stage.script,
            f"--device={self._options.device}",
            f"--photos={photos}",
            f"--scratch={self._scratch / 'scratch'}",
            *(["--quick"] if self._options.quick else []),
            *([f"--timm-train={found.resolve()}"] if found.is_file() else []),
        ]

    def _make_environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            VARIABLE: str(self._file),
            "ZOO_TEST_DEVICE": self._options.device,
            "ZOO_TEST_QUICK": "1" if self._options.quick else "",
            "ZOO_OFFLINE": "1",
            "ZOO_CACHE": str(self._scratch / "cache"),
        }

    def _add(self, result: Result) -> None:
        append(result, self._file)

    def _report(self) -> None:
        """Print new results and save all results."""
        results = self.results
        for result in results[self._num_reported :]:
            say(result.format())
        if len(results) > self._num_reported:
            self._num_reported = len(results)
            write_summary(self._output, self._machine, results, quick=self._options.quick)


def end_session(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process and its children. SIGTERM comes first, so that it can end children in different sessions."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)


def say(line: str) -> None:
    """Print a line immediately."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run the check."""
    options = parse()
    if options.page and (options.quick or options.device != "cuda"):
        sys.exit("--page needs figures from a GPU; remove --quick and use --device cuda")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the exit also ends the current stage
    with tempfile.TemporaryDirectory(prefix="zoo-gpu-") as scratch:
        return Check(options, Path(scratch)).run()


if __name__ == "__main__":
    sys.exit(main())
