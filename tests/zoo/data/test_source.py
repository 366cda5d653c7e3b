"""Finding the folder that a --data value refers to."""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from recording_progress import RecordingProgress
from zoo.data.source import list_images, locate, look_up
from zoo.data.sources.cached import RULES
from zoo.errors import DataError, NameNotFound, OptionError, PluginError
from zoo.files.cache import cache_folder
from zoo.plugin import DatasetSpec
from zoo.registry.data_options import DataOptions

Plant = Callable[[Path, Mapping[str, int]], Path]
Find = Callable[..., Path]


@pytest.fixture
def find(names: Any, progress: Any, cache: Path) -> Find:  # noqa: ARG001  # It sets the cache folder.
    return lambda value: locate(look_up(value, registry=names), registry=names, progress=progress).path


def pack(folder: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder))
    return archive


def list_tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_used_as_is(tmp_path: Path, find: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    assert find(str(tmp_path / "photos")) == tmp_path / "photos"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find("~/photos") == tmp_path / "photos"


def test_an_archive_is_unpacked_once(tmp_path: Path, find: Find, plant: Plant, cache: Path, progress: Any) -> None:
    archive = pack(plant(tmp_path / "photos", {"ant": 1, "bee": 1}), tmp_path / "photos.zip")
    folder = find(archive)
    assert folder == cache / "data" / f"{hashlib.sha256(archive.read_bytes()).hexdigest()}-{RULES}"
    assert list_tree(folder) == {"ant/0.png", "bee/0.png"}
    (folder / "mark").touch()
    archive.rename(tmp_path / "renamed.zip")
    assert find(tmp_path / "renamed.zip") == folder
    assert (folder / "mark").exists()
    assert progress.lines == [f"unpacking {archive}"]


def test_a_changed_archive_of_the_same_name_is_unpacked_again(tmp_path: Path, find: Find, plant: Plant) -> None:
    archive = tmp_path / "photos.zip"
    first = find(pack(plant(tmp_path / "a", {"ant": 1}), archive))
    assert find(pack(plant(tmp_path / "b", {"ant": 2}), archive)) != first


def test_a_folder_that_older_rules_unpacked_is_not_used(
    tmp_path: Path, find: Find, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = pack(plant(tmp_path / "photos", {"ant": 1}), tmp_path / "photos.zip")
    old = find(archive)
    monkeypatch.setattr("zoo.data.sources.cached.RULES", RULES + 1)
    new = find(archive)
    assert new != old
    assert list_tree(new) == {"ant/0.png"}


def test_a_damaged_archive_leaves_nothing_in_the_cache(tmp_path: Path, find: Find, cache: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK broken")
    with pytest.raises(DataError, match="damaged"):
        find(tmp_path / "a.zip")
    assert list((cache / "data").iterdir()) == []


def test_a_file_that_is_not_an_archive_is_an_error_with_advice(tmp_path: Path, find: Find) -> None:
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(DataError, match=r"does not end with one of \.csv, .*\.zip, .*pass a folder"):
        find(tmp_path / "photo.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_an_error(tmp_path: Path, find: Find) -> None:
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        find(tmp_path / "pipe.zip")


def test_a_missing_path_is_an_error_with_similar_names(tmp_path: Path, find: Find) -> None:
    (tmp_path / "hymenoptera_data").mkdir()
    for value in (f"{tmp_path}/hymenoptera", tmp_path / "hymenoptera", f"{tmp_path}/hymenoptera.zip"):
        with pytest.raises(DataError, match=r"does not exist; similar names: '.*hymenoptera_data'"):
            find(value)
    with pytest.raises(DataError, match="pass a folder of images"):
        find(f"{tmp_path}/nowhere/else")


def test_an_unknown_name_is_an_error_with_similar_names(
    tmp_path: Path, find: Find, names: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names.specs["bees"] = DatasetSpec(name="bees", description="x", license="MIT", url="https://a.b/c.zip")
    with pytest.raises(NameNotFound, match="known are bees"):
        find("ants")
    (tmp_path / "ants2").mkdir()
    with pytest.raises(NameNotFound, match=r"known are bees.*Similar names in the working directory: 'ants2'"):
        find("ants")
    with pytest.raises(DataError, match=r"there is no folder, table or archive 'data/ants'.*known are bees"):
        find("data/ants")


def test_an_address_of_another_kind_is_an_error_with_advice(find: Find) -> None:
    with pytest.raises(DataError, match="download it yourself"):
        find("s3://bucket/photos.zip")


def test_a_folder_takes_precedence_over_a_name(
    tmp_path: Path, find: Find, names: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bees").mkdir()
    names.specs["bees"] = DatasetSpec(name="bees", description="x", license="MIT", make=Path.mkdir)
    assert find("bees") == Path("bees")


@pytest.fixture
def packed(tmp_path: Path, plant: Plant) -> Path:
    return pack(plant(tmp_path / "top", {"inner/ant": 1, "inner/bee": 1}), tmp_path / "bees.zip")


def fetched_spec(archive: Path, **fields: Any) -> DatasetSpec:
    fields = {"sha256": hashlib.sha256(archive.read_bytes()).hexdigest(), "root": "inner", **fields}
    return DatasetSpec(name="bees", description="x", license="MIT", url="https://a.b/c/bees.zip?x=1", **fields)


def put_fetched(archive: Path, key: str) -> None:
    """Put the archive where a previous download would have saved it."""
    target = cache_folder() / "data" / f"{key}-bees.zip"
    target.parent.mkdir(parents=True)
    archive.rename(target)


@pytest.mark.parametrize("known", [True, False], ids=["digest known", "digest unknown"])
def test_a_named_data_set_is_fetched_and_unpacked_once(packed: Path, find: Find, names: Any, known: bool) -> None:  # noqa: FBT001
    spec = fetched_spec(packed, **({} if known else {"sha256": None}))
    names.specs["bees"] = spec
    key = spec.sha256 or hashlib.sha256(f"{spec.url}\0measured".encode()).hexdigest()
    put_fetched(packed, key)
    folder = find("bees")
    assert list_tree(folder) == {"ant/0.png", "bee/0.png"}
    assert [path.name for path in (cache_folder() / "data").iterdir()] == [f"{key}-{RULES}"]  # The archive was removed.
    assert find("bees") == folder


def test_a_data_set_of_a_project_is_reported_with_its_address_and_digest(packed: Path, names: Any) -> None:
    names.specs["bees"] = spec = fetched_spec(packed)
    names.files["bees"] = Path("registry.toml")
    put_fetched(packed, str(spec.sha256))
    progress = RecordingProgress()
    locate(spec, registry=names, progress=progress)
    assert progress.lines[0] == f"note: bees is defined in registry.toml: {spec.url}, sha256 {spec.sha256}"


def test_a_root_that_is_missing_from_the_archive_is_an_error(packed: Path, find: Find, names: Any) -> None:
    names.specs["bees"] = spec = fetched_spec(packed, root="PetImages")
    put_fetched(packed, str(spec.sha256))
    with pytest.raises(DataError, match="'bees' has no 'PetImages'"):
        find("bees")


def generated_spec(make: Callable[[Path], None], name: str = "tiny/shapes") -> DatasetSpec:
    return DatasetSpec(name=name, description="x", license="MIT", make=make)


def test_a_generated_data_set_is_generated_once(find: Find, names: Any, cache: Path) -> None:
    calls = []

    def make(folder: Path) -> None:
        calls.append(folder)
        assert folder.is_dir()
        assert not list(folder.iterdir())
        (folder / "a.txt").write_text("a")

    names.specs["shapes"] = generated_spec(make)
    assert find("shapes") == find("shapes")
    assert len(calls) == 1
    assert list_tree(find("shapes")) == {"a.txt"}
    assert len(list((cache / "data").iterdir())) == 1


def test_a_new_version_of_the_code_generates_the_data_set_again(tmp_path: Path, find: Find, names: Any) -> None:
    folders = []
    for version in (1, 2):
        module = tmp_path / f"v{version}" / "shapes.py"
        module.parent.mkdir()
        module.write_text(f"def make(folder):\n    (folder / 'version').write_text('{version}')\n")
        namespace: dict[str, Any] = {}
        exec(compile(module.read_text(), module, "exec"), namespace)
        names.specs["shapes"] = generated_spec(namespace["make"])
        folders.append(find("shapes"))
    assert [(folder / "version").read_text() for folder in folders] == ["1", "2"]


def test_an_exception_while_generating_is_a_plugin_error_and_leaves_nothing(
    find: Find, names: Any, cache: Path
) -> None:
    def make(folder: Path) -> None:
        (folder / "half").touch()
        raise ZeroDivisionError

    names.specs["shapes"] = generated_spec(make)
    with pytest.raises(PluginError, match="'tiny/shapes' cannot be generated: ZeroDivisionError"):
        find("shapes")
    assert list((cache / "data").iterdir()) == []


def test_finding_files_does_not_import_torch() -> None:
    import subprocess

    code = "import sys, zoo.data.source, zoo.data.sources.folder, zoo.data.split; sys.exit('torch' in sys.modules)"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == 0


@pytest.mark.parametrize(("option", "text"), [("columns", "label=x"), ("label_from", "x")])
def test_options_that_a_torchvision_data_set_cannot_use_are_refused(
    names: Any, progress: Any, option: str, text: str
) -> None:
    options = DataOptions.parse(**{option: text})
    with pytest.raises(OptionError, match=rf"`{option}` applies only to a (folder|table), but 'torchvision:CIFAR10'"):
        list_images("torchvision:CIFAR10", options, registry=names, progress=progress)


def test_the_folder_of_a_data_set_is_listed_once(
    tmp_path: Path, plant: Plant, names: Any, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = plant(tmp_path / "photos", {"ant": 1, "bee": 1})
    listed: list[str] = []
    scan = os.scandir

    def record(path: Any) -> Any:
        listed.append(str(path))
        return scan(path)

    monkeypatch.setattr("os.scandir", record)
    list_images(folder, DataOptions.parse(), registry=names, progress=progress)
    assert listed.count(str(folder)) == 1
