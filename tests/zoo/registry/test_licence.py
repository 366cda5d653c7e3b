from __future__ import annotations

import pytest

from zoo.registry.licence import RESEARCH_ONLY, describe_licence


@pytest.mark.parametrize("licence", ["MIT", "Apache-2.0", "BSD-3-Clause", "CC-BY-4.0", "CC-BY-SA-4.0", "NCSA", "ncsa"])
def test_of_a_free_licence_nothing_is_said(licence: str) -> None:
    assert describe_licence("acme/net@V1", licence) is None


@pytest.mark.parametrize(
    "licence",
    ["CC-BY-NC-4.0", "cc-by-nc-4.0", "CC-BY-NC-SA-4.0", "PolyForm-Noncommercial-1.0.0", "non-commercial",
     "LicenseRef-Non-Commercial", "LicenseRef-apple-amlr", "LicenseRef-Apple-AMLR", *sorted(RESEARCH_ONLY)],
)  # fmt: skip
def test_of_a_licence_without_commerce_that_is_said_with_owner_and_licence(licence: str) -> None:
    line = describe_licence("acme/net@V1", licence)
    assert line is not None
    assert "acme/net@V1" in line
    assert licence in line
    assert "forbids commercial use" in line
    assert "\n" not in line


@pytest.mark.parametrize("licence", ["unknown", "Unknown", "UNKNOWN"])
def test_of_an_unknown_licence_it_is_said_that_it_is_unknown(licence: str) -> None:
    line = describe_licence("acme/net@V1", licence)
    assert line is not None
    assert "acme/net@V1" in line
    assert "does not say" in line
    assert "commercial" not in line


def test_the_known_identifiers_are_in_lower_case_since_they_are_compared_so() -> None:
    assert all(licence == licence.lower() for licence in RESEARCH_ONLY)


@pytest.mark.parametrize("licence", ["LicenseRef-apple-ascl", "LicenseRef-dinov3-license", "LICENSEREF-other"])
def test_of_a_licence_of_its_own_it_is_said_that_it_must_be_read(licence: str) -> None:
    line = describe_licence("acme/net@V1", licence)
    assert line is not None
    assert f"acme/net@V1 is under {licence}, a licence of its own; read it" in line
    assert "commercial" not in line
    assert "\n" not in line
