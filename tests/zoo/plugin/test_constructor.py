"""The lines that build a network, from a constructor."""

from __future__ import annotations

import pytest

from zoo.plugin.constructor import list_lines


@pytest.mark.parametrize(
    ("constructor", "lines"),
    [
        ("acme.net()", ["import acme", "model = acme.net()"]),
        ("acme.nets.net({num_classes})", ["import acme.nets", "model = acme.nets.net(5)"]),
        ("acme.Net.create(5)", ["import acme", "model = acme.Net.create(5)"]),
        ("acme.nets.Net.Inner.create(5)", ["import acme.nets", "model = acme.nets.Net.Inner.create(5)"]),
        ("Acme.net({image_size})", ["import Acme", "model = Acme.net(64)"]),
        (
            "\nfrom acme import Net\n\nmodel = Net({'a': {num_classes}}, {image_size})\n",
            ["from acme import Net", "", "model = Net({'a': 5}, 64)"],
        ),
    ],
)
def test_an_expression_and_lines_become_lines_that_assign_the_model(constructor: str, lines: list[str]) -> None:
    assert list_lines(constructor, num_classes=5, image_size=64) == lines
