"""Random folder trees whose true splits and classes are known."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from zoo.data.split_names import WORDS

CLASSES = (
    "ants", "bees", "cats", "dogs", "Train station", "train_station", "bullet train", "test_tube", "testament",
    "dev_board", "validator", "evaluation_kit", "trains", "restrain", "0", "1", "10", "caf\u00e9", "n01440764",
    "images_of_war",
)  # fmt: skip
AFFIXES = ("", "", "seg", "cars", "my", "kaggle", "v2", "2017", "set", "images", "data", "split", "final")
UNKNOWN = ("A", "B", "part1", "part2", "holdout", "first", "second", "unlabeled", "extra")
NEIGHBORS = ("samples", "examples", "docs/figures", "preview")
LITTER = (".git", "__MACOSX", "@eaDir", "$RECYCLE.BIN", ".ipynb_checkpoints")


@dataclass
class Tree:
    """The files of a tree, relative to its top."""

    #: Split and class of each file; the split is None if the tree has no splits.
    labeled: dict[str, tuple[str | None, str]] = field(default_factory=dict)
    #: Files that belong to no class.
    unlabeled: list[str] = field(default_factory=list)

    def write(self, top: Path) -> None:
        """Create all files; they are empty."""
        for name in (*self.labeled, *self.unlabeled):
            path = top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def make_tree(random: Random) -> Tree:
    """Return a tree. Half of all trees have splits."""
    tree = Tree()
    top = random.choice(["", "", "data/", "export/photos/"])
    classes = random.sample(CLASSES, random.randint(2, 4))
    if random.random() < 0.5:
        _add_splits(tree, top, classes, random)
        if random.random() < 0.1:  # a neighbor of the folder that contains the splits
            tree.unlabeled += (f"{random.choice(NEIGHBORS)}/{number}.jpg" for number in range(2))
    elif random.random() < 0.1:
        _add_splits_of_class(tree, top, classes, random)
    else:
        for name in classes:
            _add_class(tree, f"{top}{name}", (None, name), random)
        if random.random() < 0.4:
            folder = f"{top}{_spell(random.choice([*WORDS]), random)}/"
            tree.unlabeled += (f"{folder}{number}.jpg" for number in range(3))
    for name in random.sample(LITTER, random.randint(0, 2)):
        tree.unlabeled.append(f"{top}{name}/ants/1.jpg")
    if random.random() < 0.3:
        tree.unlabeled.append(f"{top}{random.choice(['readme.txt', 'labels.csv', 'photo.jpg'])}")
    return tree


def _add_splits(tree: Tree, top: str, classes: list[str], random: Random) -> None:
    spelling = random.choice(AFFIXES) if random.random() < 0.7 else None
    splits = random.choice([("train", "val", "test"), ("train", "test"), ("train", "val"), ("train",)])
    for split in splits:
        word = random.choice([word for word, meaning in WORDS.items() if meaning == split])
        is_known = len(splits) == 1 or random.random() < 0.9
        folder = _spell(word, random, spelling) if is_known else random.choice(UNKNOWN)
        inner = f"/{folder}" if random.random() < 0.15 else ""
        for name in classes if split == "train" else random.sample(classes, random.randint(1, len(classes))):
            _add_class(tree, f"{top}{folder}{inner}/{name}", (split, name), random)
    if random.random() < 0.2:
        tree.unlabeled += (f"{top}{_spell('pred', random, spelling)}/{number}.jpg" for number in range(2))


def _add_splits_of_class(tree: Tree, top: str, classes: list[str], random: Random) -> None:
    """Add classes, the first of which has folders for its splits."""
    for split in ("train", "test"):
        _add_class(tree, f"{top}{classes[0]}/{split.title()}", (split, classes[0]), random)
    for name in classes[1:]:
        _add_class(tree, f"{top}{name}", ("train", name), random)


def _add_class(tree: Tree, folder: str, label: tuple[str | None, str], random: Random) -> None:
    nested = random.choice(["", "", "", "day/", "2024/may/"])
    for number in range(random.randint(1, 3)):
        inner = nested if random.random() < 0.8 else ""
        tree.labeled[f"{folder}/{inner}{number}.jpg"] = label


def _spell(word: str, random: Random, affix: str | None = None) -> str:
    """Spell a word in one of the ways that people use."""
    affix = random.choice(AFFIXES) if affix is None else affix
    word = random.choice([word, word.title(), word.upper()])
    if not affix:
        return word
    joint = random.choice(["_", "-", " ", ""]) if affix in ("set", "data", "images") else random.choice("_- ")
    return f"{word}{joint}{affix}" if random.random() < 0.5 else f"{affix}{random.choice('_- ')}{word}"
