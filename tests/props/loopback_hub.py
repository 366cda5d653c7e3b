"""A Hugging Face Hub on loopback: the few endpoints that huggingface_hub uses to push and to fetch a repository."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

#: Access token that the hub accepts.
TOKEN = "hf_loopback"
#: Size in bytes from which a file is pushed with LFS.
_LARGE = 10_000


@dataclass
class Repo:
    """A repository: the files of each commit, and what its branches and tags refer to."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    visibility: str = "public"

    def commit(self, files: dict[str, bytes]) -> str:
        """Add a commit to the default branch, and return its hash."""
        text = repr((len(self.commits), sorted(files)))
        oid = hashlib.sha1(text.encode()).hexdigest()
        self.commits[oid] = files
        self.refs["main"] = oid
        return oid


@dataclass
class LoopbackHub:
    """The repositories of a hub, its faults, and the requests that it received."""

    port: int = 0
    repos: dict[str, Repo] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    #: Status and ``X-Error-Code`` with which requests about a repository are refused, by its name.
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    #: Number of bytes after which the connection ends in the middle of a file; None to send all files.
    cut: int | None = None
    #: What happens before the next commit.
    meanwhile: Callable[[], object] | None = None
    #: Method and path of each request.
    requests: list[tuple[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put(self, name: str, files: dict[str, bytes]) -> str:
        """Commit files to a repository, and return the hash of the commit."""
        return self.repos.setdefault(name, Repo()).commit({"README.md": b"", **files})


class _Refused(Exception):
    def __init__(self, status: int, code: str = "") -> None:
        super().__init__(status, code)
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    server: Any
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # the base class's name
        """Print nothing."""

    def _answer(self) -> None:
        hub: LoopbackHub = self.server.hub
        path = unquote(self.path.partition("?")[0])
        body = self._read()
        hub.requests.append((self.command, path))
        try:
            for name, handle in _ROUTES.items():
                if found := re.fullmatch(name, f"{self.command} {path}"):
                    handle(self, hub, body, **found.groupdict())
                    return
            raise _Refused(404)
        except _Refused as refused:
            self._send(b"{}", refused.status, {"X-Error-Code": refused.code} if refused.code else {})

    do_GET = do_HEAD = do_POST = do_PUT = _answer  # noqa: N815  # the base class calls these names

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send(self, content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        cut = self.server.hub.cut
        if self.command != "HEAD":
            self.wfile.write(content if cut is None or "/resolve/" not in self.path else content[:cut])
            self.close_connection = cut is not None

    def _send_json(self, answer: Any) -> None:
        self._send(json.dumps(answer).encode(), headers={"Content-Type": "application/json"})

    def _require_login(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise _Refused(401)

    def _get(self, hub: LoopbackHub, repo: str, revision: str = "main") -> tuple[str, dict[str, bytes]]:
        """Return the hash and the files of a commit."""
        if repo in hub.refusals:
            raise _Refused(*hub.refusals[repo])
        if repo not in hub.repos:
            raise _Refused(404, "RepoNotFound")
        found = hub.repos[repo]
        if found.visibility == "private":
            self._require_login()
        commit = found.refs.get(revision, revision)
        if commit not in found.commits:
            raise _Refused(404, "RevisionNotFound")
        return commit, found.commits[commit]

    def create(self, hub: LoopbackHub, body: bytes) -> None:
        self._require_login()
        asked = json.loads(body)
        repo = f"{asked['organization']}/{asked['name']}"
        if repo in hub.refusals:
            raise _Refused(*hub.refusals[repo])
        if repo in hub.repos:
            self._send(json.dumps({"url": f"{hub.url}/{repo}"}).encode(), 409)
            return
        is_private = asked.get("private", False)  # older versions of huggingface_hub
        hub.repos[repo] = Repo(visibility=asked.get("visibility", "private" if is_private else "public"))
        hub.put(repo, {".gitattributes": b""})
        self._send_json({"url": f"{hub.url}/{repo}"})

    def validate(self, hub: LoopbackHub, body: bytes) -> None:  # noqa: ARG002  # one signature for all
        import yaml  # which huggingface_hub needs as well

        content = json.loads(body)["content"]
        found = re.match(r"---\n(.*?)\n---\n", content, flags=re.DOTALL)
        card = yaml.safe_load(found[1]) if found else {}
        known = {"image-classification", "text-classification"}
        if card.get("pipeline_tag") not in known or not isinstance(card.get("license", ""), str):
            self._send(json.dumps({"errors": [{"message": "invalid metadata"}], "warnings": []}).encode(), 400)
            return
        self._send_json({"errors": [], "warnings": []})

    def preupload(self, hub: LoopbackHub, body: bytes, repo: str, revision: str) -> None:
        self._require_login()
        self._get(hub, repo, revision)
        files = [
            {"path": file["path"], "uploadMode": "lfs" if file["size"] >= _LARGE else "regular", "shouldIgnore": False}
            for file in json.loads(body)["files"]
        ]
        self._send_json({"files": files})

    def batch(self, hub: LoopbackHub, body: bytes, repo: str) -> None:
        objects = [
            {**item, "actions": {"upload": {"href": f"{hub.url}/blobs/{repo}/{item['oid']}"}}}
            for item in json.loads(body)["objects"]
        ]
        self._send_json({"transfer": "basic", "objects": objects})

    def store(self, hub: LoopbackHub, body: bytes, oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        hub.blobs[oid] = body
        self._send(b"")

    def commit(self, hub: LoopbackHub, body: bytes, repo: str, revision: str) -> None:
        self._require_login()
        if hub.meanwhile:
            hub.meanwhile()
        parent, found = self._get(hub, repo, revision)
        header = json.loads(body.splitlines()[0])["value"]
        if header.get("parentCommit", parent) != parent:
            raise _Refused(412)
        files = dict(found)
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = hub.blobs[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        oid = hub.repos[repo].commit(files)
        self._send_json({"success": True, "commitOid": oid, "commitUrl": f"{hub.url}/{repo}/commit/{oid}"})

    def describe(self, hub: LoopbackHub, body: bytes, repo: str, revision: str = "main") -> None:  # noqa: ARG002
        commit, files = self._get(hub, repo, revision)
        siblings, is_private = [{"rfilename": name} for name in files], hub.repos[repo].visibility == "private"
        self._send_json({"id": repo, "sha": commit, "siblings": siblings, "tags": [], "private": is_private})

    def tree(self, hub: LoopbackHub, body: bytes, repo: str, revision: str) -> None:  # noqa: ARG002
        _, files = self._get(hub, repo, revision)
        self._send_json(
            [
                {"type": "file", "path": name, "size": len(content), "oid": _digest(content), **_describe_lfs(content)}
                for name, content in files.items()
            ]
        )

    def resolve(self, hub: LoopbackHub, body: bytes, repo: str, revision: str, file: str) -> None:  # noqa: ARG002
        commit, files = self._get(hub, repo, revision)
        if file not in files:
            raise _Refused(404, "EntryNotFound")
        self._send(files[file], headers={"ETag": f'"{_digest(files[file])}"', "X-Repo-Commit": commit})


def _digest(content: bytes) -> str:
    large = len(content) >= _LARGE
    return hashlib.sha256(content).hexdigest() if large else hashlib.sha1(content).hexdigest()


def _describe_lfs(content: bytes) -> dict[str, Any]:
    if len(content) < _LARGE:
        return {}
    return {"lfs": {"oid": _digest(content), "size": len(content), "pointerSize": 130}}


_REPO, _REVISION = r"(?P<repo>[^/]+/[^/]+)", r"(?P<revision>[^/]+)"
_ROUTES: dict[str, Any] = {
    r"POST /api/repos/create": _Handler.create,
    r"POST /api/validate-yaml": _Handler.validate,
    rf"POST /api/models/{_REPO}/preupload/{_REVISION}": _Handler.preupload,
    rf"POST /{_REPO}\.git/info/lfs/objects/batch": _Handler.batch,
    r"PUT /blobs/.*/(?P<oid>\w+)": _Handler.store,
    rf"POST /api/models/{_REPO}/commit/{_REVISION}": _Handler.commit,
    rf"GET /api/models/{_REPO}(/revision/{_REVISION})?": lambda self, hub, body, repo, revision: self.describe(
        hub, body, repo, revision or "main"
    ),
    rf"GET /api/models/{_REPO}/tree/{_REVISION}": _Handler.tree,
    rf"(GET|HEAD) /{_REPO}/resolve/{_REVISION}/(?P<file>.*)": _Handler.resolve,
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: LoopbackHub

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing, since clients may disconnect."""


@contextmanager
def open_hub() -> Iterator[LoopbackHub]:
    """Run a hub in a thread."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.hub = LoopbackHub(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.hub
        server.shutdown()
        thread.join()
