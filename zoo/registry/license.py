"""What a license identifier means for a user. It reads the identifier only, and is no legal advice."""

from __future__ import annotations

#: Identifiers, in lower case, that forbid commercial use though they do not say NC.
RESEARCH_ONLY = frozenset({"licenseref-apple-amlr", "licenseref-seer-license"})


def describe_license(owner: str, license: str) -> str | None:
    """Return what the user should know before training on such weights, or None."""
    plain = license.lower()
    if "-nc" in plain or "noncommercial" in plain.replace("-", "") or plain in RESEARCH_ONLY:
        return f"license: {owner} is under {license}, which forbids commercial use; so does what you train from it"
    if plain.startswith("licenseref-"):
        return f"license: {owner} is under {license}, a license of its own; read it before you use what you train"
    if plain == "unknown":
        return f"license: upstream does not say under which license {owner} is"
    return None
