"""Answers in JSON, and the answer to a request that is refused, perhaps before its body has been read."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

#: How much of the rest of a request is read and discarded, in bytes and in seconds.
_REST, _SECONDS = 2**20, 1.0


class Answer(JSONResponse):
    """An answer in JSON. A class name can contain any character, so all except printable ASCII are escaped."""

    def render(self, content: Any) -> bytes:
        """Return the bytes of the answer."""
        return json.dumps(content, allow_nan=False).encode("ascii")


class Refusal(Answer):
    """An answer after which the connection is closed.

    If a connection is closed while the client is still sending, many clients report the broken connection and not the
    answer. Therefore some of the rest is read, so that a client notices the answer, but never a whole large upload.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI's signature
        """Send the answer."""
        headers = [*self.raw_headers, (b"connection", b"close")]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(_SECONDS):
                await _discard(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _discard(receive: Receive) -> None:
    count = 0
    while count < _REST:
        message = await receive()
        count += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
