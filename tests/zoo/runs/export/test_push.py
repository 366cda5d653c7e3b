from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import zoo
from acme import draw_photos
from loopback_hub import LoopbackHub
from own_networks import write_network
from recording_progress import RecordingProgress
from zoo.errors import DownloadError, OptionError, RunError
from zoo.files.schema import Run
from zoo.progress import Silent
from zoo.registry.registry import Registry
from zoo.runs.command_line import build_command
from zoo.runs.export.export import export_run
from zoo.runs.folder import CARD, HISTORY, MODEL, PREDICTIONS, REPORT, RUN
from zoo.runs.open_run import open_run
from zoo.runs.report.rebuild import rebuild_page
from zoo.training.finetune import finetune

# huggingface_hub uses an outdated argument of its HTTP client.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def run(train_once: Callable[..., Path]) -> Path:
    return train_once(weights="none", epochs=1, batch_size=8, workers=0, device="cpu")


def test_what_is_pushed_is_pulled_byte_for_byte(run: Path, hub: LoopbackHub) -> None:
    pushed = zoo.push(run, "me/first")
    files = hub.repos["me/first"].commits[pushed.revision]
    assert {*files} == {".gitattributes", "README.md", MODEL, RUN, HISTORY, CARD}
    assert all(files[name] == (run / name).read_bytes() for name in pushed.files if name != RUN)
    assert hub.blobs != {}  # The model was pushed with LFS.
    folder = open_run(f"hf://me/first@{pushed.revision}", Silent()).path
    assert all((folder / name).read_bytes() == (run / name).read_bytes() for name in (MODEL, HISTORY))


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    """Photos with a file that is skipped, an image that is twice in train, and one that is also in val."""
    folder = tmp_path / "clinic" / "scans"
    draw_photos(folder / "train", per_class=6, seed=1)
    draw_photos(folder / "val", per_class=2, seed=2)
    first = min((folder / "train").rglob("*.png"))
    for split in ("train", "val"):
        shutil.copy(first, folder / split / first.parent.name / "patient_4711.png")
    (first.parent / "patient_4712.png").write_bytes(b"damaged")
    return folder


def test_no_file_that_is_pushed_contains_a_folder_or_the_name_of_an_image(
    patients: Path, tmp_path: Path, registry: Registry, hub: LoopbackHub
) -> None:
    options: dict[str, Any] = {"weights": "none", "epochs": 1, "workers": 0, "device": "cpu"}
    run = finetune("net", patients, output=tmp_path / "run", registry=registry, **options).path
    card = (run / CARD).read_text(encoding="utf-8")
    assert "`scans`" in card
    assert str(tmp_path) not in card
    local = (run / RUN).read_text(encoding="utf-8")
    assert str(patients) in local  # The local file can still repeat the run.
    assert {"patient_4711", "patient_4712"} <= {*re.findall(r"patient_\d+", local)}
    (run / CARD).write_text(card.replace("`scans`", f"`{patients}`"), encoding="utf-8")  # as in earlier versions
    pushed = zoo.push(run, "me/first")
    for name, content in hub.repos["me/first"].commits[pushed.revision].items():
        for secret in (str(tmp_path), "clinic", "patient_", patients.name + "/"):
            assert secret.encode() not in content, (name, secret)
    data = json.loads(hub.repos["me/first"].commits[pushed.revision][RUN])["data"]
    assert data["asked"] == "scans"
    assert [item["path"] for item in data["left_out"]] == ["omitted"]
    counts = {found["kind"]: found["count"] for found in data["findings"]}
    assert counts == {found["kind"]: found["count"] for found in json.loads(local)["data"]["findings"]}
    assert {"leak", "duplicate"} <= {*counts}


@pytest.mark.usefixtures("hub")
def test_a_run_that_is_pulled_works_without_its_paths(
    run: Path, photos: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo.push(run, "me/first")
    images = [*photos.rglob("val/**/*.png")]
    ours, theirs = (zoo.load(one, device="cpu", registry=registry) for one in (run, "hf://me/first"))
    assert [item.top for item in ours.predict(images)] == [item.top for item in theirs.predict(images)]
    assert ours.evaluate(photos, registry=registry) == theirs.evaluate(photos, registry=registry)
    monkeypatch.chdir(photos.parent)  # It contains a folder of the same name, which is not used.
    with pytest.raises(RunError, match="belongs to huggingface_hub"):
        theirs.predict(images, distance=True, registry=registry)
    copied = shutil.copytree(open_run("hf://me/first", Silent()).path, run.parent / "copied")
    with pytest.raises(RunError, match="the run was pushed to the Hub without their paths"):
        zoo.load(copied, device="cpu", registry=registry).predict(images, distance=True, registry=registry)
    folder = open_run("hf://me/first", Silent())
    assert build_command(folder.read_json(RUN, Run)) is None
    assert "<html" in rebuild_page(folder.path, registry=registry, progress=Silent())


@pytest.mark.breadth
@pytest.mark.usefixtures("hub")
def test_a_run_that_is_pulled_is_exported(
    run: Path, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo.push(run, "me/first")
    monkeypatch.chdir(tmp_path)
    assert export_run("hf://me/first", "pt2", registry=registry).path.is_dir()


def test_photos_and_paths_are_pushed_only_if_the_user_asks_for_them(run: Path, hub: LoopbackHub) -> None:
    assert not {REPORT, PREDICTIONS} & {*zoo.push(run, "me/first").files}
    pushed = zoo.push(run, "me/first", include=("report", "predictions"))
    assert {REPORT, PREDICTIONS} < {*pushed.files}
    assert {REPORT, PREDICTIONS} < {*hub.repos["me/first"].commits[pushed.revision]}


def test_exports_are_pushed_without_links_and_partial_files(run: Path, hub: LoopbackHub) -> None:
    folder = run / "exports" / "pt2"
    folder.mkdir(parents=True)
    (folder / "model.pt2").write_bytes(b"program")
    (folder / ".partial-1").write_bytes(b"part")
    (folder / "secret").symlink_to(run / PREDICTIONS)
    pushed = zoo.push(run, "me/first", include=["exports"])
    assert [name for name in pushed.files if name.startswith("exports")] == ["exports/pt2/model.pt2"]
    assert hub.repos["me/first"].commits[pushed.revision]["exports/pt2/model.pt2"] == b"program"


def test_the_files_of_an_earlier_run_are_removed_and_other_files_are_kept(run: Path, hub: LoopbackHub) -> None:
    hub.put("me/first", {"config.json": b"{}", REPORT: b"old", "exports/onnx/model.onnx": b"old", "LICENSE": b"mine"})
    pushed = zoo.push(run, "me/first")
    assert pushed.removed == ("config.json", REPORT, "exports/onnx/model.onnx")
    assert {*hub.repos["me/first"].commits[pushed.revision]} == {"LICENSE", *pushed.files}


def test_a_push_is_one_commit(run: Path, hub: LoopbackHub) -> None:
    zoo.push(run, "me/first")
    assert [path for _, path in hub.requests if "/commit/" in path] == ["/api/models/me/first/commit/main"]


@pytest.mark.parametrize(("private", "visibility"), [(None, "public"), (True, "private"), (False, "public")])
def test_a_new_repository_has_the_visibility_that_was_asked_for(
    run: Path, hub: LoopbackHub, *, private: bool | None, visibility: str
) -> None:
    zoo.push(run, "me/first", private=private)
    assert hub.repos["me/first"].visibility == visibility


def test_a_private_run_is_not_pushed_to_a_public_repository(run: Path, hub: LoopbackHub) -> None:
    before = hub.put("me/first", {})
    with pytest.raises(RunError, match="me/first exists and is public, and `private` applies only to a new repository"):
        zoo.push(run, "me/first", private=True)
    assert [*hub.repos["me/first"].commits] == [before]
    assert hub.blobs == {}  # No file was sent either.


def test_a_private_repository_can_be_pushed_to_again(run: Path, hub: LoopbackHub) -> None:
    for private in (True, True, None, False):
        zoo.push(run, "me/first", private=private)
    assert hub.repos["me/first"].visibility == "private"


def test_two_pushes_at_the_same_time_do_not_mix_their_runs(run: Path, hub: LoopbackHub) -> None:
    hub.meanwhile = lambda: hub.put("me/first", {REPORT: b"another run"})
    with pytest.raises(RunError, match="me/first changed during the push, so nothing was pushed"):
        zoo.push(run, "me/first")
    repo = hub.repos["me/first"]
    assert repo.commits[repo.refs["main"]] == {"README.md": b"", REPORT: b"another run"}
    hub.meanwhile = None
    assert zoo.push(run, "me/first").removed == (REPORT,)


def test_the_user_sees_what_is_pushed(run: Path, hub: LoopbackHub) -> None:
    progress = RecordingProgress()
    url = zoo.push(run, "hf://me/first", progress=progress).url
    assert url == f"{hub.url}/me/first"
    assert progress.lines[0].startswith("pushing 4 files (")


def test_an_unfinished_run_is_refused(run: Path, hub: LoopbackHub) -> None:
    (run / RUN).unlink()
    with pytest.raises(RunError, match=r"is not finished: it has no run.json; resume the run first\."):
        zoo.push(run, "me/first")
    assert hub.requests == []


@pytest.mark.parametrize("repo", ["first", "me/first/second", "../first", "me/first@v1", "", "me first/x"])
def test_a_wrong_name_of_a_repository_is_refused(run: Path, hub: LoopbackHub, repo: str) -> None:
    with pytest.raises(OptionError, match="cannot push to "):
        zoo.push(run, repo)
    assert hub.requests == []


def test_an_unknown_or_missing_part_is_refused(run: Path, hub: LoopbackHub) -> None:
    with pytest.raises(OptionError, match="there is no `include` 'photos'; choose from report, predictions, exports"):
        zoo.push(run, "me/first", include=["photos"])
    with pytest.raises(RunError, match="has no exports; leave 'exports' out of `include`"):
        zoo.push(run, "me/first", include=["exports"])
    assert hub.requests == []


def test_a_run_on_the_hub_cannot_be_pushed(hub: LoopbackHub) -> None:
    with pytest.raises(OptionError, match="is already on the Hub; pass a run folder on this machine"):
        zoo.push("hf://me/first", "me/second")
    assert hub.requests == []


def test_without_a_login_the_user_is_asked_to_log_in(
    run: Path, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(RunError, match="log in with `hf auth login`, or set HF_TOKEN"):
        zoo.push(run, "me/first")
    assert hub.repos == {}


def test_the_repository_of_somebody_else_is_refused(run: Path, hub: LoopbackHub) -> None:
    hub.refusals["you/first"] = 403, ""
    with pytest.raises(RunError, match="the Hub refuses access to you/first"):
        zoo.push(run, "you/first")


def test_nothing_is_sent_offline(run: Path, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(DownloadError, match="Cannot push to me/first: ZOO_OFFLINE is set"):
        zoo.push(run, "me/first")
    assert hub.requests == []


def test_the_offline_mode_of_the_library_is_named(run: Path, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match=r"Cannot push to me/first: HF_HUB_OFFLINE is set\. Unset HF_HUB_OFFLINE\."):
        zoo.push(run, "me/first")
    assert hub.requests == []


def test_a_server_that_cannot_be_reached_is_a_download_error(run: Path, hub: LoopbackHub) -> None:
    hub.refusals["me/first"] = 500, ""
    with pytest.raises(DownloadError, match=r"Cannot push to me/first: .*500.* Try again\."):
        zoo.push(run, "me/first")


def test_the_folder_of_an_own_network_is_not_pushed(photos: Path, tmp_path: Path, hub: LoopbackHub) -> None:
    file = f"{write_network(tmp_path)}:build"
    options: dict[str, Any] = {"image_size": 16, "epochs": 1, "workers": 0, "device": "cpu"}
    run = zoo.finetune(file, photos, output=tmp_path / "run", **options).path
    pushed = zoo.push(run, "me/first")
    for name, content in hub.repos["me/first"].commits[pushed.revision].items():
        assert str(tmp_path).encode() not in content, name
    assert zoo.load("hf://me/first", model=file, device="cpu").classes == ("blue", "red")
