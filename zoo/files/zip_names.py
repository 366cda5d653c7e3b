"""Decode the names in a .zip archive.

The format has two encodings: UTF-8, for which a flag is set, and the encoding of early PCs (cp437). In practice,
programs that do not set the flag write UTF-8 (macOS) or the computer's encoding, such as GBK or Shift JIS, which the
archive does not declare. Decoding those as cp437 would turn class names into nonsense. Info-ZIP, and 7-Zip if
it is told to, also store the name in UTF-8 in an extra field, the Unicode Path.
"""

from __future__ import annotations

import struct
import zipfile
import zlib

_IS_UTF8 = 0x800
#: Number and version of the extra field with the name in UTF-8.
_UNICODE_PATH, _VERSION = 0x7075, 1


def decode_name(member: zipfile.ZipInfo) -> str:
    """Return the name of a member.

    Raises:
        UnicodeDecodeError: If the name is in an encoding that the archive does not declare.
    """
    name = member.orig_filename  # Unlike ``filename``, this is not truncated at a NUL.
    if member.flag_bits & _IS_UTF8:
        return name
    raw = name.encode("cp437")
    return (_find_unicode_path(member.extra, raw) or raw).decode("utf-8")


def _find_unicode_path(extra: bytes, raw: bytes) -> bytes | None:
    """Return the name in the Unicode Path field. A field with another checksum belongs to an earlier name."""
    while len(extra) >= 4:
        number, size = struct.unpack_from("<HH", extra)
        content, extra = extra[4 : 4 + size], extra[4 + size :]
        if number == _UNICODE_PATH and len(content) == size > 5:
            version, checksum = struct.unpack_from("<BL", content)
            if version == _VERSION and checksum == zlib.crc32(raw):
                return content[5:]
    return None
