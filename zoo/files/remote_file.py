"""A file on a server: where it is saved, and what it must match."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zoo.errors import DownloadError, WeightsError
from zoo.files.atomic import atomic_write
from zoo.files.digest import Digest
from zoo.files.http import Response, TransferFailed
from zoo.files.member import extract_member
from zoo.files.partial import PART


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to fetch, and what it must match."""

    url: str
    target: Path
    #: Digest of the file that is saved.
    digest: Digest | None
    #: Size in bytes, if known.
    size: int | None = None
    #: Path of the file to keep in the archive that ``url`` is; None if ``url`` is the file itself.
    member: str | None = None
    #: Whether the version that the server reports is stored beside the file.
    keeps_version: bool = False

    @property
    def part(self) -> Path:
        """Where the bytes are stored until the file is complete."""
        return self.target.with_name(f"{self.target.name}{PART}")

    @property
    def is_resumable(self) -> bool:
        """Whether a digest will show if the bytes of an earlier attempt belong to the same file."""
        return (self.digest is not None and self.member is None) or self.url.startswith("hf://")

    def list_digests(self, response: Response) -> list[Digest]:
        """List the digests that the bytes from the server must have."""
        own = [self.digest] if self.digest and self.member is None else []
        if response.sha256 is None or any(not digest.is_weak for digest in own):
            return own
        return [*own, Digest("sha256", response.sha256)]

    def error(self, reason: str, advice: str = "Try again") -> DownloadError:
        """Return the error of a download that failed."""
        return DownloadError(f"Cannot fetch {self.url}: {reason}. {advice}, or save the file yourself as {self.target}")

    def verify(self, response: Response) -> None:
        """Compare the bytes from the server with what is expected.

        Raises:
            TransferFailed: If they differ. The partial file is removed.
            OSError: If they cannot be read.
        """
        if self.size is not None and (size := self.part.stat().st_size) != self.size:
            raise self.explain_size(response, size)
        for digest in self.list_digests(response):
            if mismatch := digest.find_mismatch(self.part):
                raise self.explain_mismatch(response, mismatch)

    def keep_member(self, member: str) -> None:
        """Extract a member of the archive that was fetched, verify and publish it, and remove the archive.

        Raises:
            TransferFailed: If the archive has no such member, or if it is not the expected file.
            OSError: If it cannot be written.
        """
        try:
            with atomic_write(self.target) as temporary:
                extract_member(self.part, member, temporary)
                if self.digest and (mismatch := self.digest.find_mismatch(temporary)):
                    raise TransferFailed(f"{member!r} in the archive is not the expected file: {mismatch}")
        except WeightsError as error:
            raise TransferFailed(str(error)) from error
        finally:
            self.part.unlink(missing_ok=True)

    def explain_size(self, response: Response, size: int) -> TransferFailed:
        """Remove the partial file, which has the wrong size, and return the error."""
        return self.explain_mismatch(response, f"it has {size:,} bytes, not {self.size:,}")

    def explain_mismatch(self, response: Response, mismatch: str) -> TransferFailed:
        """Remove the partial file, so that another attempt starts from scratch, and return the error."""
        self.part.unlink()
        reason = f"{mismatch}; the file was changed after it was published, or during the transfer"
        return TransferFailed(reason, can_retry=response.start > 0)
