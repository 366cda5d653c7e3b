"""Push a run to the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import DownloadError, OptionError, RunError
from zoo.files.download import is_offline
from zoo.files.hub import HubAddress, is_hub_address, quiet_hub, require_hub
from zoo.files.hub_errors import Attempt
from zoo.files.partial import PREFIX
from zoo.files.schema import Run
from zoo.progress import Progress, Silent
from zoo.progress.printable import format_code
from zoo.runs.folder import (
    CARD,
    CONFIG,
    EXPORTS,
    HISTORY,
    MODEL,
    PREDICTIONS,
    PREPROCESSOR,
    REPORT,
    RUN,
    RunFolder,
    format_json,
)
from zoo.runs.public_facts import make_public

if TYPE_CHECKING:
    from huggingface_hub import HfApi

#: What is always pushed, without paths. Other files show photos or names of images, or are large.
ALWAYS = (MODEL, RUN, HISTORY, CARD, CONFIG, PREPROCESSOR)
#: What is pushed only if the user asks for it, by the name for ``include``.
OPTIONAL = {"report": REPORT, "predictions": PREDICTIONS, "exports": EXPORTS}


@dataclass(frozen=True)
class Pushed:
    """A run that was pushed."""

    #: ``owner/name``.
    repo: str
    #: The commit that contains the run.
    revision: str
    #: Address for browsers.
    url: str
    #: Files that were pushed, relative to the run folder.
    files: tuple[str, ...]
    #: Files of an earlier run that were removed from the repository.
    removed: tuple[str, ...]


def push(
    run: str | PathLike[str], repo: str, *, include: Collection[str] = (), private: bool | None = None,
    progress: Progress | None = None,
) -> Pushed:  # fmt: skip
    """Push a run to a repository on the Hugging Face Hub, in a single commit.

    Files of a run that are in the repository, but are not pushed, are removed by the same commit. The Hub accepts it
    only if the repository has not changed in the meantime, so it never contains a mixture of two runs. Other files are
    kept.

    Args:
        run: Run folder.
        repo: ``owner/name``. The repository is created if it does not exist.
        include: What to push besides the model, its description and its card: ``report`` (contains photos),
            ``predictions`` (contains the paths of images) and ``exports``.
        private: Whether a new repository is private. Default: as the owner has set it on the Hub, usually public.
        progress: Receives messages. Default: they are discarded.

    Raises:
        DownloadError: If the server cannot be reached or fails.
        OptionError: If ``repo`` or ``include`` is invalid, or if huggingface_hub is not installed.
        RunError: If the run is not finished or lacks what ``include`` asks for, if the Hub refuses access, if
            ``private`` is true but the repository exists and is public, or if somebody else pushes at the same time.
    """
    address = _parse(repo)
    folder = _open(run)
    files = list(_list_files(folder, include))
    require_hub("pushing a run")
    if is_offline():
        raise DownloadError(f"Cannot push to {address.repo}: ZOO_OFFLINE is set. Unset ZOO_OFFLINE.")
    contents = {name: str(folder.path / name) for name in files} | _hide_paths(folder)
    size = sum(len(it) if isinstance(it, bytes) else Path(it).stat().st_size for it in contents.values())
    (progress or Silent()).say(f"pushing {len(files)} files ({size:,} bytes) to {address.repo}")
    with quiet_hub(), Attempt(address.repo, is_upload=True):
        return _commit(address.repo, contents, private=private)


def _parse(repo: str) -> HubAddress:
    try:
        address = HubAddress.parse(repo if repo.startswith("hf:") else f"hf://{repo}")
    except OptionError as error:
        raise OptionError(f"cannot push to {repo!r}: write owner/name.") from error
    if address.revision is not None:
        raise OptionError(f"cannot push to {repo!r}: zoo always pushes to the default branch; omit the revision.")
    return address


def _open(run: str | PathLike[str]) -> RunFolder:
    if is_hub_address(run):
        raise OptionError(f"{run} is already on the Hub; pass a run folder on this machine.")
    folder = RunFolder.open(Path(run))
    if not (folder.path / RUN).is_file():
        raise RunError(f"{folder.path} is not finished: it has no {RUN}; resume the run first.")
    return folder


def _list_files(folder: RunFolder, include: Collection[str]) -> Iterator[str]:
    """List the files to push, relative to the run folder."""
    names = [include] if isinstance(include, str) else [*include]
    if unknown := sorted({*names} - {*OPTIONAL}):
        raise OptionError(f"there is no `include` {unknown[0]!r}; choose from {', '.join(OPTIONAL)}.")
    yield from (name for name in ALWAYS if (folder.path / name).is_file())
    for name in dict.fromkeys(names):
        path = folder.path / OPTIONAL[name]
        found = sorted(_walk(path)) if path.is_dir() else [path] if path.is_file() else []
        if not found:
            raise RunError(f"{folder.path} has no {OPTIONAL[name]}; leave {name!r} out of `include`.")
        yield from (file.relative_to(folder.path).as_posix() for file in found)


def _walk(folder: Path) -> Iterator[Path]:
    """List the files of a folder, except for partial ones and those that a link would bring in from elsewhere."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and not path.name.startswith(PREFIX):
            yield path


def _hide_paths(folder: RunFolder) -> dict[str, bytes]:
    """Return the content of the files that are not pushed as they are, because they contain paths of this machine."""
    facts = folder.read_json(RUN, Run)
    public = make_public(facts)
    changed = {RUN: format_json(public).encode("utf-8", "backslashreplace")}
    if (card := folder.path / CARD).is_file():
        # Earlier versions of zoo wrote the full path into the card.
        full, short = (format_code(each["data"]["asked"]).encode("utf-8", "replace") for each in (facts, public))
        changed[CARD] = card.read_bytes().replace(full, short)
    return changed


def _commit(repo: str, contents: Mapping[str, str | bytes], *, private: bool | None) -> Pushed:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api = HfApi(library_name="zoo-backbones")
    url = api.create_repo(repo, private=private, exist_ok=True)
    found = api.repo_info(repo)
    if private and not found.private:
        raise RunError(
            f"{repo} exists and is public, and `private` applies only to a new repository. Make it private in its "
            "settings on the Hub first, or push to another name."
        )
    removed = _list_outdated(api, repo, contents, found.sha)
    operations: list[Any] = [CommitOperationDelete(name) for name in removed]
    operations += [CommitOperationAdd(name, content) for name, content in contents.items()]
    # The Hub refuses the commit if another one came first, since that may have brought files of another run.
    commit = api.create_commit(repo, operations, commit_message="Push a run with zoo", parent_commit=found.sha)
    return Pushed(repo, commit.oid, str(url), tuple(contents), tuple(removed))


def _list_outdated(api: HfApi, repo: str, files: Collection[str], commit: str | None) -> list[str]:
    """List the files in a commit of a repository that belong to an earlier run and are not replaced."""
    ours, there = {*ALWAYS, *OPTIONAL.values()}, api.list_repo_files(repo, revision=commit)
    return [name for name in there if name.partition("/")[0] in ours and name not in files]
