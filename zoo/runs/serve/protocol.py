"""HTTP/1.1 with limits on slow clients and on the number of connections."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from zoo.files.limits import CLIENTS, REQUEST_SECONDS

_ANSWER = b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class LimitedProtocol(H11Protocol):
    """A connection that is closed if the headers of a request take too long, which uvicorn does not limit."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Begin to wait for a request, unless there are too many connections."""
        super().connection_made(transport)
        if len(self.connections) > CLIENTS.read():
            self._refuse(b"503 Service Unavailable")
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        """Receive a part of a request. The time limit begins with its first byte and ends with its headers."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._forget_deadline()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget_deadline()  # The application has its own time limits.
        elif self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_SECONDS.read(), self._refuse, b"408 Request Timeout")

    def _refuse(self, status: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(_ANSWER % status)
            self.transport.close()

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
