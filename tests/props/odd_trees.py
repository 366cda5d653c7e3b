"""A folder with odd and bad files of every kind in train, val and test, and everything that zoo should say about it."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from bad_files import BAD_FILES, LITTER, UNSUPPORTED
from odd_images import ODD_IMAGES, draw

SPLITS = ("train", "val", "test")
#: Names of ordinary images. The last ones are only possible on file systems that accept any bytes.
NAMES = (
    "-photo.png", "--data.png", "=1+1.png", "a b.png", "caf\u00e9.png", "nfd-cafe\u0301.png", "<b>photo.png",
    "$(ls).png", "`ls`.png", "100%.png", "photo #2.png", "\U0001f41c.png", f"{'x' * 200}.png", "thumbs.db.png",
    *(("a\nb.png", "a\tb.png", "\x1b[31m.png", 'a"b.png', "a\\b.png", "a:b?.png", "txt.\u202egnp.jpg")
      if os.name == "posix" else ()),
    *((os.fsdecode(b"\xff\xfe.png"),) if sys.platform == "linux" else ()),
)  # fmt: skip


@dataclass
class OddTree:
    """A folder, and what zoo should say about its files, whose paths are relative to the folder."""

    top: Path
    #: How the reason begins, by the path of each file that zoo skips.
    skipped: dict[str, str] = field(default_factory=dict)
    #: Kind and path of each other finding.
    findings: set[tuple[str, str]] = field(default_factory=set)
    #: Number of readable images in each split.
    images: Counter[str] = field(default_factory=Counter)

    def add_image(self, path: str, content: bytes | None = None, *codes: str) -> Path:
        """Write a readable image; without any content, the caller does this."""
        self.images[path.partition("/")[0]] += 1
        self.findings |= {(code, path) for code in codes}
        return self._write(path, content)

    def add_skipped(self, path: str, reason: str, content: bytes | None = None) -> Path:
        """Write a file that zoo skips; without any content, the caller does this."""
        self.skipped[path] = reason
        return self._write(path, content)

    def _write(self, path: str, content: bytes | None) -> Path:
        whole = self.top / path
        whole.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            whole.write_bytes(content)
        return whole


def plant_odd_tree(top: Path) -> OddTree:
    """Write a folder with the classes ant and bee. All odd files are in the class ant of each split."""
    tree = OddTree(top / "data")
    store = top / "store"
    store.mkdir(parents=True)
    for order, split in enumerate(SPLITS):
        for name in (f"{class_name}/{number}.png" for class_name in ("ant", "bee") for number in range(12)):
            draw(10_000 + len(tree.images) + sum(tree.images.values())).save(tree.add_image(f"{split}/{name}"))
        folder = f"{split}/ant"
        for place, (name, (codes, make)) in enumerate(ODD_IMAGES.items()):
            tree.add_image(f"{folder}/{name}", make(3 * place + order), *codes)
        for name, (reason, make) in {**BAD_FILES, **UNSUPPORTED}.items():
            tree.add_skipped(f"{folder}/{name}", reason, make(order))
        for place, name in enumerate(NAMES):
            draw(20_000 + 3 * place + order).save(tree.add_image(f"{folder}/{name}"))
        for name in LITTER:
            (tree.top / folder / name).write_bytes(b"\0")
        _add_copies(tree, split)
        _add_links(tree, folder, store / f"{order}.png", 30_000 + order)
        _add_folders(tree, folder, 30_010 + order)
    return tree


def _add_copies(tree: OddTree, split: str) -> None:
    ant = tree.top / split / "ant"
    tree.add_image(f"{split}/ant/twin.png", (ant / "0.png").read_bytes(), "duplicate")
    Image.open(ant / "1.png").save(tree.add_image(f"{split}/ant/twin.jpg", None, "near-duplicate"), quality=70)
    tree.add_image(f"{split}/bee/conflict.png", (ant / "2.png").read_bytes(), "conflict", "duplicate")
    tree.findings.add(("conflict", f"{split}/ant/2.png"))
    tree.add_image(f"{split}/bee/near-conflict.webp", None, "near-conflict", "near-duplicate")
    Image.open(ant / "3.png").resize((192, 128)).save(ant.parent / "bee" / "near-conflict.webp", quality=70)
    tree.findings.add(("near-conflict", f"{split}/ant/3.png"))
    if split != "train":
        train = tree.top / "train" / "ant"
        tree.add_image(f"{split}/ant/leak.png", (train / "4.png").read_bytes(), "leak")
        near = tree.add_image(f"{split}/ant/near-leak.jpg", None, "near-leak")
        Image.open(train / "5.png").save(near, quality=90 if split == "val" else 70)


def _add_links(tree: OddTree, folder: str, target: Path, number: int) -> None:
    """Add links, and files that cannot be opened."""
    if os.name != "posix":
        return
    draw(number).save(target)
    tree.add_image(f"{folder}/link.png").symlink_to(target)
    tree.add_skipped(f"{folder}/dangling.jpg", "cannot be opened: No such file").symlink_to("nowhere.jpg")
    tree.add_skipped(f"{folder}/loop.jpg", "cannot be opened: Too many levels").symlink_to("loop.jpg")
    tree.add_skipped(f"{folder}/link-to-self", "a link to a folder that contains it").symlink_to(".")
    os.mkfifo(tree.add_skipped(f"{folder}/pipe.jpg", "not a regular file"))
    closed = tree.add_skipped(f"{folder}/closed.png", "Permission denied")
    draw(number).save(closed)
    closed.chmod(0)


def _add_folders(tree: OddTree, folder: str, number: int) -> None:
    tree.add_skipped(f"{folder}/folder.jpg", "a folder, not an image").mkdir()
    draw(number).save(tree.add_image(f"{folder}/album.jpg/photo.png"))
    (tree.top / folder / "empty").mkdir()
    for name, reason in {"__MACOSX": "system folder", ".thumbnails": "hidden folder"}.items():
        inside = tree.add_skipped(f"{folder}/{name}", reason)
        inside.mkdir()
        draw(number).save(inside / "photo.png")


def digest_tree(top: Path) -> str:
    """Return the SHA-256 of the names, contents, modes, modification times and targets of everything in a folder."""
    digest = hashlib.sha256()
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        is_readable = stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IRUSR
        content = path.read_bytes() if is_readable else b""
        target = str(path.readlink()) if path.is_symlink() else ""
        facts = (str(path), status.st_mode, status.st_mtime_ns, hashlib.sha256(content).hexdigest(), target)
        digest.update(ascii(facts).encode())
    return digest.hexdigest()
