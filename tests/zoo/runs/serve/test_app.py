from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from importlib.resources import files

import pytest
import torch
from PIL import Image

from recording_progress import RecordingProgress
from served import Served, serving
from zoo.registry.registry import Registry
from zoo.runs.classifier import Classifier
from zoo.runs.loaded_model import LoadedModel


def test_the_answer_is_the_prediction_of_the_run(
    served: Served, classifier: Classifier, registry: Registry, photo: bytes
) -> None:
    [expected] = classifier.predict([photo], top=5, registry=registry)
    answered = served.predict(photo)
    assert answered.status == 200
    assert answered.parse() == {name: value for name, value in expected.to_json().items() if name != "path"}


def test_top_limits_the_classes(served: Served, photo: bytes) -> None:
    assert [len(served.predict(photo, f"?top={top}").parse()["top"]) for top in (1, 2, 999999999)] == [1, 2, 2]


def test_saliency_adds_a_picture_of_what_the_model_sees(served: Served, photo: bytes) -> None:
    answer = served.predict(photo, "?saliency=true").parse()
    picture = Image.open(io.BytesIO(base64.b64decode(answer["saliency"])))
    assert (picture.format, picture.size) == ("JPEG", (16, 16))
    assert "saliency" not in served.predict(photo, "?saliency=false").parse()


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("?top=0", "top must be a whole number, at least 1, got '0'"),
        ("?top=-1", "top must be a whole number, at least 1, got '-1'"),
        ("?top=9999999999", "top must be a whole number, at least 1, got '9999999999'"),
        ("?saliency=maybe", "saliency must be true or false, got 'maybe'"),
        ("?tops=2", "there is no parameter 'tops'; available: top, saliency"),
    ],
)
def test_a_wrong_parameter_is_refused(served: Served, photo: bytes, query: str, problem: str) -> None:
    answered = served.predict(photo, query)
    assert (answered.status, answered.parse()) == (400, {"error": problem})


def test_what_is_not_an_image_is_refused(served: Served) -> None:
    answered = served.predict(b"no image")
    assert answered.status == 422
    assert answered.parse()["error"].startswith("cannot use the image: ")


def test_a_request_without_an_image_is_refused(served: Served) -> None:
    assert served.predict(b"").status == 400
    assert served.ask("GET", "/predict").status == 405
    assert served.ask("GET", "/missing").status == 404


def test_the_page_and_the_facts_it_needs_are_served(served: Served, classifier: Classifier) -> None:
    kinds = {path: served.ask("GET", path).headers["content-type"] for path in ("/", "/page.js", "/page.css")}
    assert [kind.partition(";")[0] for kind in kinds.values()] == ["text/html", "text/javascript", "text/css"]
    info = served.ask("GET", "/info").parse()
    assert info == {"run": "run", "backbone": "acme/net", "classes": ["blue", "red"], "max_bytes": 20 * 2**20}
    assert tuple(info["classes"]) == classifier.classes


def test_the_page_loads_nothing_from_elsewhere_and_sets_no_markup() -> None:
    page = "".join(files("zoo.runs.serve").joinpath(name).read_text() for name in ("page.html", "page.js", "page.css"))
    assert re.findall(r"https?://|//[a-z]+\.|url\(|@import", page) == []
    assert re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", page) == []


def test_hostile_class_names_are_escaped(classifier: Classifier, registry: Registry, photo: bytes) -> None:
    names = ("<script>alert(1)</script>\u202e", "caf\udce9\x1b[2J")
    hostile = Classifier(classifier._loaded, replace(classifier.header, classes=names))
    with serving(hostile, registry) as served:
        for answered in (served.predict(photo), served.ask("GET", "/info")):
            assert answered.status == 200
            assert answered.body.isascii()
            assert answered.headers["content-type"] == "application/json"
        assert {item["label"] for item in served.predict(photo).parse()["top"]} == set(names)


def test_a_model_that_fails_is_reported_and_the_server_continues(
    classifier: Classifier, registry: Registry, photo: bytes
) -> None:
    progress = RecordingProgress()
    weight = next(classifier.model.parameters())
    before = weight.detach().clone()
    with serving(classifier, registry, progress=progress) as served, torch.no_grad():
        weight.fill_(float("nan"))
        assert served.predict(photo).status == 500
        weight.copy_(before)
        assert served.predict(photo).status == 200
    assert [line for line in progress.lines if line.startswith("warning: the model failed: ")]


def test_a_network_without_gradients_has_no_saliency(
    classifier: Classifier, registry: Registry, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(classifier._loaded, LoadedModel)

    def refuse(*_arguments: object) -> None:
        raise RuntimeError("no backward pass")

    monkeypatch.setattr("zoo.runs.serve.worker.compute_saliency", refuse)
    with serving(classifier, registry) as served:
        answer = served.predict(photo, "?saliency=true").parse()
    assert answer["saliency"] == ""
    assert answer["label"]
