"""The names of unfinished files, by which they are found if a killed process left them behind."""

from __future__ import annotations

#: Prefix of the names of unfinished files, before the ID of the process. If a killed process left such files behind,
#: they can be removed.
PREFIX = ".partial-"
#: Suffix of the names of unfinished downloads.
PART = ".part"
