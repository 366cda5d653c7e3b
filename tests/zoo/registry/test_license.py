from __future__ import annotations

import pytest

from zoo.registry.license import RESEARCH_ONLY, describe_license


@pytest.mark.parametrize("license", ["MIT", "Apache-2.0", "BSD-3-Clause", "CC-BY-4.0", "CC-BY-SA-4.0", "NCSA", "ncsa"])
def test_a_permissive_license_needs_no_note(license: str) -> None:
    assert describe_license("acme/net@V1", license) is None


@pytest.mark.parametrize(
    "license",
    ["CC-BY-NC-4.0", "cc-by-nc-4.0", "CC-BY-NC-SA-4.0", "PolyForm-Noncommercial-1.0.0", "non-commercial",
     "LicenseRef-Non-Commercial", "LicenseRef-apple-amlr", "LicenseRef-Apple-AMLR", *sorted(RESEARCH_ONLY)],
)  # fmt: skip
def test_a_noncommercial_license_is_noted_with_owner_and_license(license: str) -> None:
    line = describe_license("acme/net@V1", license)
    assert line is not None
    assert "acme/net@V1" in line
    assert license in line
    assert "forbids commercial use" in line
    assert "\n" not in line


@pytest.mark.parametrize("license", ["unknown", "Unknown", "UNKNOWN"])
def test_an_unknown_license_is_noted(license: str) -> None:
    line = describe_license("acme/net@V1", license)
    assert line is not None
    assert "acme/net@V1" in line
    assert "does not state the license" in line
    assert "commercial" not in line


def test_the_research_only_identifiers_are_in_lower_case() -> None:
    assert all(license == license.lower() for license in RESEARCH_ONLY)


@pytest.mark.parametrize("license", ["LicenseRef-apple-ascl", "LicenseRef-dinov3-license", "LICENSEREF-other"])
def test_a_custom_license_is_noted_as_one_to_read(license: str) -> None:
    line = describe_license("acme/net@V1", license)
    assert line is not None
    assert f"acme/net@V1 is under {license}, a custom license; read it" in line
    assert "commercial" not in line
    assert "\n" not in line
