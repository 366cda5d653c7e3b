from __future__ import annotations

import errno
import io
import sys
from collections.abc import Callable

import pytest

from zoo.progress import Bars, Lines, Progress, Silent, is_first, open_progress

EVERY: list[Callable[[], Progress]] = [Silent, Lines, Bars]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make stderr a terminal. In a fixture, pytest's own capture would undo it before the test."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return terminal


def work(progress: Progress) -> None:
    progress.say("before")
    with progress.track("reading", 3) as advance:
        advance(2)
        progress.say("meanwhile")
        advance(1)
    progress.say("after")


def test_lines_prints_only_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    work(Lines())
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "before\nmeanwhile\nafter\n"


def test_lines_flushes_each_line(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BufferedWriter(raw), write_through=False))
    Lines().say("now")
    assert raw.getvalue() == b"now\n"


def test_silent_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    work(Silent())
    assert capsys.readouterr() == ("", "")


def test_bars_draws_a_bar_on_stderr_and_keeps_the_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = open_terminal(monkeypatch)
    work(Bars())
    assert "reading" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()
    for line in ("before", "meanwhile", "after"):
        assert line in terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_bars_prints_a_line_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    line = f"[bold]not markup[/bold] 'text' 12 https://example.org {'long ' * 30}"
    Bars().say(line)
    assert terminal.getvalue() == f"{line}\n"


def test_bars_does_not_turn_colons_into_emoji(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    Bars().say("reading pets:dog:1.png")
    assert terminal.getvalue() == "reading pets:dog:1.png\n"


def test_a_title_is_not_read_as_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    with Bars().track("fetching model[v1].pth", 3) as advance:
        advance(1)
    assert "model[v1].pth" in terminal.getvalue()


def test_a_terminal_gets_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    open_terminal(monkeypatch)
    assert type(open_progress()) is Bars


def test_a_pipe_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert type(open_progress()) is Lines


def test_stdout_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert type(open_progress()) is Lines


@pytest.mark.parametrize("make", EVERY)
@pytest.mark.parametrize("total", [None, 0, 3])
def test_work_can_be_tracked_twice_and_inside_other_work(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], Progress], total: int | None
) -> None:
    terminal = open_terminal(monkeypatch)
    progress = make()
    steps = []
    for _ in range(2):
        with progress.track("outer", total) as outer, progress.track("inner", total) as inner:
            for advance in (outer, inner):
                advance(1)
                steps.append(1)
    assert len(steps) == 4
    assert ("outer" in terminal.getvalue()) == (make is Bars)


@pytest.mark.parametrize("make", EVERY)
def test_an_exception_from_the_work_propagates(monkeypatch: pytest.MonkeyPatch, make: Callable[[], Progress]) -> None:
    terminal = open_terminal(monkeypatch)
    with pytest.raises(ValueError, match="mine"), make().track("reading", 3):
        raise ValueError("mine")
    assert "mine" not in terminal.getvalue()


def test_a_closed_stderr_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    progress = open_progress()
    progress.say("line")
    with progress.track("work", 1) as advance:
        advance(1)
    assert type(progress) is Lines


class FullDisk(io.StringIO):
    """A stream that cannot be written."""

    def write(self, _text: str, /) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("kind", [Lines, Bars])
def test_a_line_that_cannot_be_printed_does_not_end_the_work(
    monkeypatch: pytest.MonkeyPatch, kind: type[Lines]
) -> None:
    monkeypatch.setattr(sys, "stderr", FullDisk())
    kind().say("epoch 1")


def test_a_rank_without_other_processes_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    assert is_first()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not is_first()
