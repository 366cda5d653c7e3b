"""Every command of the tutorials in docs/tutorials runs, in order, in an empty folder.

The pages name the pretrained weights of large networks and data sets on the internet. Here, the networks have random
weights, small images and one epoch, and a server on loopback has drawn images under the names of the data sets.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from followed_page import Reader
from zoo_tiny.drawing import draw_folder
from zoo_tiny.figures import FIGURES
from zoo_tiny.suns_moons import FIGURES as SUNS_MOONS

#: What the tests add to a command that trains: the last one of two equal flags counts. Phases need two epochs.
QUICK = " --epochs {epochs} --image-size 64"
POKEMON = ("bulbasaur", "charmander", "mewtwo", "pikachu", "squirtle")


class QuickReader(Reader):
    """A reader without the pretrained weights and without much time."""

    def run(self, command: str, shown: str, code: int) -> None:
        if command.startswith(("zoo finetune", "zoo lr-find")):
            epochs = 2 if re.search("--train (head-then-all|gradual)", command) else 1
            quick = QUICK.format(epochs=epochs) if "finetune" in command else " --set image_size=64"
            own = ".py:" in command or "--weights" in command or " tiny " in command
            command += quick + ("" if own else self.weights)
        super().run(command, shown, code)

    #: The flag for random weights.
    weights = " --weights none"


class FileServer(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # the base class's name
        """Print nothing."""


def draw(folder: Path, names: tuple[str, ...], count: int, seed: str) -> None:
    """Draw images of one shape for each name."""
    draw_folder(folder, dict(zip(names, FIGURES.values(), strict=False)), count=count, seed=seed)


def pack(folder: Path, archive: Path) -> str:
    """Write a folder into a .zip file, and return its SHA-256."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for path in sorted(folder.rglob("*.jpg")):
            file.write(path, path.relative_to(folder.parent))
    archive.write_bytes(content.getvalue())
    return hashlib.sha256(content.getvalue()).hexdigest()


@pytest.fixture(scope="module")
def registry_toml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The text of a registry.toml in which the data sets of the tutorials are drawn images on a loopback server."""
    folder = tmp_path_factory.mktemp("published")
    draw(folder / "PetImages", ("Cat", "Dog"), 10, "pets")
    for split in ("train", "val"):
        draw(folder / "hymenoptera_data" / split, ("ants", "bees"), 5, split)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(FileServer, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    tables = []
    for name, root in (("cats_dogs", "PetImages"), ("hymenoptera", "hymenoptera_data")):
        digest = pack(folder / root, folder / f"{name}.zip")
        url = f"http://127.0.0.1:{server.server_port}/{name}.zip"
        table = {"description": "drawn", "url": url, "sha256": digest, "root": root, "license": "unknown"}
        tables.append(
            f"[datasets.{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
        )
    yield "\n".join(tables)
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def reader(tmp_path: Path, registry_toml: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[QuickReader]:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    (tmp_path / "registry.toml").write_text(registry_toml, encoding="utf-8")
    reader = QuickReader(tmp_path)
    del reader.environment["ZOO_OFFLINE"]  # for the server on loopback; the weights are never downloaded
    yield reader
    shutil.rmtree(tmp_path)  # VGG16 alone takes 500 MB


@pytest.mark.breadth
@pytest.mark.timeout(900)  # large networks
def test_the_tutorial_with_vgg16_runs(reader: QuickReader) -> None:
    kaggle = reader.folder / "dogs-vs-cats"
    draw(reader.folder / "drawn", ("cat", "dog"), 10, "kaggle")
    (kaggle / "train").mkdir(parents=True)
    for path in (reader.folder / "drawn").rglob("*.jpg"):
        path.rename(kaggle / "train" / f"{path.parent.name}.{int(path.stem)}.jpg")
    draw(kaggle, ("test1",), 3, "test")
    reader.follow("docs/tutorials/vgg16-cats-dogs.md")
    assert len((reader.folder / "answers.csv").read_text().splitlines()) == 4


@pytest.mark.breadth
@pytest.mark.timeout(900)  # large networks
def test_the_tutorial_with_resnet18_runs(reader: QuickReader) -> None:
    draw(reader.folder / "photos", ("ants", "bees"), 3, "photos")
    reader.follow("docs/tutorials/resnet18-ants-bees.md")
    assert (reader.folder / "photos.png").stat().st_size > 1000
    recipe = json.loads((reader.folder / "runs/resnet18-hymenoptera-2/run.json").read_text())["recipe"]
    assert (recipe["momentum"], recipe["schedule"]) == (0.9, "step:7,0.1")


@pytest.mark.breadth
@pytest.mark.timeout(900)  # large networks
def test_the_tutorial_on_surgery_runs(reader: QuickReader) -> None:
    reader.follow("docs/tutorials/layer-surgery.md")
    assert "python surgery.py" in reader.commands


@pytest.mark.breadth
@pytest.mark.timeout(900)  # large networks
def test_the_tutorial_on_unfreezing_runs(reader: QuickReader) -> None:
    draw(reader.folder / "photos", ("Cat", "Dog"), 1, "photos")
    reader.follow("docs/tutorials/gradual-unfreezing.md")
    assert (reader.folder / "rates.svg").is_file()


@pytest.mark.breadth
@pytest.mark.timeout(900)  # large networks
def test_the_tutorial_with_a_csv_file_runs(reader: QuickReader) -> None:
    from safetensors.torch import save_file

    import zoo

    draw(reader.folder / "pokemon", POKEMON, 10, "pokemon")
    # The comparison with training from scratch refuses random weights, so these are in a file.
    save_file(zoo.build("resnet18", weights="none").state_dict(), reader.folder / "random.safetensors")
    reader.weights = " --weights random.safetensors"
    reader.follow("docs/tutorials/pokemon-csv.md")
    assert json.loads((reader.folder / "runs/resnet18-images-1/run.json").read_text())["test"]["images"] == 10


@pytest.mark.breadth
@pytest.mark.timeout(900)  # large networks
def test_the_tutorial_with_own_images_runs(reader: QuickReader) -> None:
    for name, count in (("photos", 20), ("new", 3)):
        draw_folder(reader.folder / name, SUNS_MOONS, count=count, seed=name)
    reader.follow("docs/tutorials/own-images.md")
    assert (reader.folder / "photos.png").is_file()


def test_the_table_has_every_command_that_trains_in_a_classic_tutorial() -> None:
    folder = Path(__file__).parent.parent / "docs" / "tutorials"
    table = (folder / "classic.md").read_text(encoding="utf-8")
    pages = re.findall(r"\]\(([a-z0-9-]+\.md)\)", table)
    assert len(set(pages)) >= 5
    commands = [
        command
        for page in dict.fromkeys(pages)
        for command in re.findall(r"^\$ (zoo finetune .*)$", (folder / page).read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert len(commands) >= 12
    assert [command for command in commands if command.replace("|", "\\|") not in table] == []
