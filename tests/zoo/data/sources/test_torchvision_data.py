"""Data sets of torchvision, downloaded by torchvision itself from a server on loopback."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets

from made_archives import md5, tar
from zoo.data.dataset import open_images
from zoo.data.listing import Listing
from zoo.data.source import list_images, look_up
from zoo.errors import DataError, DownloadError
from zoo.registry.data_options import DataOptions

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 3072), dtype=np.uint8)


def jpeg(number: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 6), (number * 25, 0, 255 - number * 25)).save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture
def list_(cache: Path, names: Any, progress: Any) -> Any:
    assert cache
    return lambda value: list_images(value, DataOptions.parse(), registry=names, progress=progress)


def pairs(listing: Listing) -> list[tuple[str, str]]:
    return [(file.split, file.class_name) for file in listing.files]


@pytest.fixture
def cifar(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve six images in the format of CIFAR10."""
    batches = {
        "data_batch_1": pickle.dumps({"data": PIXELS[:4], "labels": [1, 0, 1, 0]}),
        "test_batch": pickle.dumps({"data": PIXELS[4:], "labels": [0, 1]}),
        "batches.meta": pickle.dumps({"label_names": ["plane", "car"]}),
    }
    archive = tar({f"cifar-10-batches-py/{name}": data for name, data in batches.items()})
    monkeypatch.setattr(datasets.CIFAR10, "url", site.put("/cifar-10-python.tar.gz", archive))
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(archive))
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [["data_batch_1", md5(batches["data_batch_1"])]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", md5(batches["test_batch"])]])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": md5(batches["batches.meta"])}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)


@pytest.mark.usefixtures("cifar")
def test_cifar10_is_downloaded_once_and_written_without_loss(list_: Any, site: Any, cache: Path) -> None:
    listing = list_("torchvision:CIFAR10")
    train = [("train", "car"), ("train", "car"), ("train", "plane"), ("train", "plane")]
    assert pairs(listing) == [*train, ("test", "car"), ("test", "plane")]
    read = sorted(np.asarray(Image.open(file.path)).tobytes() for file in listing.files)
    assert read == sorted(row.reshape(3, 32, 32).transpose(1, 2, 0).tobytes() for row in PIXELS)
    assert listing.source == {"name": "torchvision:CIFAR10", "version": listing.source["version"]}  # type: ignore[index]
    count = len(site.requests)
    assert list_("torchvision:cifar10") == listing
    assert len(site.requests) == count
    assert not [path for path in cache.rglob("*") if path.name.endswith(".tar.gz")]


@pytest.mark.usefixtures("cifar")
def test_an_archive_with_another_md5_is_refused_and_nothing_is_left(
    list_: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", "0" * 32)
    with pytest.raises(DownloadError, match="Cannot fetch torchvision:CIFAR10: RuntimeError: File not found"):
        list_("torchvision:CIFAR10")
    assert list((cache / "data").iterdir()) == []


class Bomb:
    """An object whose unpickling creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.usefixtures("cifar")
@pytest.mark.parametrize("name", ["data_batch_1", "test_batch", "batches.meta"])
def test_a_changed_pickle_is_never_loaded(list_: Any, cache: Path, tmp_path: Path, name: str) -> None:
    list_("torchvision:CIFAR10")
    for table in (cache / "data").glob("*/images.jsonl"):
        table.unlink()  # so that the pickles are read again
    folder = cache / "data" / "torchvision-CIFAR10" / "cifar-10-batches-py"
    (folder / name).write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(DataError, match=r"cannot read torchvision:CIFAR10: RuntimeError: .*Remove .*-CIFAR10"):
        list_("torchvision:CIFAR10")
    assert not (tmp_path / "exploded").exists()


@pytest.fixture
def pets(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve five images in the format of OxfordIIITPet: the breed, the number of the breed, and 1 for a cat."""
    rows = {
        "trainval": ["Abyssinian_1 1 1 1", "beagle_2 2 2 1", "beagle_3 2 2 1"],
        "test": ["Abyssinian_4 1 1 1", "beagle_5 2 2 1"],
    }
    images = tar({f"images/{row.split()[0]}.jpg": jpeg(n) for n, row in enumerate([*rows["trainval"], *rows["test"]])})
    notes = tar({f"annotations/{name}.txt": "\n".join(lines).encode() for name, lines in rows.items()})
    served = [("/images.tar.gz", images), ("/annotations.tar.gz", notes)]
    monkeypatch.setattr(datasets.OxfordIIITPet, "_RESOURCES", [(site.put(*file), md5(file[1])) for file in served])


@pytest.mark.usefixtures("pets")
def test_pets_are_listed_by_their_files_with_breeds_or_species(list_: Any, cache: Path) -> None:
    breeds = list_("torchvision:OxfordIIITPet")
    assert [file.class_name for file in breeds.files] == ["Abyssinian", "Beagle", "Beagle", "Abyssinian", "Beagle"]
    species = list_("torchvision:OxfordIIITPet:binary-category")
    assert pairs(species) == [("train", "Cat"), ("train", "Dog"), ("train", "Dog"), ("test", "Cat"), ("test", "Dog")]
    assert breeds.files[0].path.read_bytes() == jpeg(0)
    assert breeds.files[0].name == "oxford-iiit-pet/images/Abyssinian_1.jpg"
    assert [path.name for path in (cache / "data").iterdir()] == ["torchvision-OxfordIIITPet"]


def serve_pets(site: Any, monkeypatch: pytest.MonkeyPatch, second: str) -> None:
    """Serve two images for each split in the format of OxfordIIITPet, the second one with these numbers."""
    rows = {"trainval": f"a_1 1 1 1\nb_2 {second}", "test": f"a_3 1 1 1\nb_4 {second}"}
    notes = tar({f"annotations/{name}.txt": text.encode() for name, text in rows.items()})
    images = tar({f"images/{name}.jpg": jpeg(number) for number, name in enumerate(("a_1", "b_2", "a_3", "b_4"))})
    served = [("/images.tar.gz", images), ("/annotations.tar.gz", notes)]
    monkeypatch.setattr(datasets.OxfordIIITPet, "_RESOURCES", [(site.put(*file), md5(file[1])) for file in served])


def test_an_image_with_the_label_minus_one_has_no_label(list_: Any, site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    serve_pets(site, monkeypatch, "0 0 1")  # torchvision subtracts 1
    listing = list_("torchvision:OxfordIIITPet:binary-category")
    assert pairs(listing) == [("train", "Cat"), ("test", "Cat")]
    assert [(item.path.name, item.reason) for item in listing.left_out] == [
        ("b_2.jpg", "no label"),
        ("b_4.jpg", "no label"),
    ]


@pytest.mark.parametrize("number", [-1, 4])
def test_a_label_that_is_not_the_number_of_a_class_is_an_error(
    list_: Any, site: Any, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    serve_pets(site, monkeypatch, f"{number} {number} 1")
    message = f"cannot use torchvision:OxfordIIITPet: an image has the label {number - 1}, but its 2 classes"
    with pytest.raises(DataError, match=message):
        list_("torchvision:OxfordIIITPet:binary-category")


@pytest.fixture
def food(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve six images in the format of Food101."""
    lists = {
        "train": {"pie": ["pie/1", "pie/2"], "soup": ["soup/3", "soup/4"]},
        "test": {"pie": ["pie/5"], "soup": ["soup/6"]},
    }
    names = [name for split in lists.values() for images in split.values() for name in images]
    files = {f"food-101/images/{name}.jpg": jpeg(number) for number, name in enumerate(names)}
    files |= {f"food-101/meta/{split}.json": json.dumps(content).encode() for split, content in lists.items()}
    archive = tar(files)
    monkeypatch.setattr(datasets.Food101, "_URL", site.put("/food-101.tar.gz", archive))
    monkeypatch.setattr(datasets.Food101, "_MD5", md5(archive))


@pytest.mark.usefixtures("food")
def test_files_are_used_without_decoding_them(names: Any, progress: Any, cache: Path) -> None:
    images = open_images("torchvision:Food101", DataOptions.parse(), registry=names, progress=progress)
    assert images.classes == ("pie", "soup")
    assert (len(images.train) + len(images.val), len(images.test)) == (4, 2)
    assert images.source
    assert images.source["name"] == "torchvision:Food101"
    assert not list(cache.rglob("*.png"))


@pytest.mark.usefixtures("food")
def test_an_interrupted_download_is_not_taken_for_a_complete_one(
    list_: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tarfile.TarFile.extractall", stop)
        with pytest.raises(KeyboardInterrupt):
            list_("torchvision:Food101")
    assert list((cache / "data").iterdir()) == []
    assert len(list_("torchvision:Food101").files) == 6


@pytest.mark.usefixtures("food")
def test_nothing_is_downloaded_offline(list_: Any, site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(DownloadError, match="ZOO_OFFLINE is set"):
        list_("torchvision:Food101")
    assert site.requests == []


def test_flowers102_is_read_with_its_three_splits(list_: Any, site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    matlab = pytest.importorskip("scipy.io")

    def mat(**arrays: Any) -> bytes:
        stream = io.BytesIO()
        matlab.savemat(stream, arrays)
        return stream.getvalue()

    served = {
        "image": ("102flowers.tgz", tar({f"jpg/image_{number:05d}.jpg": jpeg(number) for number in range(1, 7)})),
        "label": ("imagelabels.mat", mat(labels=[1, 2, 1, 2, 1, 2])),
        "setid": ("setid.mat", mat(trnid=[1, 2], valid=[3, 4], tstid=[5, 6])),
    }
    for name, data in served.values():
        url = site.put(f"/{name}", data)
    monkeypatch.setattr(datasets.Flowers102, "_download_url_prefix", url.rpartition("/")[0] + "/")
    pins = {key: (name, md5(data)) for key, (name, data) in served.items()}
    monkeypatch.setattr(datasets.Flowers102, "_file_dict", pins)
    listing = list_("torchvision:Flowers102")
    assert listing.splits == ("train", "val", "test")
    assert set(listing.classes) == {"pink primrose", "hard-leaved pocket orchid"}
    assert len(listing.files) == 6


def test_a_data_set_that_needs_scipy_names_the_extra(names: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.data.sources.torchvision_data.find_spec", lambda _name: None)
    with pytest.raises(DataError, match=r"needs scipy to read Flowers102; install zoo-backbones\[scipy\]"):
        look_up("torchvision:Flowers102", registry=names)


def test_names_are_looked_up_without_importing_torch() -> None:
    code = (
        "import sys\nfrom zoo.data.source import look_up\nfrom zoo.registry.registry import Registry\n"
        "look_up('torchvision:MNIST', registry=Registry([]))\nsys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
