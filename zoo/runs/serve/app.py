"""The application: the page, what the page must know, and the endpoint that classifies an image."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from zoo.errors import ZooError
from zoo.files.limits import REQUEST_SECONDS, UPLOAD_BYTES
from zoo.progress import Progress
from zoo.runs.classifier import Classifier
from zoo.runs.serve.answers import Answer, Refusal
from zoo.runs.serve.guard import Guard
from zoo.runs.serve.upload import Uploads
from zoo.runs.serve.worker import Result, Worker

#: Files of the page by their path.
_FILES = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
_TOP = 5
#: The values of a query parameter.
_FLAGS = {"": False, "false": False, "0": False, "true": True, "1": True}


def build_app(classifier: Classifier, worker: Worker, names: Collection[str], progress: Progress) -> ASGIApp:
    """Build the application.

    Args:
        classifier: The model. Only the worker runs it.
        worker: The thread that runs the model.
        names: Names under which clients may ask, besides IP addresses and ``localhost``.
        progress: Receives errors of the model.
    """
    endpoints = _Endpoints(classifier, worker, Uploads(), progress)
    routes = [Route(path, _show_file(*file)) for path, file in _FILES.items()]
    routes += [Route("/info", endpoints.describe), Route("/predict", endpoints.predict, methods=["POST"])]
    return Guard(Starlette(routes=routes, exception_handlers={HTTPException: _refuse}), names)


def _show_file(name: str, kind: str) -> Any:
    content = files("zoo.runs.serve").joinpath(name).read_bytes()

    async def show(_request: Request) -> Response:  # starlette runs functions that are not async in a thread
        return Response(content, media_type=kind)

    return show


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return Refusal({"error": error.detail}, error.status_code, error.headers)


@dataclass(frozen=True)
class _Endpoints:
    classifier: Classifier
    worker: Worker
    uploads: Uploads
    progress: Progress

    async def describe(self, _request: Request) -> Response:
        """Answer ``GET /info``."""
        classifier, path = self.classifier, self.classifier.path
        name = path.resolve().name if path else ""
        about = {"run": name, "backbone": classifier.backbone.name, "classes": classifier.classes}
        return Answer({**about, "max_bytes": UPLOAD_BYTES.read()})

    async def predict(self, request: Request) -> Response:
        """Answer ``POST /predict``."""
        top, saliency = _parse_query(request)
        with self.uploads.receiving(request) as upload:
            image = await upload.read()
            result = await self._ask(image, top=top, saliency=saliency)
        if result.prediction.error is not None:
            raise HTTPException(422, f"cannot use the image: {result.prediction.error}")
        found = result.prediction.to_json()
        del found["path"]  # An upload has no path.
        return Answer({**found, "saliency": result.saliency} if saliency else found)

    async def _ask(self, image: bytes, *, top: int, saliency: bool) -> Result:
        future = self.worker.submit(image, top=top, saliency=saliency)
        try:
            async with asyncio.timeout(REQUEST_SECONDS.read()):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise HTTPException(503, "the model is busy; try again later", {"Retry-After": "5"}) from error
        except Exception as error:
            problem = str(error) if isinstance(error, ZooError) else f"{type(error).__name__}: {error}"
            self.progress.say(f"warning: the model failed: {problem}")
            raise HTTPException(500, "the model failed; the server's log says why") from error


def _parse_query(request: Request) -> tuple[int, bool]:
    query = request.query_params
    top, saliency = query.get("top", str(_TOP)), query.get("saliency", "")
    if unknown := sorted(query.keys() - {"top", "saliency"}):
        raise HTTPException(400, f"there is no parameter {unknown[0]!r}; available: top, saliency")
    if not (top.isascii() and top.isdigit() and 1 <= len(top) <= 9 and int(top)):
        raise HTTPException(400, f"top must be a whole number, at least 1, got {top[:20]!r}")
    if saliency not in _FLAGS:
        raise HTTPException(400, f"saliency must be true or false, got {saliency[:20]!r}")
    return int(top), _FLAGS[saliency]
