"""Archives and their digests, as a server of torchvision's data sets has them."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping


def tar(files: Mapping[str, bytes]) -> bytes:
    """Return a .tar.gz archive with these files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def md5(data: bytes) -> str:
    """Return the MD5 of data."""
    return hashlib.md5(data).hexdigest()
