"""What a licence identifier means for a user. It reads the identifier only, and is no legal advice."""

from __future__ import annotations

#: Identifiers, in lower case, that forbid commercial use though they do not say NC.
RESEARCH_ONLY = frozenset({"licenseref-apple-amlr", "licenseref-seer-license"})


def describe_licence(owner: str, licence: str) -> str | None:
    """Return what the user should know before training on such weights, or None."""
    plain = licence.lower()
    if "-nc" in plain or "noncommercial" in plain.replace("-", "") or plain in RESEARCH_ONLY:
        return f"licence: {owner} is under {licence}, which forbids commercial use; so does what you train from it"
    if plain.startswith("licenseref-"):
        return f"licence: {owner} is under {licence}, a licence of its own; read it before you use what you train"
    if plain == "unknown":
        return f"licence: upstream does not say under which licence {owner} is"
    return None
