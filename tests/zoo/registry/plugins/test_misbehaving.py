"""Plugins that harm the process they are loaded in: each is named, and the others are listed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

import pytest

from installed_sites import PREAMBLE, Site, hook

#: What a plugin does while it is loaded, and a part of the reason that zoo gives for not using it.
SURVIVED = {
    "raise-interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "raise-exit": ("raise SystemExit(0)", "SystemExit"),
    "raise-own-base": ("class Panic(BaseException): pass\nraise Panic('hot')", "Panic: hot"),
    "recurse": ("def f(): f()\nf()", "RecursionError"),
    "close-stdout": ("import os\nos.close(1)", "closes stdout"),
    "close-stderr": ("import os\nos.close(2)", "closes stderr"),
    "close-python-stdout": ("import sys\nsys.__stdout__.close()", "closes stdout"),
    "stray-thread": (
        "import threading\nthreading.Thread(target=threading.Event().wait).start()", "a thread that does not end"
    ),
    "daemon-thread": (
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()",
        "a thread that does not end",
    ),
    "clear-path": ("import sys\nsys.path.clear()", "removes folders from sys.path"),
    "replace-path": ("import sys\nsys.path = []", "removes folders from sys.path"),
    "delete-path": ("import sys\ndel sys.path", "removes folders from sys.path"),
    "fork": ("import os\nos.fork()", "forks"),
    "replace-module": ("import sys\nsys.modules['json'] = sys.modules['os']", "replaces the module json"),
    "block-module": ("import sys\nsys.modules['torch'] = None", "replaces the module torch"),
    "clear-modules": ("import sys\nsys.modules.clear()", "replaces the module"),
    "replace-builtin": ("import builtins\nbuiltins.len = None", "replaces the built-in len"),
    "delete-builtin": ("import builtins\ndel builtins.print", "replaces the built-in print"),
    "ignore-ctrl-c": ("import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)", "replaces the handler of SIGINT"),
    "alarm": ("import signal\nsignal.alarm(1)", "sets an alarm"),
    "change-folder": ("import os\nos.chdir('/')", "changes the working directory"),
    "umask": ("import os\nos.umask(0o777)", "changes the umask"),
    "few-files": (
        "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (3, 256))", "changes a limit of the process"
    ),
    "small-files": (
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))", "changes a limit of the process"
    ),
    "few-calls": ("import sys\nsys.setrecursionlimit(60)", "changes the recursion limit"),
    "block-signals": (
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])", "changes the signal mask"
    ),
    "end-on-sigpipe": (
        "import signal\nsignal.signal(signal.SIGPIPE, signal.SIG_DFL)", "replaces the handler of SIGPIPE"
    ),
    "audit-hook": ("import sys\ndef stop(*_): raise RuntimeError\nsys.addaudithook(stop)", "adds an audit hook"),
    "replace-function": ("import json\njson.dumps = lambda *_, **__: 'own'", "replaces json.dumps"),
    "replace-excepthook": ("import sys\nsys.excepthook = None", "replaces sys.excepthook"),
    "clear-import-hooks": ("import sys\nsys.meta_path.clear()", "removes hooks from sys.meta_path"),
    "message-that-fails": (
        "class Odd(Exception):\n    def __str__(self): raise SystemExit(3)\nraise Odd", "Odd: no message"
    ),
    "error-without-attributes": (
        "class Odd(Exception):\n    def __getattribute__(self, name): raise RuntimeError\nraise Odd", "Odd: no message"
    ),
    "error-without-a-name": (
        "class Odd(type): __getattribute__ = None\nclass Error(Exception, metaclass=Odd): pass\nraise Error",
        "Error: no message",
    ),
}  # fmt: skip
#: Kinds whose reason resembles that of another kind. They are slow tests.
SIMILAR = {
    "raise-exit", "raise-own-base", "close-stderr", "close-python-stdout", "daemon-thread", "replace-path",
    "delete-path", "block-module", "clear-modules", "delete-builtin", "small-files", "end-on-sigpipe",
    "error-without-attributes", "error-without-a-name",
}  # fmt: skip


def list_kinds(kinds: Iterable[str]) -> list[Any]:
    return [pytest.param(kind, marks=pytest.mark.breadth) if kind in SIMILAR else kind for kind in kinds]


@pytest.mark.parametrize("kind", list_kinds(SURVIVED))
def test_harm_to_the_process_is_undone_and_the_plugin_named(site: Site, kind: str) -> None:
    source, reason = SURVIVED[kind]
    site.add("culprit", f"{PREAMBLE}\n{source}\n")
    site.add("zebra")  # loaded after it
    names, described = site.list_and_describe()
    assert {"good/net", "zebra/net"} <= {*names}
    assert described["zoo-culprit"]["state"] == "broken"
    assert reason in described["zoo-culprit"]["reason"]
    assert described["zoo-zebra"]["state"] == "ok"


def test_a_daemon_thread_that_keeps_printing_is_named(site: Site) -> None:
    work = "def work():\n    while True:\n        os.write(1, b'noise')\n        time.sleep(0.001)\n"
    start = f"import os, threading, time\n{work}threading.Thread(target=work, daemon=True).start()\n"
    site.add("culprit", start + hook("return [spec('NAMESPACE/net')]"))
    assert "plugin culprit is broken: it starts a thread that does not end" in site.run("list").stderr


def test_a_plugin_may_add_a_folder_to_the_path(site: Site) -> None:
    site.add("adding", "import sys\nsys.path.insert(0, '/nowhere')\n" + hook("return [spec('NAMESPACE/net')]"))
    assert "adding/net" in site.list_names()


@pytest.mark.parametrize(
    "source",
    ["import os\nos.write(1, b'noise')", "import os\nos.system('echo noise')", "print('noise')"],
    ids=["descriptor", "child", "print"],
)
def test_what_a_plugin_writes_does_not_reach_stdout(site: Site, source: str) -> None:
    site.add("loud", source + "\n" + hook("return [spec('NAMESPACE/net')]"))
    result = site.run("list", "--json")
    assert "loud/net" in [row["name"] for row in json.loads(result.stdout)]


def test_a_child_that_a_plugin_leaves_behind_does_not_hold_the_output_open(site: Site) -> None:
    source = "import subprocess\nsubprocess.Popen(['sleep', '20'])\n"  # longer than listing takes
    site.add("parent", source + hook("return [spec('NAMESPACE/net')]"))
    assert "parent/net" in site.list_names()


@pytest.mark.breadth
def test_an_exit_handler_that_does_not_return_is_named_and_left_behind(site: Site) -> None:
    source = "import atexit, threading\n\n\ndef wait():\n    threading.Event().wait()\n\n\natexit.register(wait)\n"
    site.add("waiting", source + hook("return [spec('NAMESPACE/net')]"))
    result = site.run("list")
    assert result.returncode == 0
    assert "waiting/net" in result.stdout
    assert "the plugin waiting" in result.stderr


def test_an_exit_handler_that_returns_is_run(site: Site) -> None:
    mark = site.folder / "ended"
    source = f"import atexit, pathlib\ndef touch(): pathlib.Path({str(mark)!r}).touch()\natexit.register(touch)\n"
    site.add("tidy", source + hook("return [spec('NAMESPACE/net')]"))
    assert "tidy/net" in site.list_names()
    assert mark.exists()


def test_an_exit_handler_can_be_unregistered(site: Site) -> None:
    mark = site.folder / "ended"
    source = f"import atexit, pathlib\ndef touch(): pathlib.Path({str(mark)!r}).touch()\natexit.register(touch)\n"
    site.add("tidy", source + "atexit.unregister(touch)\n" + hook("return [spec('NAMESPACE/net')]"))
    assert "tidy/net" in site.list_names()
    assert not mark.exists()


def test_a_plugin_that_closes_all_descriptors_is_named(site: Site) -> None:
    site.add("culprit", "import os\nos.closerange(1, 256)\n")
    assert "good/net" in site.list_names()
    assert site.describe()["zoo-culprit"]["state"] == "broken"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs limits on open files")
def test_a_low_limit_on_open_files_does_not_prevent_listing(site: Site) -> None:
    code = "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))\n"
    code += "import sys\nsys.argv = ['zoo', 'list']\nimport zoo.cli\nzoo.cli.main()\n"
    result = site.python("-c", code)
    assert "good/net" in result.stdout, result.stderr


def test_without_a_home_directory_plugins_are_listed(site: Site) -> None:
    code = "import os\nos.environ.pop('HOME', None)\nimport pathlib\n"
    code += "def fail(path):\n    raise RuntimeError('Could not determine home directory.')\n"
    code += "pathlib.Path.expanduser = fail\nimport sys\nsys.argv = ['zoo', 'list']\nimport zoo.cli\nzoo.cli.main()\n"
    result = site.python("-c", code, ZOO_CACHE="", XDG_CACHE_HOME="")
    assert "good/net" in result.stdout, result.stderr


def test_threads_that_open_the_registry_at_once_leave_the_process_as_it_was(site: Site) -> None:
    code = """
import os, sys, threading
from zoo.registry.registry import open_registry

before = os.fstat(1), os.fstat(2), sys.stdout, os.fork
barrier = threading.Barrier(4)

def work():
    barrier.wait()
    open_registry()

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert before == (os.fstat(1), os.fstat(2), sys.stdout, os.fork)
print("same")
"""
    for _ in range(3):
        assert site.python("-c", code).stdout == "same\n"


def test_a_thread_that_another_part_of_the_application_starts_is_not_blamed_on_the_plugin(site: Site) -> None:
    site.add("slow", "import other\nother.loading.set()\nother.started.wait(30)\n" + hook("return [spec('slow/net')]"))
    (site.folder / "other.py").write_text(
        "import threading\nloading, started, end = (threading.Event() for _ in range(3))"
    )
    code = """
import threading
import other
from zoo.registry.registry import open_registry

def serve():
    other.loading.wait(30)
    threading.Thread(target=other.end.wait).start()
    other.started.set()

threading.Thread(target=serve).start()
found = {plugin.namespace: plugin.state for plugin in open_registry().plugins}
print(found["slow"])
other.end.set()
"""
    result = site.python("-c", code)
    assert result.stdout == "ok\n", result.stderr


def test_a_thread_that_a_thread_of_a_plugin_starts_is_blamed_on_the_plugin(site: Site) -> None:
    nested = "def work():\n    threading.Thread(target=threading.Event().wait).start()\n"
    start = "import threading\n" + nested + "first = threading.Thread(target=work)\nfirst.start()\nfirst.join()\n"
    site.add("culprit", start + hook("return [spec('culprit/net')]"))
    assert "starts a thread that does not end" in site.describe()["zoo-culprit"]["reason"]
