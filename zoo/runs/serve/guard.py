"""What every request and every answer has in common: who may ask, and what browsers may do with the answer."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zoo.runs.serve.answers import Refusal

#: The page loads only its own script and style, and the pictures that the script makes.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuses requests that another website makes in the user's browser, and adds the security headers.

    A website can send requests to this machine, and with DNS rebinding, it can also read the answers: its own name then
    resolves to the address of this machine. Such requests have the name of the website in their ``Host`` header.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        """Create the guard.

        Args:
            app: The application.
            names: Names of this machine. IP addresses and ``localhost`` are always allowed, because no website can have
                them as its name.
        """
        self._app = app
        self._names = {"localhost", *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        problem = self._find_problem(Headers(scope=scope))
        app = self._app if problem is None else Refusal({"error": problem}, 403)
        await app(scope, receive, send_guarded)

    def _find_problem(self, headers: Headers) -> str | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return f"requests to the host {host!r} are refused; start the server with `allow_host` to accept them"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return "requests from other websites are refused"
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self._names or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
