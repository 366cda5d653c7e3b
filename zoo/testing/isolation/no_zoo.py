"""Run constructors where zoo cannot be imported. It is started as a script, and imports nothing of zoo.

For each line of JSON on stdin, it runs the lines of code in a forked process and prints one line of JSON with the names
and shapes of the network's tensors, or with the error. Modules that the code imports are imported here afterwards, so
that a thousand networks of one library need its import only once.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import traceback
from contextlib import suppress
from importlib.abc import MetaPathFinder
from typing import Any, NoReturn

FILE = "<constructor>"


class NoZoo(MetaPathFinder):
    """Finder that makes every import of zoo fail, as on a machine where it is not installed."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:  # noqa: ARG002  # its signature
        """Raise ModuleNotFoundError for zoo and its modules."""
        if fullname == "zoo" or fullname.startswith("zoo."):
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def serve(on_meta: str, answers: int) -> None:
    """Answer requests until stdin ends.

    Args:
        on_meta: Path of the module that builds models on the meta device.
        answers: File descriptor for the answers, because the code may print.
    """
    sys.meta_path.insert(0, NoZoo())
    with suppress(ImportError):  # Every constructor needs it, and importing it takes seconds.
        importlib.import_module("torch")
    for line in sys.stdin:
        request = json.loads(line)
        answer = _fork(request, on_meta, answers) if hasattr(os, "fork") else _build(request, on_meta)
        os.write(answers, json.dumps(answer).encode() + b"\n")
        for name in answer.get("imported", ()):
            with suppress(Exception, SystemExit):  # The code itself imported it.
                importlib.import_module(name)


def _fork(request: dict[str, Any], on_meta: str, answers: int) -> dict[str, Any]:
    """Build the network in a forked process, which may do or break anything."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(answers)  # Otherwise a process that the code leaves behind would keep the kit waiting.
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # Requests are not input of the code.
        _answer(request, on_meta, writing)
    os.close(writing)
    with open(reading, "rb") as pipe:  # noqa: PTH123  # it is a file descriptor
        content = pipe.readline()  # Processes that the code leaves behind keep the pipe open.
    _, status = os.waitpid(child, 0)
    if not content:
        return {"error": f"ends the process with exit code {os.waitstatus_to_exitcode(status)}"}
    answer: dict[str, Any] = json.loads(content)
    return answer


def _answer(request: dict[str, Any], on_meta: str, writing: int) -> NoReturn:
    try:
        content = json.dumps(_build(request, on_meta)).encode() + b"\n"
        with open(writing, "wb") as pipe:  # it is a file descriptor
            pipe.write(content)
    finally:
        os._exit(0)


def _build(request: dict[str, Any], on_meta: str) -> dict[str, Any]:
    lines, values = request["lines"], {"__name__": "constructor"}
    before = {*sys.modules}
    try:
        make = _load(on_meta).make_on_meta if request["meta"] else lambda function: function()
        code = compile("\n".join(lines), FILE, "exec")

        def run() -> Any:
            exec(code, values)  # noqa: S102  # the plugin's own constructor, in `zoo check` only
            model = values["model"]
            if not hasattr(model, "state_dict"):
                raise TypeError(f"model is of type {type(model).__name__}, not an nn.Module")
            return model

        state = make(run).state_dict()
        shapes = {name: list(tensor.shape) for name, tensor in state.items()}
    except BaseException as error:  # noqa: BLE001  # a plugin may raise anything, and also exit
        return _describe(error, lines)
    new = {name for name in sys.modules if "." not in name} - before
    return {"shapes": shapes, "imported": sorted(new - {"__mp_main__"})}


def _load(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("on_meta", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _describe(error: BaseException, lines: list[str]) -> dict[str, Any]:
    """Return the error, the line of the constructor that raised it, and the place in the code that it called."""
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [index for index, (file, _) in enumerate(frames) if file == FILE]
    number = frames[own[-1]][1] if own else None
    if isinstance(error, SyntaxError) and error.filename == FILE:
        number = error.lineno
    called = frames[own[-1] + 1 :] if own else []
    inner = [f"{file}:{line}" for file, line in called if not file.startswith("<") and file != __file__]
    shown = lines[number - 1] if number and number <= len(lines) else ""
    reason = " ".join(str(error).split()) or "no message"
    return {"error": f"raises {type(error).__name__}: {reason}", "number": number, "line": shown, "place": inner[-1:]}


if __name__ == "__main__":
    _answers = os.dup(1)
    os.dup2(2, 1)  # What a constructor prints is not an answer.
    serve(sys.argv[1], _answers)
