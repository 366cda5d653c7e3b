"""What a license means for a user, judged only by its identifier. This is not legal advice."""

from __future__ import annotations

#: Identifiers, in lower case, of licenses that forbid commercial use although they do not contain NC.
RESEARCH_ONLY = frozenset({"licenseref-apple-amlr", "licenseref-seer-license"})


def describe_license(owner: str, license: str) -> str | None:
    """Return what the user should know about the license before training from some weights, or None.

    Args:
        owner: Name of the weights.
        license: SPDX identifier of their license, or ``unknown``.
    """
    plain = license.lower()
    if "-nc" in plain or "noncommercial" in plain.replace("-", "") or plain in RESEARCH_ONLY:
        return (
            f"license: {owner} is under {license}, which forbids commercial use, "
            "including commercial use of models trained from it"
        )
    if plain.startswith("licenseref-"):
        return f"license: {owner} is under {license}, a custom license; read it before you use a model trained from it"
    if plain == "unknown":
        return f"license: upstream does not state the license of {owner}"
    return None
