"""Other websites that the user visits can neither use the model nor read its answers."""

from __future__ import annotations

import pytest

from served import Served, serving
from zoo.registry.registry import Registry
from zoo.runs.classifier import Classifier

REFUSED = ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1", "a b"]


@pytest.mark.parametrize("host", REFUSED)
def test_the_name_of_a_website_is_refused(served: Served, host: str) -> None:
    answered = served.ask("GET", "/info", Host=host)
    assert answered.status == 403
    problem = f"requests to the host {host!r} are refused; start the server with `allow_host` to accept them"
    assert answered.parse() == {"error": problem}


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:9", "[::1]:8000", "192.168.1.20"])
def test_addresses_and_localhost_are_allowed(served: Served, host: str) -> None:
    assert served.ask("GET", "/info", Host=host).status == 200


def test_names_can_be_allowed(classifier: Classifier, registry: Registry) -> None:
    with serving(classifier, registry, "Lab.example") as served:
        assert served.ask("GET", "/info", Host="lab.example:8000").status == 200
        assert served.ask("GET", "/info", Host="other.example").status == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:1", "http://localhost.evil.example"]
)
def test_requests_from_another_website_are_refused(served: Served, photo: bytes, origin: str) -> None:
    answered = served.ask("POST", "/predict", photo, Host="localhost:8000", Origin=origin)
    assert answered.status == 403
    assert answered.parse() == {"error": "requests from other websites are refused"}


def test_requests_from_the_page_are_allowed(served: Served, photo: bytes) -> None:
    assert served.ask("POST", "/predict", photo, Host="localhost:8000", Origin="http://localhost:8000").status == 200


def test_every_answer_has_the_security_headers_and_none_allows_other_websites(served: Served, photo: bytes) -> None:
    for answered in (served.ask("GET", "/"), served.predict(photo), served.predict(b"x"), served.ask("OPTIONS", "/")):
        headers = {name.lower(): value for name, value in answered.headers.items()}
        assert headers["content-security-policy"].startswith("default-src 'none'; ")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert not [name for name in headers if name.startswith("access-control-")]
        assert "server" not in headers
