"""Decode the names in a .zip archive.

The format has two encodings: UTF-8, for which a flag is set, and the encoding of early PCs (cp437). In practice,
programs that do not set the flag write UTF-8 (macOS) or the computer's encoding, such as GBK or Shift JIS, which the
archive does not declare. Decoding those as cp437 would turn class names into nonsense.
"""

from __future__ import annotations

import zipfile

_IS_UTF8 = 0x800


def decode_name(member: zipfile.ZipInfo) -> str:
    """Return the name of a member.

    Raises:
        UnicodeDecodeError: If the name is in an encoding that the archive does not declare.
    """
    name = member.orig_filename  # Unlike ``filename``, this is not truncated at a NUL.
    return name if member.flag_bits & _IS_UTF8 or name.isascii() else name.encode("cp437").decode("utf-8")
