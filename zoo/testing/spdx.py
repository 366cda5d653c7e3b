"""License identifiers."""

from __future__ import annotations

from zoo.testing.results.result import CheckFailed


def refuse_prose(owner: str, identifier: object) -> None:
    """Raise CheckFailed for a license that is neither an SPDX expression nor ``unknown``."""
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        canonicalize_license_expression(str(identifier))
    except InvalidLicenseExpression as error:
        if identifier != "unknown":
            raise CheckFailed(
                f"the license of {owner} is {identifier!r}; write its SPDX identifier, such as Apache-2.0, "
                "or LicenseRef-NAME if SPDX does not list it."
            ) from error
