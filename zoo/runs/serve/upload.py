"""Receive an image within the limits on its size, on the time, and on the memory for all images together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from zoo.files.limits import REQUEST_SECONDS, UPLOAD_BYTES, WAITING_BYTES


class Uploads:
    """The images that are in memory."""

    def __init__(self) -> None:
        self._bytes = 0

    @contextmanager
    def receiving(self, request: Request) -> Iterator[Upload]:
        """Return a context with an upload. Its memory counts until the context ends."""
        upload = Upload(self, request)
        try:
            yield upload
        finally:
            self._bytes -= upload.size

    def reserve(self, count: int) -> None:
        """Count bytes.

        Raises:
            HTTPException: With status 503 if all images together would take too much memory.
        """
        if self._bytes + count > WAITING_BYTES.read():
            raise HTTPException(503, "too many images are waiting; try again later", {"Retry-After": "5"})
        self._bytes += count


class Upload:
    """An image that a client sends."""

    def __init__(self, uploads: Uploads, request: Request) -> None:
        self._uploads = uploads
        self._request = request
        #: Number of bytes that were received.
        self.size = 0

    async def read(self) -> bytes:
        """Return the image.

        Raises:
            HTTPException: With status 413 if it is too large, which is known before it is read if its size is declared;
                with 408 if it takes too long; with 400 if there is none; with 503 if too many images are waiting.
        """
        declared = self._request.headers.get("content-length", "0")
        self._check(int(declared) if declared.isascii() and declared.isdigit() else 0)
        try:
            async with asyncio.timeout(REQUEST_SECONDS.read()):
                image = b"".join([chunk async for chunk in self._stream()])
        except TimeoutError as error:
            raise HTTPException(408, f"sending the image took more than {REQUEST_SECONDS.read()} seconds") from error
        except ClientDisconnect as error:
            raise HTTPException(400, "the connection was closed") from error
        if not image:
            raise HTTPException(400, "the request has no body; send the content of an image file")
        return image

    async def _stream(self) -> AsyncIterator[bytes]:
        async for chunk in self._request.stream():
            self._check(self.size + len(chunk))
            self._uploads.reserve(len(chunk))
            self.size += len(chunk)
            yield chunk

    def _check(self, size: int) -> None:
        if size > UPLOAD_BYTES.read():
            raise HTTPException(413, f"the image has {UPLOAD_BYTES.explain(size)}")
