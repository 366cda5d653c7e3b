"""Plugins that end or stop the process: the next start names them and skips them, from a note in the cache folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from installed_sites import PREAMBLE, Site, hook

#: What ends or stops the whole process, and what the next start says about it.
ENDING = {
    "exit-0": ("import os\nos._exit(0)", "ends the process with status 0"),
    "exit-7": ("import os\nos._exit(7)", "ends the process with status 7"),
    "segfault": ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "crashes the process with SIGSEGV"),
    "abort": ("import os\nos.abort()", "crashes the process with SIGABRT"),
    "killed": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "crashes the process with SIGKILL"),
}
#: Kinds whose reason resembles that of another kind. They are slow tests.
SIMILAR = {"exit-7", "abort", "killed"}
HANGING = {
    "import": "import time\nwhile True: time.sleep(1)",
    "loop": "while True: pass",
    "hook": hook("import threading", "threading.Event().wait()"),
    "generator": hook("while True: yield spec('NAMESPACE/net')"),
}
#: What ends the process only where zoo loads all plugins, so that loading the plugin alone succeeds.
ONLY_WITH_OTHERS = {
    "other-plugin": "import os, sys\nif 'plugin_zoo_beside' in sys.modules: os._exit(0)\n",
    "command-line": "import os, sys\nif sys.argv[0] != '-c': os._exit(0)\n",
}


def start(site: Site, tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "ZOO_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(site.folder)}
    return subprocess.Popen(
        [sys.executable, "-m", "zoo", *(arguments or ("list",))],
        env=environment, cwd=site.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.breadth) if kind in SIMILAR else kind for kind in ENDING]
)
def test_a_plugin_that_ends_the_process_is_named_and_skipped_at_the_next_start(
    site: Site, tmp_path: Path, kind: str
) -> None:
    source, reason = ENDING[kind]
    site.add("culprit", f"{PREAMBLE}\n{source}\n")
    site.add("zebra")
    cache = str(tmp_path / "cache")
    assert "zebra/net" not in site.run("list", ZOO_CACHE=cache).stdout
    for _ in range(2):
        assert {"good/net", "zebra/net"} <= {*site.list_names(ZOO_CACHE=cache)}
    assert reason in site.describe(ZOO_CACHE=cache)["zoo-culprit"]["reason"]
    assert f"plugin culprit is broken: it {reason}" in site.run("list", ZOO_CACHE=cache).stderr


@pytest.mark.parametrize(
    "kind", ["hook", *(pytest.param(kind, marks=pytest.mark.breadth) for kind in ("import", "loop", "generator"))]
)
def test_a_plugin_that_does_not_return_is_named_with_advice_to_disable_it(
    site: Site, tmp_path: Path, kind: str
) -> None:
    site.add("culprit", f"{PREAMBLE}\n{HANGING[kind]}\n")
    process = start(site, tmp_path)
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "the plugin culprit" in line
    assert "ZOO_DISABLE_PLUGINS=culprit" in line
    process.kill()
    process.communicate()
    described = site.describe(ZOO_CACHE=str(tmp_path / "cache"))
    assert "does not finish loading" in described["zoo-culprit"]["reason"]
    assert described["zoo-good"]["state"] == "ok"


@pytest.mark.breadth
def test_a_plugin_that_was_interrupted_while_it_hung_is_skipped_at_the_next_start(site: Site, tmp_path: Path) -> None:
    site.add("culprit", HANGING["import"])
    process = start(site, tmp_path)
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert site.describe(ZOO_CACHE=str(tmp_path / "cache"))["zoo-culprit"]["state"] == "broken"


def test_a_good_plugin_that_was_killed_while_it_was_loaded_is_used_again(site: Site, tmp_path: Path) -> None:
    mark = site.folder / "loaded-once"
    source = f"import os, signal\nif not os.path.exists({str(mark)!r}):\n    open({str(mark)!r}, 'w').close()\n"
    site.add("victim", source + "    os.kill(os.getpid(), signal.SIGKILL)\n" + hook("return [spec('NAMESPACE/net')]"))
    cache = str(tmp_path / "cache")
    assert site.run("list", ZOO_CACHE=cache).returncode == -signal.SIGKILL
    assert "victim/net" in site.list_names(ZOO_CACHE=cache)
    assert not [*(tmp_path / "cache" / "loading").iterdir()]


def test_a_plugin_that_was_fixed_is_used_again(site: Site, tmp_path: Path) -> None:
    site.add("culprit", "import os\nos._exit(3)\n")
    cache = str(tmp_path / "cache")
    site.run("list", ZOO_CACHE=cache)
    assert "culprit/net" not in site.list_names(ZOO_CACHE=cache)
    (site.folder / "plugin_zoo_culprit.py").write_text(hook("return [spec('culprit/net')]"))
    assert "culprit/net" in site.list_names(ZOO_CACHE=cache)


def test_a_note_about_a_plugin_that_is_not_installed_here_is_left_alone(site: Site, tmp_path: Path) -> None:
    site.add("culprit", "import os\nos._exit(3)\n")
    cache = str(tmp_path / "cache")
    site.run("list", ZOO_CACHE=cache)
    (note,) = (tmp_path / "cache" / "loading").iterdir()
    assert "good/net" in site.list_names(ZOO_CACHE=cache, ZOO_DISABLE_PLUGINS="culprit")
    assert note.read_text() == "culprit"


def test_a_named_pipe_among_the_notes_is_not_opened(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "loading"
    folder.mkdir(parents=True)
    os.mkfifo(folder / f"{os.uname().nodename}.99999999")
    assert "good/net" in site.list_names(ZOO_CACHE=str(tmp_path / "cache"))


def test_several_notes_about_a_plugin_lead_to_one_advice(site: Site, tmp_path: Path) -> None:
    site.add("culprit", "import os\nos._exit(3)\n")
    cache = str(tmp_path / "cache")
    site.run("list", ZOO_CACHE=cache)
    (note,) = (tmp_path / "cache" / "loading").iterdir()
    other = note.with_suffix(".99999999")  # no process has this ID
    other.write_text("culprit", encoding="utf-8")
    reason = site.describe(ZOO_CACHE=cache)["zoo-culprit"]["reason"]
    assert reason.count("it ends the process with status 3") == reason.count("until you delete ") == 1
    assert f"until you delete {' and '.join(sorted(map(str, (note, other))))};" in reason


@pytest.mark.parametrize("kind", ["other-plugin", pytest.param("command-line", marks=pytest.mark.breadth)])
def test_a_plugin_that_ends_the_process_again_after_it_was_tried_alone_is_named_and_skipped(
    site: Site, kind: str
) -> None:
    site.add("beside")
    site.add("culprit", ONLY_WITH_OTHERS[kind] + hook("return [spec('NAMESPACE/net')]"))
    assert [site.run("list").stdout for _ in range(2)] == ["", ""]
    assert {"good/net", "beside/net"} <= {*site.list_names()}
    reason = site.describe()["zoo-culprit"]["reason"]
    assert "it repeatedly ends the process while it is loading" in reason
    (site.folder / "plugin_zoo_culprit.py").write_text(hook("return [spec('culprit/fixed')]"))
    assert "culprit/fixed" in site.list_names()
    assert [*(site.folder / "cache" / "loading").iterdir()] == []


@pytest.mark.breadth
def test_a_plugin_that_hung_is_not_tried_again_until_it_changes(site: Site, tmp_path: Path) -> None:
    tries = site.folder / "tries"
    source = f"with open({str(tries)!r}, 'a') as file: file.write('x')\n"
    site.add("culprit", source + HANGING["import"])
    process = start(site, tmp_path)
    assert process.stderr is not None
    process.stderr.readline()
    process.kill()
    process.communicate()
    cache = str(tmp_path / "cache")
    for _ in range(3):
        assert "does not finish loading within 5 s; zoo skips it" in site.run("list", ZOO_CACHE=cache).stderr
    assert tries.read_text() == "xx"  # the first start, and one separate process
    (site.folder / "plugin_zoo_culprit.py").write_text(hook("return [spec('culprit/fixed')]"))
    assert "culprit/fixed" in site.list_names(ZOO_CACHE=cache)


@pytest.mark.breadth
def test_a_hook_that_does_not_return_is_named(site: Site, tmp_path: Path) -> None:
    site.add(
        "culprit", hook("import threading", "threading.Event().wait()", name="zoo_find_backbone", arguments="name")
    )
    process = start(site, tmp_path, "info", "culprit/net")
    assert process.stderr is not None
    line = process.stderr.readline()
    process.kill()
    process.communicate()
    assert line.startswith("note: still waiting for zoo_find_backbone of the plugin culprit after 3 s;")
