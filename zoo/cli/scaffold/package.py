"""Write the package of a new plugin, completely or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from importlib.resources import files
from pathlib import Path

from zoo.cli.scaffold.names import check_name, rename
from zoo.errors import OptionError

#: The files of a plugin, as paths in the template.
FILES = (
    ".github/workflows/test.yml",
    ".gitignore",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "src/zoo_acme/__init__.py",
    "src/zoo_acme/network.py",
    "src/zoo_acme/plugin.py",
    "tests/test_conformance.py",
)


def write_plugin(name: str, folder: Path) -> list[Path]:
    """Write a complete plugin package and return the paths of its files. This needs no network access.

    Args:
        name: Namespace of the plugin, such as ``acme``.
        folder: Folder of the package. It must be empty or missing; missing parent folders are created.

    Raises:
        OptionError: If the name is not allowed, or the folder is not empty or cannot be written. In this case, no files
            are left behind.
    """
    check_name(name)
    texts = {folder / rename(path, name): rename(_read_template(path), name) for path in FILES}
    try:
        _refuse_used(folder)
        _write_all(texts)
    except OSError as error:
        raise OptionError(
            f"the plugin {name} cannot be written to {folder}: {error.strerror}; choose another --output."
        ) from error
    return list(texts)


def _read_template(path: str) -> str:
    return files("zoo.cli.scaffold").joinpath("template", *path.split("/")).read_text(encoding="utf-8")


def _refuse_used(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()):
        raise OptionError(
            f"{folder} exists and is not empty, and zoo does not overwrite it; remove it or choose another --output."
        )


def _write_all(texts: Mapping[Path, str]) -> None:
    """Write all files. After an error or an interrupt, remove everything that was created."""
    with ExitStack() as undo:
        for path, text in texts.items():
            _make_folder(path.parent, undo)
            with path.open("x", encoding="utf-8", newline="\n") as file:  # x: never overwrite a file
                undo.callback(_quietly, path.unlink)
                file.write(text)
        undo.pop_all()


def _make_folder(folder: Path, undo: ExitStack) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent, undo)
    folder.mkdir()
    undo.callback(_quietly, folder.rmdir)


def _quietly(remove: Callable[[], None]) -> None:
    with suppress(OSError):  # the original error is the one to report
        remove()
