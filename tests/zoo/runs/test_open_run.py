from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import zoo
from loopback_hub import LoopbackHub, Repo
from zoo.errors import DownloadError, OptionError, RunError, ZooError
from zoo.files.hub import MODEL as FETCHED_LAST
from zoo.files.hub import SMALL
from zoo.progress import Silent
from zoo.registry.registry import Registry
from zoo.runs.export.export import export_run
from zoo.runs.folder import HISTORY, MODEL, PREDICTIONS, RUN
from zoo.runs.open_run import open_run


@pytest.fixture
def run(train_once: Callable[..., Path]) -> Path:
    return train_once(weights="none", epochs=1, batch_size=8, workers=0, device="cpu")


@pytest.fixture
def published_run(run: Path, hub: LoopbackHub) -> str:
    """The name of a repository that contains a run and other files, and its first commit."""
    files = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    hub.put("me/first", {**files, "pytorch_model.bin": b"pickle", "../model.safetensors": b"", "/run.json": b""})
    return "me/first"


def refuse(address: str | Path) -> ZooError:
    """Return the error for an address."""
    with pytest.raises(ZooError) as caught:
        open_run(address, Silent())
    return caught.value


def test_a_run_is_fetched_byte_for_byte_into_the_cache_of_the_library(
    published_run: str, run: Path, tmp_path: Path
) -> None:
    folder = open_run(f"hf://{published_run}", Silent()).path
    assert folder.parent == tmp_path / "hf" / "models--me--first" / "snapshots"
    assert {path.name for path in folder.iterdir()} == {FETCHED_LAST, *SMALL}
    assert all(path.read_bytes() == (run / path.name).read_bytes() for path in folder.iterdir())


def test_the_files_that_are_fetched_are_those_that_commands_read() -> None:
    assert ({*SMALL}, FETCHED_LAST) == ({RUN, HISTORY, PREDICTIONS}, MODEL)


def test_each_file_is_on_disk_once(published_run: str, tmp_path: Path, run: Path) -> None:
    for _ in range(2):
        open_run(f"hf://{published_run}", Silent())
    size = (run / MODEL).stat().st_size
    copies = [path for path in tmp_path.glob("hf/**/*") if not path.is_symlink() and path.stat().st_size == size]
    assert len(copies) == 1


def test_predictions_are_those_of_the_folder(published_run: str, run: Path, registry: Registry, photos: Path) -> None:
    images = [*photos.rglob("val/**/*.png")]
    both = (zoo.load(path, device="cpu", registry=registry) for path in (run, Path(f"hf://{published_run}")))
    ours, theirs = ([prediction.top for prediction in one.predict(images)] for one in both)
    assert ours == theirs


def test_an_evaluation_is_that_of_the_folder(published_run: str, run: Path, registry: Registry, photos: Path) -> None:
    both = (zoo.load(path, device="cpu", registry=registry) for path in (run, f"hf://{published_run}"))
    ours, theirs = (one.evaluate(photos, registry=registry) for one in both)
    assert ours == theirs


@pytest.mark.parametrize("variable", ["ZOO_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_the_run_that_was_fetched_is_used_without_a_request(
    published_run: str, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    online = open_run(f"hf://{published_run}", Silent()).path
    hub.requests.clear()
    monkeypatch.setenv(variable, "1")
    if variable == "HF_HUB_OFFLINE":  # The library reads it when it is imported.
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert open_run(f"hf://{published_run}", Silent()).path == online
    assert hub.requests == []
    assert isinstance(refuse("hf://me/second"), DownloadError)
    assert str(refuse("hf://me/second")).endswith(
        f"{variable} is set, and it is not on this machine. Unset {variable}."
    )


def test_a_revision_is_a_branch_or_a_commit(published_run: str, hub: LoopbackHub) -> None:
    first = hub.repos[published_run].refs["main"]
    hub.repos[published_run].refs["old"] = first
    hub.put(published_run, {"README.md": b"something else"})
    assert open_run(f"hf://{published_run}@{first}", Silent()).path.name == first
    assert open_run(f"hf://{published_run}@old", Silent()).path.name == first
    assert "is not a run: it has no run.json." in str(refuse(f"hf://{published_run}"))


def test_a_push_in_the_meantime_cannot_mix_two_runs(published_run: str, hub: LoopbackHub) -> None:
    first = hub.repos[published_run].refs["main"]

    class Pushing(Silent):
        def say(self, line: str) -> None:
            assert line == f"fetching hf://{published_run}, commit {first[:12]}"
            hub.put(published_run, {MODEL: b"another", RUN: b"another"})

    folder = open_run(f"hf://{published_run}", Pushing()).path
    assert folder.name == first
    assert (folder / MODEL).read_bytes() == hub.repos[published_run].commits[first][MODEL]


@pytest.mark.parametrize(
    "address", ["hf:me/first", "hf://first", "hf://me/first/model", "hf://me/first@", "hf://me/first@../main", "hf://"]
)
def test_a_wrong_address_is_refused_with_the_right_form(hub: LoopbackHub, address: str) -> None:
    error = refuse(address)
    assert isinstance(error, OptionError)
    assert "write hf://owner/name or hf://owner/name@revision." in str(error)
    assert hub.requests == []


@pytest.mark.parametrize("name", ["me/first--second", "me/first."])
def test_a_name_that_the_hub_does_not_allow_is_refused(hub: LoopbackHub, name: str) -> None:
    assert f"'{name}' cannot be a repository on the Hub: " in str(refuse(f"hf://{name}"))
    assert hub.requests == []


def test_a_repository_that_does_not_exist_is_named(hub: LoopbackHub) -> None:
    error = refuse("hf://me/none")
    assert isinstance(error, RunError)
    assert str(error).startswith("the Hub has no me/none, or it is private; check the name, or log in with")
    assert hub.requests


def test_a_revision_that_does_not_exist_is_named(published_run: str) -> None:
    assert "me/first on the Hub has no revision 'v2'; omit it" in str(refuse(f"hf://{published_run}@v2"))


def test_the_weights_of_a_timm_backbone_are_not_a_run_and_are_not_fetched(hub: LoopbackHub) -> None:
    hub.put("timm/resnet18.a1_in1k", {MODEL: bytes(20_000), "config.json": b"{}"})
    error = refuse("hf://timm/resnet18.a1_in1k")
    assert "has no run.json; to fine-tune these weights, pass timm/resnet18@a1_in1k as the backbone." in str(error)
    assert not any("resolve" in path for _, path in hub.requests)


@pytest.mark.parametrize(
    ("status", "code", "shown"),
    [
        (403, "GatedRepo", "access to me/first must be granted first"),
        (401, "GatedRepo", "access to me/first must be granted first"),
        (403, "", "the Hub refuses access to me/first"),
        (401, "", "the Hub has no me/first, or it is private"),
    ],
)
def test_a_refusal_says_how_to_get_access(
    published_run: str, hub: LoopbackHub, status: int, code: str, shown: str
) -> None:
    hub.refusals[published_run] = status, code
    error = refuse(f"hf://{published_run}")
    assert isinstance(error, RunError)
    assert shown in str(error)
    assert "log in with `hf auth login`" in str(error)


def test_a_private_run_needs_the_login_of_its_owner(
    published_run: str, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos[published_run].visibility = "private"
    assert open_run(f"hf://{published_run}", Silent()).path.exists()
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    hub.repos["me/other"] = Repo(**vars(hub.repos[published_run]))
    assert "or it is private" in str(refuse("hf://me/other"))


def test_a_server_that_fails_is_a_download_error(
    published_run: str, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _seconds: None)
    hub.cut = 100
    error = refuse(f"hf://{published_run}")
    assert isinstance(error, DownloadError)
    assert str(error).startswith("Cannot fetch hf://me/first: ")
    hub.cut = None
    assert open_run(f"hf://{published_run}", Silent()).path.exists()


def test_an_error_of_the_progress_is_not_one_of_the_server(published_run: str) -> None:
    class Broken(Silent):
        def say(self, line: str) -> None:
            raise BrokenPipeError(line)

    with pytest.raises(BrokenPipeError):
        open_run(f"hf://{published_run}", Broken())


def test_a_damaged_model_is_refused_as_in_a_folder(hub: LoopbackHub, registry: Registry) -> None:
    hub.put("me/first", {RUN: b"{}", MODEL: b"\x80\x04."})
    with pytest.raises(RunError, match="cannot be read"):
        zoo.load("hf://me/first", registry=registry)


def test_a_repository_without_a_model_is_not_a_run(hub: LoopbackHub) -> None:
    hub.put("me/first", {RUN: b"{}"})
    assert "is not a run folder: it has no model.safetensors" in str(refuse("hf://me/first"))


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.files.hub.find_spec", lambda _name: None)
    assert "install it with: pip install 'zoo-backbones[hf]'" in str(refuse("hf://me/first"))


def test_a_folder_whose_name_begins_with_hf_is_a_folder(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parent)
    run.rename("hf:run")
    assert open_run("hf:run", Silent()).path == Path("hf:run")


@pytest.mark.breadth
def test_an_export_of_a_run_on_the_hub_is_written_to_the_working_directory(
    published_run: str, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    export = export_run(f"hf://{published_run}", "pt2", registry=registry)
    assert export.path == Path("exports/first/pt2")
    assert (tmp_path / "exports/first/pt2/model.pt2").is_file()
