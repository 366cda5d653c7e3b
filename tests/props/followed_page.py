"""A reader who follows the steps of a page of the documentation."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
STEP = re.compile(
    r"(?:^<!-- (?P<kind>\w+)(?:: (?P<path>\S+))? -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```",
    flags=re.MULTILINE | re.DOTALL,
)


class Reader:
    """A reader who follows the steps of a page in order: writes and changes its files, and runs its commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands: list[str] = []
        #: What the last command printed on stdout.
        self.printed = ""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "ZOO_OFFLINE": "1"}

    def follow(self, page: str) -> None:
        for step in STEP.finditer((ROOT / page).read_text(encoding="utf-8")):
            kind, path, text = step["kind"], self.folder / (step["path"] or ""), step["text"]
            if kind == "file":
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            elif kind == "change":
                change(path, text)
            elif kind == "shows":
                assert unindent(text) in unindent(path.read_text(encoding="utf-8"))
            elif step["language"] == "console":
                for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, flags=re.MULTILINE):
                    self.run(command, shown, code=int(kind == "fails"))

    def run(self, command: str, shown: str, code: int) -> None:
        """Run a command and compare its output with the page, on which ``...`` matches any text."""
        self.commands.append(command)
        if command.startswith("pip install"):
            self.install(shlex.split(command)[2:])
            return
        done = subprocess.run(
            command, shell=True, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, f"{command}\n{done.stdout}{done.stderr}"
        self.printed = done.stdout
        pattern = ".*".join(map(re.escape, shown.split("...")))
        assert not shown or re.fullmatch(pattern, done.stdout, flags=re.DOTALL), f"{command}\n{done.stdout}"

    def install(self, arguments: list[str]) -> None:
        """Install into a separate folder instead of the environment that runs the tests."""
        site, source = self.folder / "site", self.folder / arguments[-1].partition("[")[0]
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
        command += ["--no-build-isolation", "--target", str(site), str(source)]
        subprocess.run(command, cwd=self.folder, env=self.environment, check=True, capture_output=True)
        # pip cannot combine -e with --target, so the folder of an editable package comes first in the path.
        paths = [source / "src", site] if "-e" in arguments else [site]
        self.environment["PYTHONPATH"] = os.pathsep.join(map(str, paths))


def change(path: Path, diff: str) -> None:
    """Change a file by a diff, with an empty line between changes."""
    content = path.read_text(encoding="utf-8")
    for hunk in diff.rstrip("\n").split("\n\n"):
        lines = hunk.splitlines()
        old, new = ("\n".join(line[1:] for line in lines if line[0] in kept) for kept in (" -", " +"))
        assert content.count(old) == 1, f"{path} does not have, once:\n{old}"
        content = content.replace(old, new)
    path.write_text(content, encoding="utf-8")


def unindent(text: str) -> str:
    return re.sub("^ +", "", text, flags=re.MULTILINE)
