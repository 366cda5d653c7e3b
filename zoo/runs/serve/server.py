"""The server of one run: its address, and its life until a signal ends it."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Self

from zoo.errors import OptionError
from zoo.progress import Progress
from zoo.registry.registry import Registry

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from zoo.runs.classifier import Classifier

#: Packages of the extra ``serve``.
_PACKAGES = ("starlette", "uvicorn")
#: Seconds in which answers must be complete after a signal.
_GRACE = 5
_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104  # compared, and only bound if the user asks for it


@dataclass(frozen=True)
class Listener:
    """A socket that already accepts connections, which wait until the server runs."""

    socket: socket.socket
    host: str
    #: Names under which clients may ask, besides IP addresses and ``localhost``.
    names: Collection[str] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        return ipaddress.ip_address(self.socket.getsockname()[0]).is_loopback

    @property
    def url(self) -> str:
        """The address of the page on this machine."""
        name = "localhost" if self.host in _EVERYWHERE else f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{name}:{self.socket.getsockname()[1]}"


def listen(host: str, port: int, names: Collection[str] = ()) -> Listener:
    """Open the socket of a server. This is done before torch is imported, because it fails often.

    Args:
        host: Name or address of the network interface.
        port: Port, or 0 for any free one.
        names: Names under which clients may ask, besides IP addresses and ``localhost``.

    Raises:
        OptionError: If the port is in use, the host is not an address of this machine, or a package is missing.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise OptionError(f"serving needs {' and '.join(missing)}; install with: pip install 'zoo-backbones[serve]'")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return Listener(socket.create_server((host, port), family=family), host, names)
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]  # Python repeats the address.
        raise OptionError(f"cannot listen on `host` {host} and `port` {port}: {reason}; choose others.") from error


def serve(classifier: Classifier, listener: Listener, registry: Registry, progress: Progress) -> None:
    """Serve a run until SIGINT or SIGTERM, which is raised again after the last answers have been sent.

    Args:
        classifier: The run.
        listener: The socket.
        registry: Registry for the classifier.
        progress: Receives messages about failures.

    Raises:
        KeyboardInterrupt: After SIGINT, and what the handler of SIGTERM raises after that.
    """
    from zoo.runs.serve.app import build_app
    from zoo.runs.serve.worker import Worker

    worker = Worker(classifier, registry)
    app = build_app(classifier, worker, listener.names, progress)
    try:
        build_server(app).run([listener.socket])
    finally:
        worker.close()


def build_server(app: ASGIApp) -> uvicorn.Server:
    """Build the server of an application."""
    import uvicorn

    from zoo.runs.serve.protocol import LimitedProtocol

    config = uvicorn.Config(
        app, http=LimitedProtocol, ws="none", lifespan="off", loop="asyncio", proxy_headers=False, access_log=False,
        server_header=False, log_config=None, log_level="critical", timeout_graceful_shutdown=_GRACE,
    )  # fmt: skip
    return uvicorn.Server(config)
